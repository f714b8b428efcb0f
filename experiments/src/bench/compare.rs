//! Two runs on the same prompts, compared prompt by prompt: the difference of each figure with its
//! interval. Reads what runs wrote; runs nothing.

use std::path::Path;

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::paired::{figures, sums};
use super::record::{CaseSettings, Estimate, Figure, Record, Report, SCHEMA};
use crate::statistics::Resampling;

/// A run that was read back.
pub struct Run {
    /// Its folder.
    pub path: String,
    /// Its report.
    pub report: Report,
    /// Its records.
    pub records: Vec<Record>,
}

/// Two cases of runs and how they differ.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Comparison {
    /// Version of the schema.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// The first.
    pub a: Compared,
    /// The second.
    pub b: Compared,
    /// Prompts that both have.
    pub prompts: usize,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// What of a run is compared.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Compared {
    /// The run's folder.
    pub path: String,
    /// Its draft.
    pub draft: String,
    /// Its target.
    pub target: String,
    /// The case.
    pub case: String,
    /// Candidates a step.
    pub gamma: usize,
    /// Temperature of the target.
    pub temperature: f64,
}

/// The one field that every version of a report has.
#[derive(Deserialize)]
struct Versioned {
    schema: u32,
}

impl Run {
    /// Reads the folder of a run.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).with_context(|| {
                format!("{}: no run of spec bench; name the folder of its --out", path.display())
            })
        };
        let report = text("report.json")?;
        let damaged = || format!("{}/report.json is damaged", folder.display());
        let Versioned { schema } = serde_json::from_str(&report).with_context(damaged)?;
        if schema != SCHEMA {
            bail!(
                "{}/report.json has schema {schema}, and this program reads {SCHEMA}; run the bench \
                 again, or use the version that wrote it",
                folder.display()
            );
        }
        let report = serde_json::from_str(&report).with_context(damaged)?;
        let records = text("records.jsonl")?
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Record>, _>>()
            .with_context(|| format!("{}/records.jsonl is damaged", folder.display()))?;
        Ok(Self { path: folder.display().to_string(), report, records })
    }

    /// Cases that speculate.
    pub fn cases(&self) -> Vec<(&str, &CaseSettings)> {
        let cases = self.report.cases.iter().filter(|case| !case.settings.is_plain());
        cases.map(|case| (case.case.as_str(), &case.settings)).collect()
    }

    /// A case by its name.
    pub fn case(&self, name: &str) -> Result<(&str, &CaseSettings)> {
        let found = self.cases().into_iter().find(|(own, _)| *own == name);
        found.with_context(|| {
            let names: Vec<&str> = self.cases().into_iter().map(|(own, _)| own).collect();
            format!("{} has no case `{name}`; it has {}", self.path, names.join(", "))
        })
    }

    /// What an output says of a case.
    pub(super) fn compared(&self, (case, settings): (&str, &CaseSettings)) -> Compared {
        Compared {
            path: self.path.clone(),
            draft: settings.draft.clone(),
            target: self.report.header.target.name.clone(),
            case: case.to_owned(),
            gamma: settings.gamma,
            temperature: settings.temperature,
        }
    }
}

/// Compares two runs: the cases named, else their only case each, or the one that both have.
pub fn compare(
    (a, first): (&Run, Option<&str>),
    (b, second): (&Run, Option<&str>),
    resampling: Resampling,
) -> Result<Comparison> {
    let [first, second] = cases((a, first), (b, second))?;
    let (prompts, figures) =
        figures(sums(&a.records, first.0), sums(&b.records, second.0), resampling);
    if prompts == 0 {
        bail!("{} and {} have no prompt in common", a.path, b.path);
    }
    let (a, b) = (a.compared(first), b.compared(second));
    Ok(Comparison { schema: SCHEMA, a, b, prompts, figures })
}

/// Which cases of two runs are compared; an error where the runs cannot be paired.
pub fn cases<'a>(
    (a, first): (&'a Run, Option<&str>),
    (b, second): (&'a Run, Option<&str>),
) -> Result<[Named<'a>; 2]> {
    let (ours, theirs) = (&a.report.header, &b.report.header);
    if ours.prompts.sha256 != theirs.prompts.sha256 {
        bail!("{} and {} ran different prompts, which cannot be paired", a.path, b.path);
    }
    let (target, other) = (&ours.target, &theirs.target);
    if target.name != other.name || target.weights_sha256 != other.weights_sha256 {
        bail!(
            "{} and {} have different targets, {} and {}; the difference would be theirs",
            a.path,
            b.path,
            target.name,
            other.name
        );
    }
    let (first, second) = match (first, second) {
        (Some(first), Some(second)) => (a.case(first)?, b.case(second)?),
        (Some(first), None) => (a.case(first)?, only(b, first)?),
        (None, Some(second)) => (only(a, second)?, b.case(second)?),
        (None, None) => common(a, b)?,
    };
    Ok([first, second])
}

/// The only case of a run, or the one of that name.
fn only<'a>(run: &'a Run, name: &str) -> Result<(&'a str, &'a CaseSettings)> {
    match run.cases()[..] {
        [only] => Ok(only),
        _ => run.case(name),
    }
}

/// A case's name and what decides it.
pub type Named<'a> = (&'a str, &'a CaseSettings);

fn common<'a>(a: &'a Run, b: &'a Run) -> Result<(Named<'a>, Named<'a>)> {
    let (ours, theirs) = (a.cases(), b.cases());
    if let ([first], [second]) = (&ours[..], &theirs[..]) {
        return Ok((*first, *second));
    }
    let same = |own: &&Named<'a>| theirs.iter().any(|other| other.0 == own.0);
    let common: Vec<&Named<'a>> = ours.iter().filter(same).collect();
    if let [(name, _)] = common[..] {
        return Ok((a.case(name)?, b.case(name)?));
    }
    let names =
        |cases: &[Named<'_>]| cases.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    bail!(
        "{} and {} have no single case in common to compare; name them, as RUN:CASE: {} and {}",
        a.path,
        b.path,
        names(&ours),
        names(&theirs)
    )
}

/// The comparison as a table.
pub fn render(comparison: &Comparison) -> String {
    let Comparison { a, b, prompts, figures, .. } = comparison;
    let side = |name: &str, own: &Compared| {
        format!(
            "{name}: {} drafts for {}: {}, gamma {}, temperature {} ({})",
            own.draft, own.target, own.case, own.gamma, own.temperature, own.path
        )
    };
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |own| format!("{own:.4}"));
    let line = |figure: &Figure| {
        let (a, b) = (number(figure.a), number(figure.b));
        format!("{:24}A {a}   B {b}   B - A {}", label(&figure.name), in_words(figure))
    };
    let mut lines = vec![side("A", a), side("B", b)];
    lines.push(format!("{prompts} prompts that both ran, paired; [low, high] is 95 %"));
    lines.push(String::new());
    lines.extend(figures.iter().map(line));
    lines.join("\n") + "\n"
}

/// What people call a figure.
pub fn label(name: &str) -> &str {
    match name {
        "draft_acceptance_rate" => "acceptance rate, pooled",
        "mean_acceptance_length" => "mean acceptance length",
        "target_tokens_per_second" => "tokens/s",
        "speedup" => "speed-up",
        other => other,
    }
}

/// A paired difference, and that none is shown where none is.
pub fn in_words(figure: &Figure) -> String {
    let Estimate { value, low, high } = figure.difference;
    let (Some(value), Some(low), Some(high)) = (value, low, high) else {
        return "unknown: too few prompts for an interval".to_owned();
    };
    let verdict = if figure.is_shown() { "" } else { "   no difference shown" };
    format!("{value:+.4} [{low:+.4}, {high:+.4}]{verdict}")
}
