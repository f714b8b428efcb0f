//! The figures as text for a terminal. Knows how they are written, not what they mean.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Figure, Measured, Pass, Report};
use crate::report::{scaled, significant};

/// The figures as text.
pub fn render(report: &Report) -> String {
    let mut lines = vec![format!(
        "{}: {} parameters, on {} with {} threads",
        report.model,
        scaled(report.parameters, &["", "K", "M", "B"], 1e3),
        report.device,
        report.threads
    )];
    lines.extend(report.note.clone());
    lines.push(format!(
        "decoding: {} tokens behind {} ids; a prompt: {} ids; passes: behind {} ids; {} rounds\n\n",
        report.tokens, report.prompt, report.prefill, report.prefix, report.rounds
    ));
    let mut text = lines.join("\n");
    text += &decoding(&report.dtypes);
    for (name, of) in
        [("tree", (|own| &own.trees) as fn(&Measured) -> &Vec<Pass>), ("row", |own| &own.rows)]
    {
        text.push('\n');
        text += &passes(name, &report.dtypes, of);
    }
    text + "\nmedian [least, greatest] of the rounds; the floor is the time to read the weights' bytes\n"
}

fn decoding(dtypes: &[Measured]) -> String {
    let header = ["dtype", "tokens/s", "share of the floor", "floor, ms", "prompt, ids/s"];
    let missing = || "-".to_owned();
    let row = |own: &Measured| {
        vec![
            own.dtype.clone(),
            figure(&own.tokens_per_second, 1.0),
            own.share_of_floor.as_ref().map_or_else(missing, |own| figure(own, 1.0)),
            own.floor_seconds.as_ref().map_or_else(missing, |own| figure(own, 1e3)),
            figure(&own.prefill_per_second, 1.0),
        ]
    };
    table(&header.map(str::to_owned), dtypes.iter().map(row))
}

/// Passes over one kind of several ids, a row an element type.
fn passes(name: &str, dtypes: &[Measured], of: fn(&Measured) -> &Vec<Pass>) -> String {
    let sizes = dtypes.first().map(of).into_iter().flatten().map(|pass| pass.ids);
    let mut header = vec!["dtype".to_owned()];
    header.extend(sizes.map(|ids| match ids {
        1 => format!("{name} of 1, ms"),
        _ => format!("of {ids} / of 1"),
    }));
    let row = |own: &Measured| {
        let cells = of(own).iter().map(|pass| match pass.ids {
            1 => figure(&pass.seconds, 1e3),
            _ => figure(&pass.of_one, 1.0),
        });
        std::iter::once(own.dtype.clone()).chain(cells).collect()
    };
    table(&header, dtypes.iter().map(row))
}

fn table(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table.add_rows(rows);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if place > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn figure(figure: &Figure, scale: f64) -> String {
    let [median, low, high] =
        [figure.median, figure.low, figure.high].map(|own| significant(scale * own));
    format!("{median} [{low}, {high}]")
}
