//! Figures of runs, each with where it comes from: for the tables of a card and for the Hub's index of
//! results. An evaluation is read by its form, so that it may be of any suite: a figure is an object with a
//! `value` and an error or limits, or a loss. Computes nothing.

use std::path::Path;

use serde_json::Value;

use super::evidence::{Evaluation, Evidence, Run};
use crate::bench::record::{Estimate, Report};

/// Single numbers of an evaluation that are figures; others are counts and settings.
const FIGURES: [&str; 2] = ["loss", "perplexity"];

/// A number, and how sure it is: its 95 % interval, its standard error.
type Figure = (f64, Option<(f64, f64)>, Option<f64>);

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The name of the run.
    pub run: String,
    /// What was done: an evaluation, or speculative decoding.
    pub task: Task,
    /// On what: a suite and its data, or prompts.
    pub data: Data,
    /// What it is of, where a run has several: a case, a task of a suite.
    pub of: Option<String>,
    /// Its name, in the words of the report.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its 95 % interval.
    pub interval: Option<(f64, f64)>,
    /// Its standard error.
    pub error: Option<f64>,
    /// Whether it is one of a list, such as of a suite's parts.
    pub is_part: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Texts were scored.
    Evaluation,
    /// The model drafted.
    Drafting,
}

/// What it was done on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The suite, or the prompts.
    pub name: String,
    /// Files.
    pub source: String,
    /// SHA-256 of what was read.
    pub sha256: Option<String>,
    /// How much of it was read, where that is less than all.
    pub limit: Option<u64>,
}

/// All figures of runs, drafting by others than the card's model left out.
pub fn all(runs: &[Run], parameters: u64) -> Vec<Measured> {
    let of = |run: &Run| match &run.evidence {
        Evidence::Evaluation(own) => evaluation(&run.name, own),
        Evidence::Bench(report) => bench(&run.name, report, parameters),
        Evidence::Training(_) | Evidence::Lossless(_) => Vec::new(),
    };
    runs.iter().flat_map(of).collect()
}

fn text(report: &Value, path: &str) -> Option<String> {
    report.pointer(path).and_then(Value::as_str).map(str::to_owned)
}

/// The figures of a report of `spec eval`, whatever its suite.
fn evaluation(run: &str, own: &Evaluation) -> Vec<Measured> {
    let report = &own.report;
    let suite = text(report, "/header/suite").or_else(|| text(report, "/suite"));
    let source = text(report, "/header/data/source").unwrap_or_default();
    // Perplexity is no data: the texts are.
    let texts = || Path::new(&source).file_name().map(|own| own.to_string_lossy().into_owned());
    let name = suite.filter(|suite| suite != "perplexity").or_else(texts);
    let data = Data {
        name: name.unwrap_or_else(|| "texts".to_owned()),
        source,
        sha256: text(report, "/header/data/sha256"),
        limit: report.pointer("/header/limit").and_then(Value::as_u64),
    };
    let results = ["results", "figures"].iter().find_map(|name| report.get(name));
    let mut walk = Walk { run, data, found: Vec::new() };
    if let Some(results) = results {
        walk.visit(results, &mut Vec::new(), false);
    }
    walk.found
}

/// The way through an evaluation's results.
struct Walk<'a> {
    run: &'a str,
    data: Data,
    found: Vec<Measured>,
}

impl Walk<'_> {
    fn visit(&mut self, value: &Value, path: &mut Vec<String>, is_part: bool) {
        match value {
            Value::Object(fields) => {
                if let Some(own) = figure(value) {
                    self.add(path, own, is_part);
                    return;
                }
                for (name, field) in fields {
                    path.push(name.clone());
                    match field.as_f64().filter(|_| FIGURES.contains(&name.as_str())) {
                        Some(number) => self.add(path, (number, None, None), is_part),
                        None => self.visit(field, path, is_part),
                    }
                    path.pop();
                }
            }
            // What is in a list is called by the name that it has.
            Value::Array(items) => {
                for item in items {
                    let name = ["name", "suite", "task"].iter().find_map(|key| item[key].as_str());
                    let Some(name) = name else { continue };
                    path.push(name.to_owned());
                    self.visit(item, path, true);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, path: &[String], (value, interval, error): Figure, is_part: bool) {
        let Some((name, of)) = path.split_last() else { return };
        self.found.push(Measured {
            run: self.run.to_owned(),
            task: Task::Evaluation,
            data: self.data.clone(),
            of: (!of.is_empty()).then(|| of.join(": ")),
            name: name.replace('_', " "),
            value,
            interval,
            error,
            is_part,
        });
    }
}

/// An object that is a figure: a value with limits or an error, as far as they are known.
fn figure(value: &Value) -> Option<Figure> {
    let number = |name: &str| value.get(name).and_then(Value::as_f64);
    let is_figure = ["low", "high", "standard_error"].iter().any(|name| value.get(name).is_some());
    let own = number("value").filter(|_| is_figure)?;
    Some((own, number("low").zip(number("high")), number("standard_error")))
}

/// The figures of the cases of a bench in which a model with so many parameters drafts.
fn bench(run: &str, report: &Report, parameters: u64) -> Vec<Measured> {
    let drafts: Vec<&str> = (report.header.drafts.iter())
        .filter(|own| own.parameters == parameters)
        .map(|own| own.name.as_str())
        .collect();
    let prompts = &report.header.prompts;
    let data = Data {
        name: prompts.source.clone(),
        source: prompts.source.clone(),
        sha256: Some(prompts.sha256.clone()),
        limit: (prompts.run < prompts.total).then_some(prompts.run as u64),
    };
    let mut found = Vec::new();
    for case in report.cases.iter().filter(|case| drafts.contains(&case.settings.draft.as_str())) {
        let all = &case.overall;
        for (name, own) in [
            ("acceptance rate", all.draft_acceptance_rate),
            ("mean acceptance length", all.mean_acceptance_length),
            ("speed-up", all.speedup),
        ] {
            let Estimate { value: Some(value), low, high } = own else { continue };
            found.push(Measured {
                run: run.to_owned(),
                task: Task::Drafting,
                data: data.clone(),
                of: Some(format!("{}, for {}", case.case, report.header.target.name)),
                name: name.to_owned(),
                value,
                interval: low.zip(high),
                error: None,
                is_part: false,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_of_any_suite_are_found_by_their_form() {
        let results = json!({
            "pairs": 12, "loss": 2.5, "window": 64,
            "accuracy": {"value": 0.6, "standard_error": 0.1},
            "bits_per_byte": {"value": 1.5, "low": 1.4, "high": 1.6},
            "bands": {"strong": 1},
            "domains": [{"name": "binding", "pairs": 4, "accuracy": {"value": 0.5, "standard_error": null}}],
            "tasks": {"piqa": {"accuracy": {"value": 0.7, "standard_error": 0.02}}},
        });
        let data = Data { name: "x".into(), source: String::new(), sha256: None, limit: None };
        let mut walk = Walk { run: "r", data, found: Vec::new() };
        walk.visit(&results, &mut Vec::new(), false);
        let mut found: Vec<_> = walk
            .found
            .iter()
            .map(|own| {
                (
                    own.of.clone().unwrap_or_default(),
                    own.name.as_str(),
                    own.value,
                    own.interval,
                    own.error,
                    own.is_part,
                )
            })
            .collect();
        found.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        assert_eq!(
            found,
            [
                (String::new(), "accuracy", 0.6, None, Some(0.1), false),
                (String::new(), "bits per byte", 1.5, Some((1.4, 1.6)), None, false),
                (String::new(), "loss", 2.5, None, None, false),
                ("domains: binding".into(), "accuracy", 0.5, None, None, true),
                ("tasks: piqa".into(), "accuracy", 0.7, None, Some(0.02), false),
            ]
        );
    }
}
