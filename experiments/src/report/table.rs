//! The report as the table on standard output: at most 100 columns, one block a method. It lays
//! out what `report` words.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::document::Table as Rows;
use super::headline::headline;
use super::rows::case_rows;
use super::sections::{left_out, method_note};
use super::view::{Shown, ShownCase, View};
use super::words::Words;
use super::{leaderboard, model, scaled, tables, vocabulary};
use crate::bench::record::Report;
use crate::bench::spec_bench::TASKS;
use crate::questions::TITLE;

const WIDTH: usize = 100;
const LABEL: usize = 26;
const VALUE: usize = 22;
const CATEGORY: usize = 18;
const CASE: usize = 22;
/// Columns by category that have room.
const COLUMNS: usize = 5;
/// Of so many cases each has a block of its own.
const BLOCKS: usize = 3;

/// The whole report as plain text, each line ended.
pub fn render(report: &Report) -> String {
    page(&View::of(report))
}

/// A run, or several side by side, as plain text.
pub fn page(view: &View<'_>) -> String {
    let (runs, cases) = (view.runs(), view.cases());
    let mut lines: Vec<String> = runs.iter().flat_map(head).collect();
    if cases.len() > 1 {
        lines.push(String::new());
        let columns = ["case", "acceptance rate", "acceptance length", "speed-up"];
        let rows = tables::overview(view).rows.into_iter().map(|row| {
            let text = |index: usize| row[index].to_string();
            vec![shortened(&text(0), CASE), text(2), text(3), text(4)]
        });
        lines.extend(grid(&columns, rows));
        lines.push(String::new());
    }
    if cases.len() <= BLOCKS {
        let Rows { columns, rows, .. } = tables::differences(view);
        for row in rows {
            for (column, own) in columns.iter().zip(&row).skip(2).take(3) {
                let text = format!("{} − {}: {} {own}", row[0], row[1], column.name);
                lines.extend(labelled("difference", &text));
            }
        }
        lines.extend(cases.iter().flat_map(block));
    }
    let Rows { rows, .. } = tables::spec_bench(view);
    if !rows.is_empty() {
        lines.push(String::new());
        let short = TASKS.map(|(_, short, _)| short);
        let columns = [&["Spec-Bench"], &short[..], &["#MAT", "overall"]].concat();
        let texts = rows.into_iter().map(|row| {
            let mut row: Vec<String> = row.iter().map(Words::to_string).collect();
            row[0] = shortened(&row[0], CASE);
            row
        });
        lines.extend(grid(&columns, texts));
    }
    for reason in view.not_compared() {
        lines.extend(labelled("not compared", reason));
    }
    lines.push(String::new());
    for run in &runs {
        if !run.name.is_empty() {
            lines.extend(labelled("run", run.name));
        }
        for (label, text) in remarks(run.report) {
            lines.extend(labelled(label, &text));
        }
    }
    let note = runs.first().map(|run| method_note(run).to_string());
    lines.extend(note.iter().flat_map(|note| wrap(note, WIDTH)));
    lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// What was run.
fn head(run: &Shown<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if !run.name.is_empty() {
        lines.push(format!("{}:", run.name));
    }
    for sentence in headline(run.report) {
        lines.extend(wrap(&sentence, WIDTH));
    }
    lines.push(String::new());
    for draft in &run.report.header.drafts {
        lines.extend(labelled("draft", &model(draft)));
    }
    lines.extend(labelled("target", &model(&run.report.header.target)));
    if !run.name.is_empty() {
        lines.push(String::new());
    }
    lines
}

/// The figures of a case, overall and by category.
fn block(shown: &ShownCase<'_>) -> Vec<String> {
    let metrics = &shown.case.overall;
    let generations = format!("{} prompts, {} generations", metrics.prompts, metrics.generations);
    let mut lines = vec![String::new()];
    lines.extend(labelled(&shown.name, &generations));
    for row in case_rows(shown) {
        let (value, note) = (row.value.to_string(), row.note.to_string());
        let text = match note.as_str() {
            "" => value,
            note => format!("{value:<VALUE$} {note}"),
        };
        lines.extend(labelled(&format!("  {}", row.label), &text));
    }
    let Rows { columns, rows, .. } = tables::categories(shown);
    if !rows.is_empty() {
        lines.push(String::new());
        let cut = |row: Vec<Words>| {
            let text = |own: &Words| own.to_string();
            let mut row: Vec<String> = row[..COLUMNS].iter().map(text).collect();
            row[0] = shortened(&row[0], CATEGORY);
            row
        };
        let names: Vec<&str> = columns[..COLUMNS].iter().map(|own| own.name).collect();
        lines.extend(grid(&names, rows.into_iter().map(cut)));
    }
    lines
}

/// The overlap of the vocabularies, memory, prompts left out, and warnings, one a line.
fn remarks(report: &Report) -> Vec<(&'static str, String)> {
    let mut remarks = Vec::new();
    for panel in &report.vocabularies {
        let whose = match report.vocabularies.len() {
            1 => String::new(),
            _ => format!("{}: ", panel.draft),
        };
        remarks.push(("vocabulary", whose + &vocabulary(panel)));
    }
    let bytes = |bytes: Option<u64>| {
        bytes.map_or_else(|| "-".to_owned(), |n| scaled(n, &["B", "KiB", "MiB", "GiB"], 1024.0))
    };
    let peak = &report.peak_memory_bytes;
    let memory = format!("process {}, device {}", bytes(peak.process), bytes(peak.device));
    remarks.push(("peak memory", memory));
    remarks.extend(left_out(&report.header.prompts).map(|text| ("skipped", text)));
    match report.header.prompts.truncated {
        0 => {}
        cut => remarks.push(("truncated", format!("{cut} prompts or later turns"))),
    }
    match report.header.prompts.later_turns_left_out {
        0 => {}
        1 => remarks.push(("later turns", "1 left out: it does not fit".to_owned())),
        left => remarks.push(("later turns", format!("{left} left out: they do not fit"))),
    }
    remarks.extend(leaderboard::differences(report).map(|text| (TITLE, text)));
    if !report.complete {
        remarks.push(("not complete", "the run goes on; figures of the prompts so far".to_owned()));
    }
    remarks.extend(report.warnings.iter().map(|warning| ("warning", warning.clone())));
    remarks
}

fn grid(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string().lines().map(str::to_owned).collect()
}

fn shortened(name: &str, width: usize) -> String {
    match name.char_indices().nth(width) {
        None => name.to_owned(),
        Some(_) => name.chars().take(width - 1).chain(['…']).collect(),
    }
}

/// A label and its text, the text's later lines set below its first.
pub(crate) fn labelled(label: &str, text: &str) -> Vec<String> {
    let first = |place| if place == 0 { label } else { "" };
    wrap(text, WIDTH - LABEL)
        .iter()
        .enumerate()
        .map(|(place, line)| format!("{:<LABEL$}{line}", first(place)))
        .collect()
}

/// Breaks at spaces so that no line has more than `width` characters, a single word excepted.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::Estimate;
    use crate::report::samples::report;
    use crate::report::{scaled, significant, whole};

    const TEXT: &str = "\
llama-68m drafts for llama-3.1-8b: slem, gamma 2, temperature 0
6 of 480 prompts of spec-bench, up to 26 new tokens, on cpu in float32, seed 7

draft                     llama-68m: llama, 68.0 M parameters, 32,000 tokens (bpe), context 2,048
target                    llama-3.1-8b: llama, 8.03 B parameters, 128,256 tokens (bpe), context
                          2,048

slem                      6 prompts, 6 generations
  speed-up                0.927 [0.767, 1.08]    no difference shown (95 % interval 0.767 to 1.08)
  tokens/s, slem          9.27 [7.67, 10.8]
  tokens/s, plain         10.0 [10.0, 10.0]
  speed-up if c = 0.01    1.76 [1.58, 1.99]      where a draft pass costs c of a target pass
  speed-up if c = 0.05    1.59 [1.44, 1.78]
  speed-up if c = 0.1     1.41 [1.27, 1.58]
  speed-up if c = 0.3     0.980 [0.881, 1.08]
  acceptance rate, pooled 0.430 [0.333, 0.525]   43 of 100 candidates
  acceptance rate, mean   0.425 [0.300, 0.550]   mean over prompts
  mean acceptance length  1.81 [1.62, 2.05]      tokens a step; the prefill's token is no step
  without the bonus       0.811 [0.621, 1.05]    candidates accepted a step
  survival by position    0.528 0.283            of all steps
  conditional on the last 0.560 0.536            of the steps that came so far
  steps                   50 speculative, 3 plain
  draft model tokens      200                    in 150 passes; window moved 0 times
  a pass                  draft 14.7 ms, target 100 ms: c = 0.147; overhead 20.8 ms a step
  foretold by the costs   1.00                   measured 0.927 [0.767, 1.07]; prefills left out
  by Leviathan et al.     1.43                   α = 0.551, verification free
  best size               1, speed-up 1.01
  time                    prefill 10.0 %, draft 20.0 %, align 5.00 %, verify 60.0 %, other 5.00 %
  greedy identity         0.667 [0.223, 0.957]   4 of 6 prompts as plain greedy decoding; ties: 1
  tokens a generation     17.0                   50.0 % end with end-of-text

 category  prompts  acceptance rate  acceptance length  speed-up
 coding          3            0.700               2.35      1.16
 writing         3            0.160               1.30     0.691

vocabulary                16,000 tokens shared: 50.0 % of the draft's 32,000, 12.5 % of the target's
                          128,256; E[p(M)] 0.620 [0.600, 0.640]; bytes a token 3.90 and 4.50
peak memory               process 1.50 GiB, device -
skipped                   rag 2 too long and 1 inexpressible, qa 3 inexpressible
warning                   the draft maps <unk> | nothing
[low, high] are 95 % intervals: BCa bootstrap over prompts, stratified by category; Clopper-Pearson
for greedy identity. Fewer than 5 prompts give none. Prefill is timed; loading and warm-up (prompts:
1) are not.
";

    #[test]
    fn the_table_of_six_prompts() {
        assert_eq!(render(&report()), TEXT);
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        let mut report = report();
        let case = &mut report.cases[1];
        let small = Estimate { value: Some(0.012_34), low: Some(0.010_23), high: Some(0.020_34) };
        case.overall.acceptance_by_position = vec![small; 24];
        let mut metrics = case.by_category["coding"].clone();
        metrics.draft_acceptance_rate = small;
        metrics.mean_acceptance_length =
            Estimate { value: Some(1.02), low: Some(1.01), high: Some(1.03) };
        metrics.speedup = Estimate { value: Some(0.912), low: Some(0.871), high: Some(0.945) };
        case.by_category.insert("a category with a long name".to_owned(), metrics);
        report.warnings.push("a long warning ".repeat(20));
        let text = render(&report);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("a category with a…"), "{text}");
    }

    #[test]
    fn three_significant_digits() {
        let texts = [
            (0.0, "0"),
            (1.0, "1.00"),
            (0.312_4, "0.312"),
            (0.999_6, "1.00"),
            (9.996, "10.0"),
            (0.000_012_3, "0.0000123"),
            (-0.5, "-0.500"),
            (99.96, "100"),
            (1_234.0, "1230"),
            (1.5e-7, "1.50e-7"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in texts {
            assert_eq!(significant(value), text);
        }
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1_000, 1_234_567].map(whole));
        assert_eq!(scaled(8_030_000_000, &["", "K", "M", "B"], 1e3), "8.03 B");
        assert_eq!(scaled(12, &["", "K", "M", "B"], 1e3), "12.0");
    }
}
