//! Speed-ups as foretold beside those measured: a row a case.

use super::frame::{Scale, ceiling, label, reach};
use super::svg::{Bar, Drawing, Figure, Mark};
use super::{Chart, WIDTH};
use crate::bench::record::Costs;
use crate::report::view::ShownCase;

const ROW: f64 = 40.0;
const LEFT: f64 = 4.0;
const RIGHT: f64 = WIDTH - 12.0;

pub(super) fn chart(cases: &[ShownCase<'_>]) -> Option<Chart> {
    let costed: Vec<_> =
        cases.iter().filter_map(|own| Some((own, own.case.costs.as_ref()?))).collect();
    let figures = || costed.iter().map(|(_, costs)| *costs);
    let foretold = figures().flat_map(|own| [Some(own.predicted), own.leviathan]).flatten();
    let most = foretold.fold(reach(figures().map(|own| &own.measured)), f64::max);
    if costed.is_empty() {
        return None;
    }
    let title = "Speed-up of decoding";
    let mut drawing = Drawing::new(title);
    let has_leviathan = figures().any(|own| own.leviathan.is_some());
    let names = ["measured", "foretold", "by Leviathan et al."];
    drawing.legend(names.into_iter().take(if has_leviathan { 3 } else { 2 }));
    let scale = Scale::new((0.0, ceiling(most.max(1.0))), (LEFT, RIGHT));
    let top = drawing.bottom + 6.0;
    let bottom = top + ROW * costed.len() as f64 + 4.0;
    for tick in scale.ticks(6) {
        let x = scale.at(tick);
        drawing.line(if tick == 0.0 { "axis" } else { "grid" }, (x, top), (x, bottom));
        drawing.text("tick mid", (x, bottom + 15.0), &label(tick));
    }
    drawing.line("rule", (scale.at(1.0), top), (scale.at(1.0), bottom));
    let middle = f64::midpoint(LEFT, RIGHT);
    drawing.text("mid", (middle, bottom + 32.0), "times the speed of plain decoding");
    for (index, (shown, costs)) in costed.into_iter().enumerate() {
        let begin = top + ROW * index as f64;
        drawing.name("name", (LEFT + 6.0, begin + 13.0), &shown.name, 56);
        marks(&mut drawing, &scale, begin + 21.0, (shown, costs));
    }
    drawing.bottom = bottom + 34.0;
    Some(Chart::new(title.to_owned(), drawing))
}

fn marks(drawing: &mut Drawing, scale: &Scale, y: f64, (shown, costs): (&ShownCase<'_>, &Costs)) {
    let foretold = [("leviathan", costs.leviathan), ("predicted", Some(costs.predicted))];
    for (series, (field, value)) in [2, 1].into_iter().zip(foretold) {
        let Some(value) = value else { continue };
        let what = format!("{}, foretold ({field})", shown.name);
        let figure = Figure::single(&what, shown.at.to("costs").to(field), value);
        drawing.open(&format!("s{series}"));
        drawing.figure(&figure, &Mark::of(series, (scale.at(value), y + 10.0), 4.0), None);
        drawing.close();
    }
    let own = costs.measured;
    let Some(value) = own.value else { return };
    let bar = own.low.zip(own.high).map(|(low, high)| Bar {
        from: (scale.at(low), y),
        to: (scale.at(high), y),
        pale: false,
    });
    let what = format!("{}, measured", shown.name);
    let figure = Figure { what: &what, at: shown.at.to("costs/measured"), own };
    drawing.open("s0");
    drawing.figure(&figure, &Mark::of(0, (scale.at(value), y), 4.0), bar);
    drawing.close();
}
