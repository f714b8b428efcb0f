//! Acceptance by category: a row a category, a mark a case.

use super::frame::{Scale, ceiling, label, reach};
use super::svg::{Bar, Drawing, Figure, Mark};
use super::{Chart, Group, WIDTH};
use crate::bench::record::Metrics;
use crate::report::words::At;

const LEFT: f64 = 126.0;
const NAME: usize = 17;

/// A row: its name, and the metrics of each case that has some.
type Row<'a> = (&'a str, Vec<(usize, At, &'a Metrics)>);

pub(super) fn chart(group: &Group<'_>) -> Chart {
    let rows = rows(group);
    let title = format!("Acceptance by category, {}", group.title);
    let mut drawing = Drawing::new(&title);
    drawing.legend(group.cases.iter().map(|own| own.name.as_str()));
    let figures = rows.iter().flat_map(|(_, own)| own);
    let most = ceiling(reach(figures.map(|(_, _, own)| &own.draft_acceptance_rate)).min(1.0));
    let scale = Scale::new((0.0, most), (LEFT, WIDTH - 12.0));
    let height = (6.0 + 7.0 * group.cases.len() as f64).max(20.0);
    let (top, bottom) = (drawing.bottom + 8.0, drawing.bottom + 8.0 + height * rows.len() as f64);
    for tick in scale.ticks(5) {
        let x = scale.at(tick);
        drawing.line(if tick == 0.0 { "axis" } else { "grid" }, (x, top), (x, bottom));
        drawing.text("tick mid", (x, bottom + 15.0), &label(tick));
    }
    let middle = f64::midpoint(LEFT, WIDTH - 12.0);
    drawing.text("mid", (middle, bottom + 32.0), "accepted / candidates");
    for (index, (name, own)) in rows.iter().enumerate() {
        let begin = top + height * index as f64;
        if index > 0 {
            drawing.line("grid", (0.0, begin), (WIDTH - 12.0, begin));
        }
        let class = if index == 0 { "head end" } else { "name end" };
        drawing.name(class, (LEFT - 8.0, begin + height / 2.0 + 4.0), name, NAME);
        for (series, at, metrics) in own {
            let y = begin + height * (*series as f64 + 1.0) / (group.cases.len() as f64 + 1.0);
            let what = format!("{}, {name}", group.cases[*series].name);
            mark(&mut drawing, &scale, (*series, y), (&what, at, metrics));
        }
    }
    drawing.bottom = bottom + 34.0;
    Chart::new(title, drawing)
}

fn mark(
    drawing: &mut Drawing,
    scale: &Scale,
    (series, y): (usize, f64),
    (what, at, metrics): (&str, &At, &Metrics),
) {
    let own = metrics.draft_acceptance_rate;
    let Some(value) = own.value else { return };
    let figure = Figure { what, at: at.to("draft_acceptance_rate"), own };
    let bar = own.low.zip(own.high).map(|(low, high)| Bar {
        from: (scale.at(low), y),
        to: (scale.at(high), y),
        pale: false,
    });
    drawing.open(&format!("s{series}"));
    drawing.figure(&figure, &Mark::of(series, (scale.at(value), y), 3.5), bar);
    drawing.close();
}

/// All prompts first, then category by category.
fn rows<'a>(group: &'a Group<'a>) -> Vec<Row<'a>> {
    let cases = || group.cases.iter().enumerate();
    let all = cases().map(|(index, own)| (index, own.at.to("overall"), &own.case.overall));
    let mut rows: Vec<Row<'a>> = vec![("all prompts", all.collect())];
    let mut names: Vec<&str> = Vec::new();
    for (_, own) in cases() {
        names.extend(own.case.by_category.keys().map(String::as_str));
    }
    names.sort_unstable();
    names.dedup();
    for name in names {
        let own = cases().filter_map(|(index, own)| {
            let metrics = own.case.by_category.get(name)?;
            Some((index, own.at.to("by_category").key(name), metrics))
        });
        rows.push((name, own.collect()));
    }
    rows
}
