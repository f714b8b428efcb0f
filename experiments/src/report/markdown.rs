//! The report as a Markdown page. It lays out what `sections` says; charts are left to other forms.

use super::document::{Block, Document, Kind, Table};
pub(crate) use super::provenance::command_line;
use super::sections::document;
use super::view::View;
use super::words::{Piece, Words};
use crate::bench::record::Report;

/// The whole page of a run.
pub fn render(report: &Report) -> String {
    page(&View::of(report))
}

/// The page of a view.
pub fn page(view: &View<'_>) -> String {
    let Document { title, subtitle, warnings, summary, sections } = document(view);
    let mut lines = vec![format!("# {}", escaped(&title))];
    for own in &subtitle {
        lines.extend([String::new(), escaped(own)]);
    }
    if !warnings.is_empty() {
        lines.push(String::new());
        lines.extend(warnings.iter().map(|own| format!("- warning: {}", text(own))));
    }
    if !summary.is_empty() {
        lines.push(String::new());
        lines.extend(summary.iter().map(text));
    }
    for section in &sections {
        let blocks: Vec<Vec<String>> =
            section.blocks.iter().map(block).filter(|own| !own.is_empty()).collect();
        // What explains charts only is left out with them.
        if section.blocks.iter().any(|own| matches!(own, Block::Charts(_))) {
            continue;
        }
        lines.extend([String::new(), format!("## {}", escaped(&section.title))]);
        for block in blocks {
            lines.push(String::new());
            lines.extend(block);
        }
    }
    lines.join("\n") + "\n"
}

fn block(block: &Block) -> Vec<String> {
    match block {
        Block::Words(words) => vec![text(words)],
        Block::List(list) => list.iter().map(|own| format!("- {}", text(own))).collect(),
        Block::Table(own) => table(own),
        Block::Charts(_) => Vec::new(),
        Block::Commands(text) => vec!["```sh".to_owned(), text.clone(), "```".to_owned()],
    }
}

fn table(table: &Table) -> Vec<String> {
    let names = table.columns.iter().map(|column| column.name);
    let rule = table.columns.iter().map(|column| match column.kind {
        Kind::Figure => "---:",
        Kind::Name | Kind::Prose => "---",
    });
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines =
        vec![line(names.map(str::to_owned).collect()), line(rule.map(str::to_owned).collect())];
    let rows = table.rows.iter().map(|row| line(row.iter().map(text).collect()));
    lines.extend(rows);
    lines
}

/// Words in a paragraph or cell.
fn text(words: &Words) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => escaped(text),
        Piece::Code(text) => format!("`{text}`"),
        Piece::Number(number) => number.to_string(),
        Piece::Interval(low, high) => format!(" [{low}, {high}]"),
    };
    words.0.iter().map(piece).collect()
}

/// A Markdown table; the columns marked are set to the right.
pub(crate) fn grid<const N: usize>(
    header: &[&str; N],
    right: &[bool; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Vec<String> {
    let rule = right.map(|right| if right { "---:" } else { "---" });
    let mut lines =
        vec![format!("| {} |", header.join(" | ")), format!("| {} |", rule.join(" | "))];
    lines.extend(rows.into_iter().map(|row| {
        let cells = row.map(|cell| escaped(&cell));
        format!("| {} |", cells.join(" | "))
    }));
    lines
}

/// Text that neither ends a cell or line nor opens a tag.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{Counts, Estimate, Metrics, Seconds, VocabularyPanel};
    use crate::report::definitions;
    use crate::report::samples::report;
    use serde::Serialize;

    #[test]
    fn the_page_of_six_prompts() {
        let page = render(&report());
        for line in [
            "# llama-68m drafts for llama-3.1-8b: slem, gamma 2, temperature 0",
            "| acceptance rate, pooled | 0.430 [0.333, 0.525] | 43 of 100 candidates |",
            "| 2 | 50 | 0.283 [0.200, 0.375] | 0.536 [0.400, 1.00] | 15 |",
            "| coding | 3 | 0.700 | 2.35 | 1.16 | 11.6 | 10.0 | 4 9 13 |",
            "- skipped: rag 2 too long and 1 inexpressible, qa 3 inexpressible",
            "- warning: the draft maps &lt;unk> \\| nothing",
            r"spec bench --draft 'it'\''s'",
            "| case | slem: slem, gamma 2, temperature 0 (asked for); draft temperature 0; tail \
             policy: drop |",
            "| `num_draft_tokens` | candidates handed to the verifier, in target tokens, after the \
             tail rule; for trees the nodes |",
        ] {
            assert!(page.lines().any(|found| found == line), "no line {line}\n{page}");
        }
    }

    #[test]
    fn every_table_is_whole() {
        let page = render(&report());
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        for (line, next) in page.lines().zip(page.lines().skip(1)) {
            if line.starts_with('|') && next.starts_with('|') {
                assert_eq!(bars(line), bars(next), "{line}\n{next}");
            }
        }
    }

    fn names(value: impl Serialize) -> Vec<String> {
        let value = serde_json::to_value(value).expect("a value");
        value.as_object().expect("an object").keys().cloned().collect()
    }

    #[test]
    fn every_metric_has_a_definition() {
        let definitions = definitions();
        let names = [names(Metrics::default()), names(Counts::default())].concat();
        for name in names {
            assert!(definitions.contains_key(&name), "{name} is not defined");
        }
        for name in names_of_parts() {
            assert!(definitions.values().any(|text| text.contains(&name)), "{name} is not named");
        }
    }

    fn names_of_parts() -> Vec<String> {
        let panel = VocabularyPanel {
            draft: String::new(),
            draft_tokens: 1,
            target_tokens: 1,
            shared: 1,
            share_of_draft: 1.0,
            share_of_target: 1.0,
            draft_bytes_per_token: None,
            target_bytes_per_token: None,
            shared_mass: Estimate::default(),
        };
        let mut names = [names(Seconds::default()), names(panel)].concat();
        let plain = ["draft", "shared", "draft_tokens", "target_tokens"];
        names.retain(|name| !plain.contains(&name.as_str()));
        names
    }

    #[test]
    fn reports_survive_the_file() {
        let text = serde_json::to_string(&report()).expect("text");
        let read: Report = serde_json::from_str(&text).expect("a report");
        let value: serde_json::Value = serde_json::from_str(&text).expect("a value");
        assert_eq!(serde_json::to_value(read).expect("a value"), value);
    }
}
