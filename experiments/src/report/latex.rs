//! The report as LaTeX for a paper: its tables with booktabs, to be read in with `\input` or copied one
//! by one. It lays out what `sections` says; charts are exported as SVG.

use std::fmt::Write;

use super::document::{Block, Column, Document, Kind, Table};
use super::sections::document;
use super::view::{Shown, View};
use super::words::{Piece, Words};

/// Tables of more lines than this break over pages.
const ROWS: usize = 40;
/// In tables with so many columns intervals stand below their figures.
const COLUMNS: usize = 6;

/// Letters and digits in a row behind which a line may break.
const RUN: usize = 20;

const HEAD: &str = "% Tables of a run of spec bench, made by spec report. In the preamble:\n\
    % \\usepackage[T1]{fontenc}\n% \\usepackage{booktabs,array,longtable,graphicx}\n";

/// The tables, each with the heading of its section before it as a comment.
pub fn page(view: &View<'_>) -> String {
    let Document { title, warnings, summary, sections, .. } = document(view);
    let mut text = format!("{HEAD}%\n{}", comment(&title));
    for own in summary.iter().chain(&warnings) {
        text.push_str(&comment(&own.to_string()));
    }
    let settings = view.runs().iter().map(settings).collect::<Vec<_>>().join(" ");
    for (number, section) in sections.iter().enumerate() {
        let tables = section.blocks.iter().filter_map(|block| match block {
            Block::Table(table) => Some(table),
            Block::Words(_) | Block::List(_) | Block::Charts(_) | Block::Commands(_) => None,
        });
        let tables: Vec<&Table> = tables.collect();
        if tables.is_empty() {
            continue;
        }
        let _ = write!(text, "\n{}", comment(&section.title));
        for (place, table) in tables.into_iter().enumerate() {
            let has_figures = table.columns.iter().any(|own| own.kind == Kind::Figure);
            let rest = if has_figures { format!(" {settings}") } else { String::new() };
            let caption = format!("{}.{rest}", escaped(&table.caption));
            let label = format!("tab:spec-{}-{}", number + 1, place + 1);
            let is_long = height(table) > ROWS || !has_figures;
            text.push_str(&if is_long { long } else { short }(table, &caption, &label));
        }
        if section.is_detail {
            text.push_str("\\clearpage\n");
        }
    }
    text
}

/// What a reader of a table must know: prompts, settings, and what the brackets are.
fn settings(run: &Shown<'_>) -> String {
    let header = &run.report.header;
    let (own, prompts) = (&header.settings, &header.prompts);
    let mut parts = vec![
        format!("{} of {} prompts of {}", prompts.run, prompts.total, prompts.source),
        format!("up to {} new tokens", own.max_new),
    ];
    if own.repeats > 1 {
        parts.push(format!("{} repeats", own.repeats));
    }
    parts.extend(own.top_k.map(|top_k| format!("top-k {top_k}")));
    parts.extend(own.top_p.map(|top_p| format!("top-p {top_p}")));
    if own.repetition_penalty != 1.0 {
        parts.push(format!("repetition penalty {}", own.repetition_penalty));
    }
    if own.ignore_eos {
        parts.push("ends of text ignored".to_owned());
    }
    let drafts: Vec<&str> = header.drafts.iter().map(|draft| draft.name.as_str()).collect();
    parts.extend([
        format!("template {}", own.template),
        format!("target {}, draft {}", header.target.name, drafts.join(", ")),
        format!("{} in {}", header.device, header.dtype),
        format!("seed {}", header.seed),
    ]);
    let whose = if run.name.is_empty() { String::new() } else { format!("{}: ", run.name) };
    format!(
        "{}. Brackets are 95\\,\\% intervals (BCa bootstrap over prompts, stratified by category).",
        escaped(&(whose + &parts.join("; ")))
    )
}

fn comment(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("% {line}\n")
}

/// A table that floats, made smaller where it is wider than the line.
fn short(table: &Table, caption: &str, label: &str) -> String {
    let body = body(table);
    let rows = rows(table).concat();
    format!(
        "\\begin{{table}}[htbp]\n\\centering\\footnotesize\\setlength{{\\tabcolsep}}{{4pt}}\n\
         \\caption{{{caption}}}\\label{{{label}}}\n\
         \\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n\
         \\begin{{tabular}}{{{body}}}\n\\toprule\n{}\\midrule\n{rows}\\bottomrule\n\\end{{tabular}}}}\n\
         \\end{{table}}\n",
        names(table)
    )
}

/// A table that breaks over pages.
fn long(table: &Table, caption: &str, label: &str) -> String {
    let (body, names, rows) = (body(table), names(table), rows(table).concat());
    format!(
        "{{\\footnotesize\\setlength{{\\tabcolsep}}{{4pt}}\n\\begin{{longtable}}{{{body}}}\n\
         \\caption{{{caption}}}\\label{{{label}}}\\\\\n\\toprule\n{names}\\midrule\n\\endfirsthead\n\
         \\toprule\n{names}\\midrule\n\\endhead\n\\bottomrule\n\\endlastfoot\n{rows}\\end{{longtable}}}}\n"
    )
}

/// About how many lines the rows take.
fn height(table: &Table) -> usize {
    let has_prose = table.columns.iter().any(|own| own.kind == Kind::Prose);
    let lines = match table.columns.len() {
        COLUMNS.. if has_prose => 4,
        COLUMNS.. => 2,
        _ => 1,
    };
    table.rows.len() * lines
}

/// How the columns are set.
fn body(table: &Table) -> String {
    let prose = table.columns.iter().filter(|own| own.kind == Kind::Prose).count();
    let ragged = |share: f64| format!(">{{\\raggedright\\arraybackslash}}p{{{share}\\linewidth}}");
    let column = |kind: Kind| match (kind, table.columns.len()) {
        (Kind::Name, 6) if prose > 0 => ragged(0.14),
        (Kind::Prose, 6) => ragged(0.16),
        // Of a label, a value and a remark the value may be long, too.
        (Kind::Figure | Kind::Prose, 3) if prose > 0 => ragged(0.36),
        (Kind::Prose, _) => ragged(0.62),
        (Kind::Name, 2) if prose > 0 => ragged(0.31),
        (Kind::Name, _) => "l".to_owned(),
        (Kind::Figure, _) => "r".to_owned(),
    };
    table.columns.iter().map(|own| column(own.kind)).collect()
}

fn names(table: &Table) -> String {
    let name = |own: &Column| {
        // As even as two lines can be.
        let spaces = own.name.match_indices(' ').map(|found| found.0);
        match spaces.min_by_key(|at| at.abs_diff(own.name.len() / 2)) {
            Some(at) if own.kind == Kind::Figure && own.name.len() > 12 => {
                let (first, rest) = (escaped(&own.name[..at]), escaped(&own.name[at + 1..]));
                format!("\\shortstack[r]{{{first}\\\\{rest}}}")
            }
            _ => escaped(own.name),
        }
    };
    let names: Vec<String> = table.columns.iter().map(name).collect();
    if names.iter().all(String::is_empty) { String::new() } else { line(&names) }
}

fn rows(table: &Table) -> Vec<String> {
    let is_wide = table.columns.len() >= COLUMNS;
    let is_below = |column: &Column| is_wide && column.kind == Kind::Figure;
    let row = |row: &Vec<Words>| {
        let cells = table.columns.iter().zip(row);
        line(&cells.map(|(column, own)| cell(own, is_below(column))).collect::<Vec<_>>())
    };
    table.rows.iter().map(row).collect()
}

/// A row; what begins it is never taken for an argument of the row before.
fn line(cells: &[String]) -> String {
    format!("{{}}{} \\\\\n", cells.join(" & "))
}

/// A cell; its interval beside its figure or below it.
fn cell(words: &Words, is_below: bool) -> String {
    let limits = |low: &dyn ToString, high: &dyn ToString| {
        format!("[{}, {}]", escaped(&low.to_string()), escaped(&high.to_string()))
    };
    if let ([Piece::Number(own), Piece::Interval(low, high)], true) = (&words.0[..], is_below) {
        let own = escaped(&own.to_string());
        let below = format!("{{\\scriptsize {}}}", limits(low, high));
        return format!("\\begin{{tabular}}[t]{{@{{}}r@{{}}}}{own}\\\\{below}\\end{{tabular}}");
    }
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => escaped(text),
        Piece::Code(text) => {
            // So that long names may break at their underscores.
            format!("\\texttt{{{}}}", escaped(text).replace("\\_", "\\_\\allowbreak{}"))
        }
        Piece::Number(number) => escaped(&number.to_string()),
        Piece::Interval(low, high) => format!(" {{\\scriptsize {}}}", limits(low, high)),
    };
    words.0.iter().map(piece).collect()
}

/// Text that stands for itself.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut run = 0;
    for own in text.chars() {
        // Hashes have no place of their own to break at.
        run = if own.is_ascii_alphanumeric() { run + 1 } else { 0 };
        if run > RUN {
            out.push_str("\\allowbreak{}");
            run = 1;
        }
        match own {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '_' | '%' => out.extend(['\\', own]),
            '^' => out.push_str("\\textasciicircum{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '"' => out.push_str("\\textquotedbl{}"),
            '−' => out.push_str("$-$"),
            '×' => out.push_str("$\\times$"),
            'α' => out.push_str("$\\alpha$"),
            '…' => out.push_str("\\dots{}"),
            '–' => out.push_str("--"),
            '—' => out.push_str("---"),
            // So must paths.
            '/' => out.push_str("/\\allowbreak{}"),
            own if own.is_control() => out.push(' '),
            own if own.is_ascii() || ('\u{a1}'..='\u{17f}').contains(&own) => out.push(own),
            own => {
                let _ = write!(out, "\\texttt{{U+{:04X}}}", own as u32);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::report;

    #[test]
    fn text_stands_for_itself() {
        assert_eq!(
            escaped(r"50 % of a_b & {c} \d ~^$#"),
            concat!(
                r"50 \% of a\_b \& \{c\} \textbackslash{}d ",
                r"\textasciitilde{}\textasciicircum{}\$\#"
            )
        );
        assert_eq!(
            escaped("−1 é \u{4e2d}\n<unk>"),
            "$-$1 é \\texttt{U+4E2D} \\textless{}unk\\textgreater{}"
        );
    }

    #[test]
    fn every_table_is_whole_and_captioned() {
        let mut report = report();
        report.cases[1].case = "50 % & [a_b]".to_owned();
        let page = page(&View::of(&report));
        let tables: Vec<&str> = page.split("\\toprule").collect();
        assert!(tables.len() > 6, "{page}");
        for name in ["table", "tabular", "longtable"] {
            let count = |what: &str| page.matches(&format!("\\{what}{{{name}}}")).count();
            assert_eq!(count("begin"), count("end"), "{name}");
            assert!(count("begin") > 0, "{name}");
        }
        for table in page.split("\\begin{table}").skip(1) {
            let (_, rows) = table.split_once("\\toprule\n").unwrap();
            let rows = rows.split("\\bottomrule").next().unwrap();
            let rows = rows.lines().filter(|line| line.starts_with("{}"));
            let ampersands = |line: &str| line.replace("\\&", "").matches('&').count();
            let counts: Vec<usize> = rows.map(ampersands).collect();
            assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
        }
        for part in [
            "6 of 480 prompts of spec-bench; up to 26 new tokens; top-p 0.95; template chat",
            "seed 7. Brackets are 95\\,\\% intervals",
            "{}50 \\% \\& [a\\_b] & 6 & \\begin{tabular}[t]{@{}r@{}}0.430\\\\{\\scriptsize [0.333, 0.525]}",
        ] {
            assert!(page.contains(part), "no {part}\n{page}");
        }
        let braces = |sign: char| {
            let text = page.replace("\\\\", "").replace("\\{", "").replace("\\}", "");
            text.lines()
                .filter(|line| !line.starts_with('%'))
                .collect::<String>()
                .matches(sign)
                .count()
        };
        assert_eq!(braces('{'), braces('}'));
    }
}
