//! Survival: the share of steps with at least so many candidates accepted.

use super::frame::{Frame, ceiling, reach, whole_ticks};
use super::svg::{Drawing, Figure, Mark};
use super::{Chart, Group};

/// How far the marks of two series at one place are apart.
const APART: f64 = 5.0;

pub(super) fn chart(group: &Group<'_>) -> Option<Chart> {
    let series = || group.cases.iter().map(|own| &own.case.overall.acceptance_by_position);
    let positions = series().map(Vec::len).max().filter(|most| *most > 0)?;
    let title = format!("Survival by position, {}", group.title);
    let mut drawing = Drawing::new(&title);
    drawing.legend(group.cases.iter().map(|own| own.name.as_str()));
    let most = ceiling(reach(series().flatten()));
    let across = ((0.5, positions as f64 + 0.5), "candidates accepted, at least");
    let frame = Frame::new(&mut drawing, across, (most, "share of all steps"));
    frame.mark_across(&mut drawing, &whole_ticks(1, positions));
    for (index, shown) in group.cases.iter().enumerate() {
        let aside = (index as f64 - (group.cases.len() - 1) as f64 / 2.0) * APART;
        let own = &shown.case.overall.acceptance_by_position;
        let place =
            |position: usize, value| (frame.x.at(position as f64 + 1.0) + aside, frame.y.at(value));
        let values = own.iter().enumerate();
        let points: Vec<_> = values.filter_map(|(i, own)| Some(place(i, own.value?))).collect();
        drawing.open(&format!("s{index}"));
        drawing.path("line", &points);
        for (position, estimate) in own.iter().enumerate() {
            let Some(value) = estimate.value else { continue };
            let (x, y) = place(position, value);
            let at = shown.at.to("overall/acceptance_by_position").index(position);
            let what = format!("{}, at least {} accepted", shown.name, position + 1);
            let figure = Figure { what: &what, at, own: *estimate };
            let mark = Mark::of(index, (x, y), 3.5);
            drawing.figure(&figure, &mark, frame.bar(x, estimate));
        }
        drawing.close();
    }
    Some(Chart::new(title, drawing))
}
