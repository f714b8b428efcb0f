//! What a pass of the target takes by its number of candidates: a line a run.

use super::frame::{Frame, ceiling, whole_ticks};
use super::svg::{Drawing, Figure, Mark};
use super::{Chart, SERIES};
use crate::report::view::{Shown, View};

pub(super) fn chart(view: &View<'_>) -> Option<Chart> {
    let has_several = |run: &Shown<'_>| run.report.verify_curve.times().len() > 1;
    let runs: Vec<Shown<'_>> = view.runs().into_iter().filter(has_several).take(SERIES).collect();
    let times = || runs.iter().flat_map(|run| run.report.verify_curve.times());
    let last = times().map(|time| time.candidates).max()?;
    let most = times().map(|time| 1e3 * time.seconds / time.passes as f64).fold(0.0, f64::max);
    let title = "A pass of the target";
    let mut drawing = Drawing::new(title);
    if runs.len() > 1 {
        drawing.legend(runs.iter().map(|run| run.name));
    }
    let across = ((0.0, last as f64), "candidates it verifies");
    let frame = Frame::new(&mut drawing, across, (ceiling(most), "milliseconds"));
    frame.mark_across(&mut drawing, &whole_ticks(0, last));
    for (series, run) in runs.iter().enumerate() {
        let times = run.report.verify_curve.times();
        let place = |index: usize| {
            let time = &times[index];
            let mean = 1e3 * time.seconds / time.passes as f64;
            (frame.x.at(time.candidates as f64), frame.y.at(mean))
        };
        drawing.open(&format!("s{series}"));
        drawing.path("line", &(0..times.len()).map(place).collect::<Vec<_>>());
        for (index, time) in times.iter().enumerate() {
            let what =
                format!("seconds of {} pass(es) over {} candidates", time.passes, time.candidates);
            let at = run.at.to("verify_curve").index(index).to("seconds");
            let figure = Figure::single(&what, at, time.seconds);
            drawing.figure(&figure, &Mark::of(series, place(index), 2.5), None);
        }
        drawing.close();
    }
    Some(Chart::new(title.to_owned(), drawing))
}
