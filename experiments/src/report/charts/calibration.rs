//! Acceptance by what the draft said of a candidate: its probability, and the entropy of its law.

use super::frame::{Frame, ceiling, reach};
use super::svg::{Bar, Drawing, Figure, Mark};
use super::{Chart, Group};
use crate::bench::record::{AcceptanceBin, Metrics};
use crate::report::view::ShownCase;

/// What the draft said, of which bins are drawn.
#[derive(Clone, Copy)]
struct Said {
    title: &'static str,
    across: &'static str,
    field: &'static str,
    bins: fn(&Metrics) -> &[AcceptanceBin],
}

pub(super) fn by_probability(group: &Group<'_>) -> Option<Chart> {
    let said = Said {
        title: "Acceptance by probability",
        across: "the draft's probability of the candidate",
        field: "acceptance_by_probability",
        bins: |metrics| &metrics.acceptance_by_probability,
    };
    let (mut drawing, frame) = said.frame(group, |_| 1.0)?;
    frame.diagonal(&mut drawing, 1.0);
    frame.mark_across(&mut drawing, &frame.x.ticks(5));
    Some(said.chart(group, drawing, frame))
}

pub(super) fn by_entropy(group: &Group<'_>) -> Option<Chart> {
    let said = Said {
        title: "Acceptance by entropy",
        across: "entropy of the draft's law (nats)",
        field: "acceptance_by_entropy",
        bins: |metrics| &metrics.acceptance_by_entropy,
    };
    let end = |bin: &AcceptanceBin| bin.to.unwrap_or(bin.from + 0.5);
    let (mut drawing, frame) = said.frame(group, end)?;
    frame.mark_across(&mut drawing, &frame.x.ticks(8));
    Some(said.chart(group, drawing, frame))
}

impl Said {
    fn of<'a>(self, shown: &'a ShownCase<'a>) -> &'a [AcceptanceBin] {
        (self.bins)(&shown.case.overall)
    }

    /// A frame that reaches as far as the bins' ends; `None` where there are no bins.
    fn frame(self, group: &Group<'_>, end: fn(&AcceptanceBin) -> f64) -> Option<(Drawing, Frame)> {
        let bins = || group.cases.iter().flat_map(|own| self.of(own));
        let to = bins().map(end).fold(0.0, f64::max);
        if to == 0.0 {
            return None;
        }
        let mut drawing = Drawing::new(&format!("{}, {}", self.title, group.title));
        drawing.legend(group.cases.iter().map(|own| own.name.as_str()));
        let most = ceiling(reach(bins().map(|bin| &bin.acceptance)).min(1.0));
        let up = (most, "accepted / candidates whose turn came");
        let frame = Frame::new(&mut drawing, ((0.0, to), self.across), up);
        Some((drawing, frame))
    }

    fn chart(self, group: &Group<'_>, mut drawing: Drawing, frame: Frame) -> Chart {
        for (series, shown) in group.cases.iter().enumerate() {
            let bins = self.of(shown);
            let aside = (series as f64 - (group.cases.len() - 1) as f64 / 2.0) * 5.0;
            let most = bins.iter().map(|bin| bin.candidates).max().unwrap_or(1) as f64;
            let x = |bin: &AcceptanceBin| {
                let to = bin.to.unwrap_or(bin.from + 0.5);
                frame.x.at(f64::midpoint(bin.from, to)) + aside
            };
            let place = |bin| Some((x(bin), frame.y.at(bin.acceptance.value?)));
            drawing.open(&format!("s{series}"));
            drawing.path("line pale", &bins.iter().filter_map(place).collect::<Vec<_>>());
            for (index, bin) in bins.iter().enumerate() {
                let Some(place) = place(bin) else { continue };
                let to = bin.to.map_or_else(|| "on".to_owned(), |to| format!("to {to}"));
                let what =
                    format!("{}, {} candidates from {} {to}", shown.name, bin.candidates, bin.from);
                let at = shown.at.to("overall").to(self.field).index(index).to("acceptance");
                let size = 2.0 + 3.0 * (bin.candidates as f64 / most).sqrt();
                let bar = frame.bar(place.0, &bin.acceptance).map(|bar| Bar { pale: true, ..bar });
                let figure = Figure { what: &what, at, own: bin.acceptance };
                drawing.figure(&figure, &Mark::of(series, place, size), bar);
            }
            drawing.close();
        }
        Chart::new(format!("{}, {}", self.title, group.title), drawing)
    }
}
