//! A comparison as people read it: both texts side by side, and what was counted, timed and scored below.
//! It lays out what was found.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Comparison, Ratio, Voice};
use crate::likelihood::Score;
use crate::report::{significant, whole};
use crate::sweep::table::{lines, shown};

const WIDTH: u16 = 100;

/// The whole.
pub fn render(found: &Comparison) -> String {
    let [one, two] = &found.models;
    let mut texts = empty(ContentArrangement::DynamicFullWidth);
    texts.set_header([&one.model, &two.model]);
    texts.add_row([text(one), text(two)]);
    let mut table = empty(ContentArrangement::Dynamic);
    table.set_header(["", &one.model, &two.model, "ratio"]);
    for row in counts(found).into_iter().chain(scores(one, two)) {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "{}\n{}bits per byte: of each text behind the prompt, the prompt behind what stands before every \
         text;\nthe fewer, the more probable. Rates are timed in turns: median [least, most] of {} round(s).\n",
        lines(&texts),
        lines(&table),
        one.decode_seconds.len()
    )
}

fn empty(arrangement: ContentArrangement) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_width(WIDTH).set_content_arrangement(arrangement);
    table
}

fn text(voice: &Voice) -> String {
    let text = shown(&voice.text);
    if text.trim().is_empty() { "(no text)".to_owned() } else { text }
}

fn counts(found: &Comparison) -> Vec<[String; 4]> {
    let [one, two] = &found.models;
    let row = |name: &str, count: fn(&Voice) -> u64, ratio: Option<Ratio>| {
        [
            name.to_owned(),
            whole(count(one)),
            whole(count(two)),
            ratio.map_or_else(String::new, shown_ratio),
        ]
    };
    let timed = |name: &str, ratio: Option<Ratio>| {
        ratio.map(|own| [name.to_owned(), String::new(), String::new(), shown_ratio(own)])
    };
    let mut rows = vec![
        row("parameters", |own| own.parameters, None),
        row("tokens of the prompt", |own| own.prompt_ids.len() as u64, None),
        row("tokens", |own| own.tokens as u64, None),
        row("bytes", |own| own.bytes as u64, None),
    ];
    rows.extend(timed("tokens a second", found.tokens_per_second_ratio));
    rows.extend(timed("bytes a second", found.bytes_per_second_ratio));
    rows
}

fn shown_ratio(own: Ratio) -> String {
    format!("{} [{}, {}]", significant(own.value), significant(own.low), significant(own.high))
}

/// A text a row, a model a column.
fn scores(one: &Voice, two: &Voice) -> Vec<[String; 4]> {
    let row = |name: &str, a: Option<Score>, b: Option<Score>| {
        let bits = [a, b].map(|own| own.and_then(|own| own.bits_per_byte));
        let ratio = match bits {
            [Some(a), Some(b)] if b != 0.0 => significant(a / b),
            _ => String::new(),
        };
        let [a, b] = bits.map(|own| own.map_or_else(|| "-".to_owned(), significant));
        [format!("bits per byte, {name}"), a, b, ratio]
    };
    let (a, b) = (&one.scores, &two.scores);
    let mut rows = vec![
        row("the prompt", a.prompt, b.prompt),
        row(&format!("text of {}", one.model), a.own, b.other),
        row(&format!("text of {}", two.model), a.other, b.own),
    ];
    if a.reference.is_some() || b.reference.is_some() {
        rows.push(row("the reference", a.reference, b.reference));
    }
    rows
}
