//! The charts of a report, one file a kind, drawn as SVG by hand: text stays text, colours are CSS
//! variables, and each mark carries its exact value and where that stands in `report.json`. A chart is as
//! wide as a phone's page. Knows figures; computes none.

mod calibration;
mod categories;
mod frame;
mod passes;
mod predicted;
mod sizes;
mod survival;
mod svg;
mod time;

use std::fmt::Write;

use clap::ValueEnum;

use super::view::{ShownCase, View};
use svg::Drawing;
pub(crate) use svg::escaped;

/// Colours and strokes of all charts.
pub(crate) const STYLE: &str = include_str!("charts.css");

/// The colours of a sheet that stands alone: a paper is white.
pub(crate) const PALETTE: [(&str, &str); 16] = [
    ("--ink", "#1a1d21"),
    ("--muted", "#5a6270"),
    ("--grid", "#e3e6ea"),
    ("--page", "#ffffff"),
    ("--s0", "#1f62b0"),
    ("--s1", "#c4540f"),
    ("--s2", "#14806a"),
    ("--s3", "#9a3a8a"),
    ("--s4", "#8a6a00"),
    ("--s5", "#56606e"),
    ("--prefill", "#9aa3af"),
    ("--draft", "#1f62b0"),
    ("--align", "#14806a"),
    ("--verify", "#c4540f"),
    ("--other", "#d9b650"),
    ("--on-part", "#ffffff"),
];

/// Width of every chart.
const WIDTH: f64 = 400.0;

/// Series of a chart at most, each with a colour and a mark of its own.
const SERIES: usize = 6;

/// The kinds of charts, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChartKind {
    /// Share of steps with at least so many candidates accepted.
    Survival,
    /// Acceptance by category.
    Categories,
    /// Speed-up by the number of candidates.
    Sizes,
    /// Acceptance by the draft's probability of a candidate.
    Probability,
    /// Acceptance by the entropy of the draft's law.
    Entropy,
    /// What the time went into.
    Time,
    /// Speed-up as foretold and as measured.
    Predicted,
    /// What a pass of the target takes by its number of candidates.
    Passes,
}

impl ChartKind {
    /// What a page calls them.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Survival => "Survival by position",
            Self::Categories => "Acceptance by category",
            Self::Sizes => "Speed-up by the number of candidates",
            Self::Probability => "Calibration: acceptance by the draft's probability",
            Self::Entropy => "Acceptance by the draft's entropy",
            Self::Time => "Where the time goes",
            Self::Predicted => "Speed-up as foretold and as measured",
            Self::Passes => "What a pass of the target takes",
        }
    }

    /// What they show, for people who see them for the first time.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Self::Survival => {
                "Share of all steps in which at least so many candidates were accepted; bars are 95 % \
                 intervals."
            }
            Self::Categories => {
                "Accepted / candidates, pooled over the prompts of a category; for trees of the nodes. \
                 Bars are 95 % intervals; a category of fewer than five prompts has none."
            }
            Self::Sizes => {
                "Solid marks are measured, with 95 % intervals; dashed lines are foretold by the costs of \
                 passes and the survival of candidates. 1 is plain decoding; both prefills are left out."
            }
            Self::Probability => {
                "How often a candidate was accepted where its turn came, by the draft's probability of it. \
                 On the diagonal, the draft is calibrated. Small marks are of few candidates."
            }
            Self::Entropy => {
                "The same by how uncertain the draft was. Small marks are of few candidates."
            }
            Self::Time => "Shares of the wall time of each case.",
            Self::Predicted => {
                "Measured with 95 % interval; foretold by the costs of passes, and by Leviathan et al. for \
                 chains, where verification is free. 1 is plain decoding; both prefills are left out."
            }
            Self::Passes => {
                "Seconds of one pass that reads so many candidates, measured behind a prompt when all \
                 else was done."
            }
        }
    }

    /// All of its charts; none where there is nothing to show.
    pub(crate) fn charts(self, view: &View<'_>) -> Vec<Chart> {
        let cases = view.cases();
        match self {
            Self::Survival => each(&groups(&cases, SERIES), survival::chart),
            Self::Categories => groups(&cases, SERIES).iter().map(categories::chart).collect(),
            Self::Sizes => sizes::charts(view),
            Self::Probability => each(&groups(&cases, 3), calibration::by_probability),
            Self::Entropy => each(&groups(&cases, 3), calibration::by_entropy),
            Self::Time => time::chart(&cases).into_iter().collect(),
            Self::Predicted => predicted::chart(&cases).into_iter().collect(),
            Self::Passes => passes::chart(view).into_iter().collect(),
        }
    }
}

fn each(groups: &[Group<'_>], chart: fn(&Group<'_>) -> Option<Chart>) -> Vec<Chart> {
    groups.iter().filter_map(chart).collect()
}

/// Cases that share a chart.
pub(crate) struct Group<'a> {
    /// What they have in common.
    title: String,
    cases: Vec<&'a ShownCase<'a>>,
}

/// Cases of equal temperature, so many a chart, and evenly so.
fn groups<'a>(cases: &'a [ShownCase<'a>], most: usize) -> Vec<Group<'a>> {
    let speculative = || cases.iter().filter(|own| !own.case.settings.is_plain());
    let mut temperatures: Vec<f64> =
        speculative().map(|own| own.case.settings.temperature).collect();
    temperatures.sort_by(f64::total_cmp);
    temperatures.dedup();
    let mut groups = Vec::new();
    for temperature in temperatures {
        let own: Vec<_> =
            speculative().filter(|own| own.case.settings.temperature == temperature).collect();
        let charts = own.len().div_ceil(most);
        for (index, cases) in own.chunks(own.len().div_ceil(charts)).enumerate() {
            let part =
                if charts == 1 { String::new() } else { format!(" ({} of {charts})", index + 1) };
            let title = format!("temperature {temperature}{part}");
            groups.push(Group { title, cases: cases.to_vec() });
        }
    }
    groups
}

/// A chart.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    title: String,
    height: f64,
    body: String,
}

impl Chart {
    fn new(title: String, drawing: Drawing) -> Self {
        let (height, body) = drawing.finish();
        Self { title, height, body }
    }

    /// As an element of a page.
    pub(crate) fn inline(&self) -> String {
        let title = escaped(&self.title);
        format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{title}\">{}</svg>",
            self.height, self.body
        )
    }
}

/// Charts below each other as a file of their own.
pub(crate) fn sheet(charts: &[Chart]) -> String {
    let empty = [Chart::new(String::new(), Drawing::new("There is no figure to draw yet"))];
    let charts = if charts.is_empty() { &empty } else { charts };
    let height: f64 = charts.iter().map(|chart| chart.height).sum();
    let style = PALETTE.iter().fold(STYLE.to_owned(), |style, (name, colour)| {
        style.replace(&format!("var({name})"), colour)
    });
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" class=\"chart\">\n<style>{style}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let mut top = 0.0;
    for chart in charts {
        let _ = writeln!(text, "<g transform=\"translate(0 {top})\">{}</g>", chart.body);
        top += chart.height;
    }
    text + "</svg>\n"
}
