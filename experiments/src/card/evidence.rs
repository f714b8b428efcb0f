//! What a run's folder holds, told by what is in it: a training run, an evaluation, a bench, or a check
//! that a pair is lossless. Reads files; judges nothing.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::training::Training;
use crate::bench::record::{ModelInfo, Report, SCHEMA};

/// A run.
#[derive(Debug)]
pub struct Run {
    /// The name of its folder.
    pub name: String,
    /// What it left behind.
    pub evidence: Evidence,
}

/// What a run left behind.
#[derive(Debug)]
pub enum Evidence {
    /// Of `spec train` or `spec distill`.
    Training(Box<Training>),
    /// Of `spec eval`: its report, whatever its suite.
    Evaluation(Box<Evaluation>),
    /// Of `spec bench`.
    Bench(Box<Report>),
    /// Of `spec eval --suite lossless`.
    Lossless(Value),
}

/// An evaluation.
#[derive(Debug)]
pub struct Evaluation {
    /// The model.
    pub model: ModelInfo,
    /// The report.
    pub report: Value,
}

impl Run {
    /// Reads a folder; of an evaluation by several suites each is a run.
    pub fn read(folder: &Path) -> Result<Vec<Self>> {
        let name = folder.canonicalize().ok();
        let name = name.as_deref().and_then(Path::file_name).map(|own| own.to_string_lossy());
        let name = name.map_or_else(|| folder.display().to_string(), std::borrow::Cow::into_owned);
        let report = folder.join("report.json");
        let evidence = if report.is_file() {
            let found = read_report(&report)?;
            let is_one = found.len() == 1;
            let named = |evidence: Evidence| {
                let suite = if is_one { None } else { evidence.suite() };
                Self {
                    name: suite.map_or(name.clone(), |suite| format!("{name}/{suite}")),
                    evidence,
                }
            };
            return Ok(found.into_iter().map(named).collect());
        } else if folder.join("recipe.toml").is_file() {
            Evidence::Training(Box::new(Training::read(folder)?))
        } else {
            bail!(
                "{} holds neither a report.json nor a recipe.toml; name the folder of a run of spec \
                 train, distill, eval or bench",
                folder.display()
            );
        };
        Ok(vec![Self { name, evidence }])
    }

    /// Refuses a run of another model.
    pub(super) fn check_is_of(&self, name: &str, parameters: u64) -> Result<()> {
        let others: Vec<u64> = match &self.evidence {
            Evidence::Bench(report) => {
                report.header.drafts.iter().map(|own| own.parameters).collect()
            }
            other => other.parameters().into_iter().collect(),
        };
        if others.is_empty() || others.contains(&parameters) {
            return Ok(());
        }
        let others: Vec<String> = others.iter().map(u64::to_string).collect();
        bail!(
            "the run {} is of a model with {} parameters, and {name} has {parameters}; leave it out",
            self.name,
            others.join(" or ")
        )
    }
}

fn read_report(path: &Path) -> Result<Vec<Evidence>> {
    let cannot = || format!("cannot read {}", path.display());
    let text = fs::read_to_string(path).with_context(cannot)?;
    let report: Value = serde_json::from_str(&text).with_context(cannot)?;
    match report["kind"].as_str() {
        Some("report") => {
            let schema = report["schema"].as_u64().unwrap_or_default();
            if schema != u64::from(SCHEMA) {
                bail!(
                    "{} has schema {schema}, and this program reads {SCHEMA}; run the bench again",
                    path.display()
                );
            }
            Ok(vec![Evidence::Bench(serde_json::from_str(&text).with_context(cannot)?)])
        }
        Some("evaluation") => Ok(vec![evaluation(report).with_context(cannot)?]),
        Some("evaluations") => {
            let reports = report["reports"].as_array().cloned().unwrap_or_default();
            reports.into_iter().map(|own| evaluation(own).with_context(cannot)).collect()
        }
        Some("lossless") => Ok(vec![Evidence::Lossless(report)]),
        other => bail!(
            "{} is of the kind `{}`, which a card does not know; name runs of spec train, distill, eval \
             or bench",
            path.display(),
            other.unwrap_or("none")
        ),
    }
}

fn evaluation(report: Value) -> Result<Evidence> {
    let model = report.pointer("/header/model").cloned().unwrap_or_default();
    let model = serde_json::from_value(model)?;
    Ok(Evidence::Evaluation(Box::new(Evaluation { model, report })))
}

impl Evidence {
    /// The suite of an evaluation.
    fn suite(&self) -> Option<&str> {
        let Self::Evaluation(own) = self else { return None };
        own.report.pointer("/header/suite")?.as_str()
    }

    /// What it says of the model.
    pub(super) fn model(&self) -> Option<&ModelInfo> {
        match self {
            Self::Evaluation(own) => Some(&own.model),
            // A draft that is no model has no parameters.
            Self::Bench(report) => report.header.drafts.iter().find(|own| own.parameters > 0),
            Self::Training(_) | Self::Lossless(_) => None,
        }
    }

    /// The parameters of the model.
    pub(super) fn parameters(&self) -> Option<u64> {
        match self {
            Self::Training(own) => own.parameters,
            Self::Lossless(report) => report.pointer("/header/draft/parameters")?.as_u64(),
            own => own.model().map(|model| model.parameters),
        }
    }

    pub(super) fn training(&self) -> Option<&Training> {
        if let Self::Training(own) = self { Some(own) } else { None }
    }

    pub(super) fn bench(&self) -> Option<&Report> {
        if let Self::Bench(own) = self { Some(own) } else { None }
    }

    pub(super) fn lossless(&self) -> Option<&Value> {
        if let Self::Lossless(own) = self { Some(own) } else { None }
    }
}
