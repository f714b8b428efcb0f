//! A sweep as people read it: temperatures side by side, as many as fit, and their figures below. It lays
//! out what was found.

use comfy_table::{ContentArrangement, Table, presets};

use super::{Row, Sample};
use crate::bench::figures::Estimate;
use crate::report::significant;

const WIDTH: u16 = 100;
/// Temperatures side by side, at most.
const COLUMNS: usize = 3;

/// The whole.
pub fn render(rows: &[Row]) -> String {
    let mut out = String::new();
    for some in rows.chunks(COLUMNS) {
        out.push_str(&lines(&texts(some)));
        out.push('\n');
    }
    out.push_str(&lines(&figures(rows)));
    out.push_str(
        "distinct-n: n-grams of tokens that differ, of all; repetition: 4-grams that came before, of \
         all;\nlog p: mean natural log-probability of a token by the model's own law, whatever the \
         temperature.\n",
    );
    if rows.iter().any(|row| row.figures.distinct_1.low.is_some()) {
        out.push_str("[low, high] are 95 % intervals: BCa bootstrap over samples.\n");
    }
    out
}

fn empty() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_width(WIDTH);
    table.set_content_arrangement(ContentArrangement::DynamicFullWidth);
    table
}

/// Temperatures as columns, a sample of each in a row.
fn texts(rows: &[Row]) -> Table {
    let mut table = empty();
    table.set_header(rows.iter().map(|row| format!("T {}", row.temperature)));
    let most = rows.iter().map(|row| row.samples.len()).max().unwrap_or(0);
    for index in 0..most {
        let cell = |row: &Row| row.samples.get(index).map_or_else(String::new, cell);
        table.add_row(rows.iter().map(cell));
    }
    table
}

fn cell(sample: &Sample) -> String {
    let text = shown(&sample.text);
    let text = if text.trim().is_empty() { "(no text)".to_owned() } else { text };
    text + "\n "
}

fn figures(rows: &[Row]) -> Table {
    let mut table = empty();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "T",
        "tokens",
        "distinct-1",
        "distinct-2",
        "distinct-3",
        "repetition",
        "log p",
    ]);
    for row in rows {
        let own = &row.figures;
        let cells = [
            own.tokens,
            own.distinct_1,
            own.distinct_2,
            own.distinct_3,
            own.repetition,
            own.mean_logprob,
        ];
        table.add_row([row.temperature.to_string()].into_iter().chain(cells.map(estimate)));
    }
    table
}

/// A figure, with its interval below it.
fn estimate(own: Estimate) -> String {
    let value = own.value.map_or_else(|| "-".to_owned(), significant);
    match (own.low, own.high) {
        (Some(low), Some(high)) => {
            format!("{value}\n[{}, {}]", significant(low), significant(high))
        }
        _ => value,
    }
}

/// A text whose lines stay lines; other control characters are named.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        match character {
            '\n' => shown.push('\n'),
            '\t' => shown.push_str("    "),
            other if other.is_control() => shown.extend(other.escape_unicode()),
            other => shown.push(other),
        }
    }
    shown
}

/// A table's lines without the spaces at their ends.
pub(crate) fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}
