//! The report as one page of HTML that needs nothing else: styles and charts are in it, and no script.
//! Each figure carries its exact value and where that stands in `report.json`. It lays out what
//! `sections` says.

use std::fmt::Write;

use super::charts::{PALETTE, STYLE, escaped};
use super::document::{Block, Column, Document, Kind, Panel, Section, Table};
use super::sections::document;
use super::view::View;
use super::words::{Form, Number, Piece, Words};

const PAGE: &str = include_str!("page.css");
/// Of so many cases each is unfolded.
const UNFOLDED: usize = 2;

/// The whole page.
pub fn page(view: &View<'_>) -> String {
    let Document { title, subtitle, warnings, summary, sections } = document(view);
    let light = PALETTE.map(|(name, colour)| format!("{name}: {colour};")).join(" ");
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n:root {{ {light}}}\n{PAGE}{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n",
        title = escaped(&title)
    );
    for own in &subtitle {
        let _ = writeln!(out, "<p class=\"sub\">{}</p>", escaped(own));
    }
    out.push_str("</header>\n");
    if !summary.is_empty() {
        let sentences: Vec<String> = summary.iter().map(text).collect();
        let _ = writeln!(out, "<p class=\"summary\">{}</p>", sentences.join(" "));
    }
    if !warnings.is_empty() {
        out.push_str("<aside>\n<h2>Before you use the figures</h2>\n");
        list(&mut out, &warnings);
        out.push_str("</aside>\n");
    }
    contents(&mut out, &sections);
    out.push_str("<main>\n");
    let details = sections.iter().filter(|own| own.is_detail).count();
    for (index, own) in sections.iter().enumerate() {
        section(&mut out, index, own, details);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// Where each section is; of many like each other only where they begin.
fn contents(out: &mut String, sections: &[Section]) {
    out.push_str("<nav aria-label=\"Contents\">\n");
    let mut has_details = false;
    for (index, section) in sections.iter().enumerate() {
        if section.is_detail && has_details {
            continue;
        }
        has_details |= section.is_detail;
        let title = if section.is_detail { "Case by case" } else { &section.title };
        let _ = writeln!(out, "<a href=\"#s-{index}\">{}</a>", escaped(title));
    }
    out.push_str("</nav>\n");
}

fn section(out: &mut String, index: usize, section: &Section, details: usize) {
    let title = escaped(&section.title);
    if section.is_detail {
        let open = if details <= UNFOLDED { " open" } else { "" };
        let _ =
            writeln!(out, "<details id=\"s-{index}\"{open}>\n<summary><h2>{title}</h2></summary>");
    } else {
        let _ = writeln!(out, "<section id=\"s-{index}\">\n<h2>{title}</h2>");
    }
    for own in &section.blocks {
        block(out, own);
    }
    out.push_str(if section.is_detail { "</details>\n" } else { "</section>\n" });
}

fn block(out: &mut String, block: &Block) {
    match block {
        Block::Words(words) => {
            let _ = writeln!(out, "<p>{}</p>", text(words));
        }
        Block::List(items) => list(out, items),
        Block::Table(own) => table(out, own),
        Block::Charts(panels) => {
            out.push_str("<div class=\"charts\">\n");
            for own in panels {
                panel(out, own);
            }
            out.push_str("</div>\n");
        }
        Block::Commands(commands) => {
            let _ = writeln!(out, "<pre tabindex=\"0\">{}</pre>", escaped(commands));
        }
    }
}

/// A chart with its explanation below it, or several below theirs.
fn panel(out: &mut String, panel: &Panel) {
    let (title, note) = (escaped(panel.title), escaped(panel.note));
    if let [only] = &panel.charts[..] {
        let _ = writeln!(out, "<figure>{}<figcaption>{note}</figcaption></figure>", only.inline());
        return;
    }
    let _ = writeln!(out, "<div class=\"wide\">\n<h3>{title}</h3>\n<p>{note}</p>");
    out.push_str("<div class=\"charts\">\n");
    for chart in &panel.charts {
        let _ = writeln!(out, "<figure>{}</figure>", chart.inline());
    }
    out.push_str("</div>\n</div>\n");
}

fn list(out: &mut String, items: &[Words]) {
    out.push_str("<ul>\n");
    for item in items {
        let _ = writeln!(out, "<li>{}</li>", text(item));
    }
    out.push_str("</ul>\n");
}

/// A table in a box that scrolls by itself where the page is narrow.
fn table(out: &mut String, table: &Table) {
    let caption = escaped(&table.caption);
    // Of a label, a value and a remark the value may be long, too.
    let is_mixed = table.columns.len() == 3 && table.columns[2].kind == Kind::Prose;
    let mixed = if is_mixed { " class=\"mixed\"" } else { "" };
    let _ = writeln!(
        out,
        "<p class=\"caption\">{caption}</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"{caption}\">\n<table{mixed}>"
    );
    if table.columns.iter().any(|column| !column.name.is_empty()) {
        let name = |column: &Column| {
            format!("<th scope=\"col\"{}>{}</th>", class(column.kind), escaped(column.name))
        };
        let names: String = table.columns.iter().map(name).collect();
        let _ = writeln!(out, "<thead><tr>{names}</tr></thead>");
    }
    out.push_str("<tbody>\n");
    for row in &table.rows {
        let cell = |(column, words): (&Column, &Words)| match column.kind {
            Kind::Name => format!("<th scope=\"row\">{}</th>", text(words)),
            Kind::Figure | Kind::Prose => format!("<td{}>{}</td>", class(column.kind), text(words)),
        };
        let cells: String = table.columns.iter().zip(row).map(cell).collect();
        let _ = writeln!(out, "<tr>{cells}</tr>");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Name => "",
        Kind::Figure => " class=\"figure\"",
        Kind::Prose => " class=\"prose\"",
    }
}

/// Words of a paragraph or cell.
fn text(words: &Words) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => escaped(text),
        Piece::Code(text) => format!("<code>{}</code>", escaped(text)),
        Piece::Number(own) => number(own),
        Piece::Interval(low, high) => {
            format!(" <span class=\"interval\">[{}, {}]</span>", number(low), number(high))
        }
    };
    words.0.iter().map(piece).collect()
}

fn number(own: &Number) -> String {
    let form = match own.form {
        Form::Significant => "significant",
        Form::Signed => "signed",
        Form::Whole => "whole",
        Form::Percent => "percent",
        Form::Milliseconds => "milliseconds",
        Form::Bytes => "bytes",
    };
    format!(
        "<data value=\"{value}\" data-value=\"{value}\" data-form=\"{form}\" data-path=\"{path}\">{own}</data>",
        value = own.value,
        path = escaped(own.at.pointer()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::report;

    #[test]
    fn nothing_is_fetched_and_nothing_breaks_out() {
        let mut report = report();
        report.cases[1].case = "<script>alert('a')</script> \"&".to_owned();
        report.header.prompts.source = "https://example.com/<b>".to_owned();
        let page = page(&View::of(&report));
        for part in ["<script", "@import", "url(", " src=", "<link", "<b>"] {
            assert!(!page.contains(part), "{part}");
        }
        let links = page.split("href=\"").skip(1);
        assert!(links.clone().count() > 5 && links.clone().all(|link| link.starts_with('#')));
        assert!(page.contains("&lt;script&gt;alert(&#39;a&#39;)&lt;/script&gt; &quot;&amp;"));
        assert!(!page.contains("NaN") && !page.contains(">null"));
    }

    #[test]
    fn each_figure_is_the_one_in_the_report() {
        let report = report();
        let json = serde_json::to_value(&report).unwrap();
        let page = page(&View::of(&report));
        let figures: Vec<&str> = page.split("<data ").skip(1).collect();
        assert!(figures.len() > 100, "{}", figures.len());
        for figure in figures {
            let attribute = |name: &str| {
                let rest = figure.split_once(&format!(" {name}=\"")).unwrap().1;
                rest.split_once('"').unwrap().0
            };
            let (value, path) = (attribute("data-value"), attribute("data-path"));
            let found = json.pointer(path).and_then(serde_json::Value::as_f64);
            assert_eq!(found, Some(value.parse().unwrap()), "{path}");
        }
    }
}
