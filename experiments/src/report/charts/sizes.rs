//! Speed-up by the number of candidates: of a chain by gamma, of a tree by its nodes. What was measured,
//! and what the costs foretell.

use super::frame::{Frame, ceiling, reach, whole_ticks};
use super::svg::{Drawing, Figure, Mark};
use super::{Chart, SERIES};
use crate::bench::record::{CaseSettings, Costs};
use crate::report::view::{Shown, ShownCase, View};
use crate::report::words::At;

/// What is varied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Gamma,
    Nodes,
}

impl Size {
    fn of(self, settings: &CaseSettings) -> usize {
        match self {
            Self::Gamma => settings.gamma,
            Self::Nodes => settings.tree.map_or(0, |tree| tree.nodes),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Gamma => "Speed-up by gamma",
            Self::Nodes => "Speed-up by tree size",
        }
    }

    fn across(self) -> &'static str {
        match self {
            Self::Gamma => "candidates in a row (gamma)",
            Self::Nodes => "candidates of a tree (nodes)",
        }
    }
}

/// Cases that differ in their size only.
struct Series<'a> {
    name: String,
    size: Size,
    cases: Vec<ShownCase<'a>>,
}

pub(super) fn charts(view: &View<'_>) -> Vec<Chart> {
    let runs = view.runs();
    let series: Vec<Series<'_>> = runs.iter().flat_map(of_run).collect();
    let mut temperatures: Vec<f64> = series.iter().map(Series::temperature).collect();
    temperatures.sort_by(f64::total_cmp);
    temperatures.dedup();
    let mut charts = Vec::new();
    for temperature in temperatures {
        for size in [Size::Gamma, Size::Nodes] {
            let is_here = |own: &&Series| own.size == size && own.temperature() == temperature;
            let own: Vec<&Series> = series.iter().filter(is_here).collect();
            // Where nothing is varied there is nothing to see.
            if own.iter().all(|own| own.foretold().len() < 2) {
                continue;
            }
            for own in own.chunks(SERIES) {
                charts.push(chart(&format!("{}, temperature {temperature}", size.title()), own));
            }
        }
    }
    charts
}

fn of_run<'a>(run: &Shown<'a>) -> Vec<Series<'a>> {
    let several = run.report.header.drafts.len() > 1;
    let mut found: Vec<Series<'a>> = Vec::new();
    for shown in run.cases().into_iter().filter(|own| own.case.costs.is_some()) {
        let settings = &shown.case.settings;
        if let Some(own) = found.iter_mut().find(|own| own.takes(settings)) {
            own.cases.push(shown);
        } else {
            let draft = if several { format!("{} ", settings.draft) } else { String::new() };
            let run = if run.name.is_empty() { String::new() } else { format!("{}/", run.name) };
            let name = format!("{run}{draft}{}", settings.method);
            found.push(Series { name, size: Size::Gamma, cases: vec![shown] });
        }
    }
    for own in &mut found {
        let nodes: Vec<usize> =
            own.cases.iter().map(|own| Size::Nodes.of(&own.case.settings)).collect();
        let gammas = own.cases.iter().map(|own| own.case.settings.gamma);
        let is_one = gammas.collect::<std::collections::BTreeSet<_>>().len() == 1;
        if nodes[0] > 0 && (is_one || nodes.iter().any(|own| *own != nodes[0])) {
            own.size = Size::Nodes;
        }
        let size = own.size;
        own.cases.sort_by_key(|own| size.of(&own.case.settings));
    }
    found
}

impl Series<'_> {
    fn settings(&self) -> &CaseSettings {
        &self.cases[0].case.settings
    }

    fn temperature(&self) -> f64 {
        self.settings().temperature
    }

    fn takes(&self, other: &CaseSettings) -> bool {
        let own = self.settings();
        let key = |own: &CaseSettings| {
            (own.draft.clone(), own.method.clone(), own.verification, own.siblings)
        };
        key(own) == key(other)
            && own.temperature == other.temperature
            && own.draft_temperature == other.draft_temperature
            && own.tree.map(|tree| tree.beam) == other.tree.map(|tree| tree.beam)
    }

    /// What is foretold, by size: of the largest case for every size below it, where that can be, else of
    /// each case for its own.
    fn foretold(&self) -> Vec<(usize, At, f64)> {
        let costs = |own: &ShownCase<'_>| own.case.costs.clone();
        let last = self.cases.last().and_then(|own| Some((own, costs(own)?)));
        let is_by_size = (self.settings().tree.is_some()) == (self.size == Size::Nodes);
        match last {
            Some((own, Costs { by_size, .. })) if is_by_size && by_size.len() > 2 => {
                let at = |index: usize| own.at.to("costs/by_size").index(index).to("speedup");
                let sizes = by_size.iter().enumerate();
                sizes.map(|(index, own)| (own.candidates, at(index), own.speedup)).collect()
            }
            _ => {
                let of = |own: &ShownCase<'_>| {
                    let size = self.size.of(&own.case.settings);
                    Some((size, own.at.to("costs/predicted"), costs(own)?.predicted))
                };
                self.cases.iter().filter_map(of).collect()
            }
        }
    }
}

fn chart(title: &str, series: &[&Series<'_>]) -> Chart {
    let mut drawing = Drawing::new(title);
    drawing.legend(series.iter().map(|own| own.name.as_str()));
    let foretold: Vec<_> = series.iter().map(|own| own.foretold()).collect();
    let told = || foretold.iter().flatten();
    let costs =
        || series.iter().flat_map(|own| &own.cases).filter_map(|own| own.case.costs.as_ref());
    let most = told().map(|own| own.2).fold(reach(costs().map(|own| &own.measured)), f64::max);
    let sizes =
        series.iter().flat_map(|own| &own.cases).map(|own| series[0].size.of(&own.case.settings));
    let last = sizes.chain(told().map(|own| own.0)).max().unwrap_or(1).max(1);
    let across = ((0.0, last as f64 + 0.5), series[0].size.across());
    let up = (ceiling(most.max(1.0)), "times the speed of plain decoding");
    let frame = Frame::new(&mut drawing, across, up);
    frame.mark_across(&mut drawing, &whole_ticks(0, last));
    frame.rule(&mut drawing, 1.0);
    for (index, (own, foretold)) in series.iter().zip(foretold).enumerate() {
        let aside = (index as f64 - (series.len() - 1) as f64 / 2.0) * 4.0;
        drawing.open(&format!("s{index}"));
        let place = |size: usize, value| (frame.x.at(size as f64), frame.y.at(value));
        let line: Vec<_> = foretold.iter().map(|own| place(own.0, own.2)).collect();
        drawing.path("told", &line);
        for (size, at, value) in foretold {
            let what = format!("{}, foretold for {size}", own.name);
            let mark = Mark::of(index, place(size, value), 2.0).hollow();
            drawing.figure(&Figure::single(&what, at, value), &mark, None);
        }
        for shown in &own.cases {
            measured(&mut drawing, &frame, (index, own.size, aside), shown);
        }
        drawing.close();
    }
    Chart::new(title.to_owned(), drawing)
}

fn measured(
    drawing: &mut Drawing,
    frame: &Frame,
    (series, size, aside): (usize, Size, f64),
    shown: &ShownCase<'_>,
) {
    let Some(own) = shown.case.costs.as_ref().map(|costs| costs.measured) else { return };
    let Some(value) = own.value else { return };
    let x = frame.x.at(size.of(&shown.case.settings) as f64) + aside;
    let what = format!("{}, measured", shown.name);
    let figure = Figure { what: &what, at: shown.at.to("costs/measured"), own };
    drawing.figure(&figure, &Mark::of(series, (x, frame.y.at(value)), 4.0), frame.bar(x, &own));
}
