//! What is reported: one run, or several side by side. Pairs their cases where that can be done, and says
//! why where it cannot. Knows records and where figures stand, not how they look.

use anyhow::{Result, bail};
use serde::Serialize;

use super::words::At;
use crate::bench::compare::Run;
use crate::bench::paired::{figures, sums};
use crate::bench::record::{
    CaseDifference, CaseSettings, CaseSummary, Header, Report, SCHEMA, Settings,
};
use crate::statistics::Resampling;

/// One run, or several.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    schema: u32,
    kind: &'static str,
    runs: Vec<Named<'a>>,
    /// Cases of later runs against those of the first, on the prompts that both have.
    differences: Vec<CaseDifference>,
    /// Why other runs are not compared.
    not_compared: Vec<String>,
}

/// A run and what it is called among others.
#[derive(Debug, Serialize)]
struct Named<'a> {
    name: String,
    report: &'a Report,
}

/// A run in its view.
#[derive(Clone, Debug)]
pub(crate) struct Shown<'a> {
    /// Its name; empty where it is alone.
    pub(crate) name: &'a str,
    /// Where its report stands.
    pub(crate) at: At,
    /// Its report.
    pub(crate) report: &'a Report,
}

/// A case in its view.
#[derive(Clone, Debug)]
pub(crate) struct ShownCase<'a> {
    /// Its name, the run's before it where there are several.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) at: At,
    /// Itself.
    pub(crate) case: &'a CaseSummary,
}

impl<'a> View<'a> {
    /// A run alone.
    pub fn of(report: &'a Report) -> Self {
        let runs = vec![Named { name: String::new(), report }];
        let (differences, not_compared) = (Vec::new(), Vec::new());
        Self { schema: SCHEMA, kind: "reports", runs, differences, not_compared }
    }

    /// Runs that were read back, each by the last part of its folder's name that tells it apart.
    pub fn of_runs(runs: &'a [Run], resampling: Resampling) -> Result<Self> {
        let [first, later @ ..] = runs else { bail!("there is no run to report") };
        let mut view = Self::of(&first.report);
        if later.is_empty() {
            return Ok(view);
        }
        let names = names(&runs.iter().map(|run| run.path.as_str()).collect::<Vec<_>>());
        let named = names.into_iter().zip(runs);
        view.runs = named.map(|(name, run)| Named { name, report: &run.report }).collect();
        for (index, run) in later.iter().enumerate() {
            let names = [&view.runs[0].name, &view.runs[index + 1].name];
            match what_differs(&first.report.header, &run.report.header) {
                Some(what) => view.not_compared.push(format!(
                    "{} is not compared with {}: {what}, so a difference would not be that of the \
                     drafts or methods",
                    names[1], names[0]
                )),
                None => {
                    view.differences.extend(paired((first, names[0]), (run, names[1]), resampling));
                }
            }
        }
        Ok(view)
    }

    /// The runs.
    pub(crate) fn runs(&self) -> Vec<Shown<'_>> {
        let alone = self.runs.len() == 1;
        let place = |index: usize| {
            if alone { At::default() } else { At::default().to("runs").index(index).to("report") }
        };
        let runs = self.runs.iter().enumerate();
        runs.map(|(index, own)| Shown { name: &own.name, at: place(index), report: own.report })
            .collect()
    }

    /// The only run.
    pub(crate) fn only(&self) -> Option<&'a Report> {
        match self.runs[..] {
            [Named { report, .. }] => Some(report),
            _ => None,
        }
    }

    /// The methods of all runs; plain decoding, whose rate stands with each method's, only where it is
    /// alone.
    pub(crate) fn cases(&self) -> Vec<ShownCase<'_>> {
        self.runs().iter().flat_map(Shown::cases).collect()
    }

    /// Differences between cases, with the names under which these are shown and where each stands.
    pub(crate) fn differences(&self) -> Vec<(At, CaseDifference)> {
        let mut found = Vec::new();
        for run in self.runs() {
            for (index, own) in run.report.differences.iter().enumerate() {
                let mut own = own.clone();
                (own.from, own.to) = (run.prefixed(&own.from), run.prefixed(&own.to));
                found.push((run.at.to("differences").index(index), own));
            }
        }
        let across = self.differences.iter().enumerate();
        found
            .extend(across.map(|(i, own)| (At::default().to("differences").index(i), own.clone())));
        found
    }

    /// Why runs are not compared.
    pub(crate) fn not_compared(&self) -> &[String] {
        &self.not_compared
    }

    /// The JSON that figures stand in: of a run alone its report.
    pub(crate) fn json(&self) -> Result<String> {
        let text = match self.only() {
            Some(report) => serde_json::to_string_pretty(report)?,
            None => serde_json::to_string_pretty(self)?,
        };
        Ok(text + "\n")
    }
}

impl<'a> Shown<'a> {
    /// Its cases that speculate, or plain decoding where there are none.
    pub(crate) fn cases(&self) -> Vec<ShownCase<'a>> {
        let speculative = self.report.cases.iter().any(|case| !case.settings.is_plain());
        let cases = self.report.cases.iter().enumerate();
        let shown = cases.filter(|(_, case)| !speculative || !case.settings.is_plain());
        let named = shown.map(|(index, case)| ShownCase {
            name: self.prefixed(&case.case),
            at: self.at.to("cases").index(index),
            case,
        });
        named.collect()
    }

    fn prefixed(&self, case: &str) -> String {
        if self.name.is_empty() { case.to_owned() } else { format!("{}/{case}", self.name) }
    }
}

/// The shortest ends of paths that tell them apart; numbers behind equal ones.
fn names(paths: &[&str]) -> Vec<String> {
    let parts: Vec<Vec<&str>> = paths
        .iter()
        .map(|path| path.split('/').filter(|part| !part.is_empty() && *part != ".").collect())
        .collect();
    let longest = parts.iter().map(Vec::len).max().unwrap_or(1);
    let ends = |count: usize| -> Vec<String> {
        parts.iter().map(|own| own[own.len().saturating_sub(count)..].join("/")).collect()
    };
    let is_unique =
        |names: &Vec<String>| (1..names.len()).all(|index| !names[..index].contains(&names[index]));
    (1..=longest).map(ends).find(is_unique).unwrap_or_else(|| {
        let numbered = ends(longest).into_iter().enumerate();
        numbered.map(|(index, name)| format!("{name}#{}", index + 1)).collect()
    })
}

/// What makes two runs no pair.
fn what_differs(a: &Header, b: &Header) -> Option<String> {
    let (ours, theirs) = (&a.settings, &b.settings);
    let same = |what: &str, same: bool| (!same).then(|| format!("their {what} differ"));
    let weights = |header: &Header| header.target.weights_sha256.clone();
    same("prompts", a.prompts.sha256 == b.prompts.sha256)
        .or_else(|| same("targets", a.target.name == b.target.name && weights(a) == weights(b)))
        .or_else(|| same("limits of new tokens", ours.max_new == theirs.max_new))
        .or_else(|| same("templates", ours.template == theirs.template))
        .or_else(|| {
            let law =
                |own: &Settings| (own.top_k, own.top_p, own.repetition_penalty, own.ignore_eos);
            same("sampling settings", law(ours) == law(theirs))
        })
}

/// Each case of a run against the one of its name in the first run, or else the first at its temperature.
fn paired(
    (first, first_name): (&Run, &str),
    (run, name): (&Run, &str),
    resampling: Resampling,
) -> Vec<CaseDifference> {
    let mut found = Vec::new();
    for (case, settings) in run.cases() {
        let same = |other: &&(&str, &CaseSettings)| other.1.temperature == settings.temperature;
        let cases = first.cases();
        let of_name = cases.iter().filter(same).find(|other| other.0 == case);
        let Some((from, _)) = of_name.or_else(|| cases.iter().find(same)) else { continue };
        let sums = (sums(&first.records, from), sums(&run.records, case));
        let (prompts, figures) = figures(sums.0, sums.1, resampling);
        let (from, to) = (format!("{first_name}/{from}"), format!("{name}/{case}"));
        found.push(CaseDifference { from, to, prompts, figures });
    }
    found
}
