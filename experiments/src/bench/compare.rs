//! Two runs on the same prompts, compared prompt by prompt: the difference of each figure with its
//! interval. Reads what runs wrote; runs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::record::{Estimate, PLAIN, Record, Report, SCHEMA};
use crate::statistics::{Clusters, Difference, Interval, Quotient, Resampling, intervals};

/// A run that was read back.
pub struct Run {
    /// Its folder.
    pub path: String,
    /// Its report.
    pub report: Report,
    /// Its records.
    pub records: Vec<Record>,
}

/// Two runs and how they differ.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The first run.
    pub a: Compared,
    /// The second run.
    pub b: Compared,
    /// Prompts that both have.
    pub prompts: usize,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// What of a run is compared.
#[derive(Clone, Debug, Serialize)]
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

/// A figure of both runs over the prompts that both have.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name, as in `report.json`.
    pub name: &'static str,
    /// Of the first run.
    pub a: Option<f64>,
    /// Of the second run.
    pub b: Option<f64>,
    /// The second less the first, with its paired 95 % interval.
    pub difference: Estimate,
}

impl Figure {
    /// Whether the interval leaves out zero.
    pub fn is_shown(&self) -> bool {
        let Estimate { low, high, .. } = self.difference;
        low.is_some_and(|low| low > 0.0) || high.is_some_and(|high| high < 0.0)
    }
}

// Columns of a prompt's sums, first of one run, then of the other.
const ACCEPTED: usize = 0;
const CANDIDATES: usize = 1;
const STEP_TOKENS: usize = 2;
const STEPS: usize = 3;
const COLUMNS: usize = 4;

impl Run {
    /// Reads the folder of a run.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).with_context(|| {
                format!("{}: no run of spec bench; name the folder of its --out", path.display())
            })
        };
        let report = serde_json::from_str(&text("report.json")?)
            .with_context(|| format!("{}/report.json is of another version", folder.display()))?;
        let records = text("records.jsonl")?
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Record>, _>>()
            .with_context(|| format!("{}/records.jsonl is damaged", folder.display()))?;
        Ok(Self { path: folder.display().to_string(), report, records })
    }

    /// Cases that speculate.
    fn cases(&self) -> BTreeSet<&str> {
        let cases = self.records.iter().map(|record| record.case.as_str());
        cases.filter(|case| *case != PLAIN).collect()
    }

    fn compared(&self, case: &str) -> Compared {
        let header = &self.report.header;
        Compared {
            path: self.path.clone(),
            draft: header.draft.name.clone(),
            target: header.target.name.clone(),
            case: case.to_owned(),
            gamma: header.settings.gamma,
            temperature: header.settings.temperature,
        }
    }

    /// Sums of each prompt of a case, and its category.
    fn sums(&self, case: &str) -> BTreeMap<usize, (String, [f64; COLUMNS])> {
        let mut prompts = BTreeMap::new();
        for record in self.records.iter().filter(|record| record.case == case) {
            let (_, sums) = prompts
                .entry(record.prompt_index)
                .or_insert_with(|| (record.category.clone(), [0.0; COLUMNS]));
            let counts = &record.counts;
            sums[ACCEPTED] += counts.num_accepted_draft_tokens as f64;
            sums[CANDIDATES] += counts.num_draft_tokens as f64;
            sums[STEP_TOKENS] += counts.num_step_tokens as f64;
            sums[STEPS] += counts.steps() as f64;
        }
        prompts
    }
}

/// Compares two runs: their only case each, or the one that both have.
pub fn compare(a: &Run, b: &Run, resampling: Resampling) -> Result<Comparison> {
    let (ours, theirs) = (&a.report.header, &b.report.header);
    if ours.prompts.sha256 != theirs.prompts.sha256 {
        bail!("{} and {} ran different prompts, which cannot be paired", a.path, b.path);
    }
    if ours.target.name != theirs.target.name {
        bail!(
            "{} and {} have different targets, {} and {}; the difference would be theirs",
            a.path,
            b.path,
            ours.target.name,
            theirs.target.name
        );
    }
    let (first, second) = cases(a, b)?;
    let (sums, mut others) = (a.sums(first), b.sums(second));
    let mut rows = Vec::new();
    for (index, (category, own)) in sums {
        if let Some((_, other)) = others.remove(&index) {
            rows.push((category, [own, other].concat()));
        }
    }
    if rows.is_empty() {
        bail!("{} and {} have no prompt in common", a.path, b.path);
    }
    let prompts = rows.len();
    let clusters = Clusters::new(rows);
    Ok(Comparison {
        schema: SCHEMA,
        a: a.compared(first),
        b: b.compared(second),
        prompts,
        figures: figures(&clusters, resampling),
    })
}

fn cases<'a>(a: &'a Run, b: &'a Run) -> Result<(&'a str, &'a str)> {
    let (ours, theirs) = (a.cases(), b.cases());
    if let (1, 1, Some(first), Some(second)) =
        (ours.len(), theirs.len(), ours.first(), theirs.first())
    {
        return Ok((first, second));
    }
    let common: Vec<&str> = ours.intersection(&theirs).copied().collect();
    match common[..] {
        [case] => Ok((case, case)),
        _ => bail!("{} and {} have no single case in common to compare", a.path, b.path),
    }
}

fn figures(clusters: &Clusters, resampling: Resampling) -> Vec<Figure> {
    let pair = |over: usize, under: usize| Difference {
        from: Quotient::ratio(over, under),
        to: Quotient::ratio(COLUMNS + over, COLUMNS + under),
    };
    let differences = [pair(ACCEPTED, CANDIDATES), pair(STEP_TOKENS, STEPS)];
    let names = ["draft_acceptance_rate", "mean_acceptance_length"];
    let totals = clusters.totals();
    let found = intervals(clusters, &differences, resampling, "comparison");
    names
        .into_iter()
        .zip(differences.iter().zip(found))
        .map(|(name, (difference, interval))| {
            let (a, b) = (difference.from.value(&totals), difference.to.value(&totals));
            let value = a.zip(b).map(|(a, b)| b - a);
            let limit = |pick: fn(Interval) -> f64| interval.map(pick);
            let difference =
                Estimate { value, low: limit(|own| own.low), high: limit(|own| own.high) };
            Figure { name, a, b, difference }
        })
        .collect()
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
        let name = match figure.name {
            "draft_acceptance_rate" => "acceptance rate, pooled",
            _ => "mean acceptance length",
        };
        let (a, b) = (number(figure.a), number(figure.b));
        format!("{name:24}A {a}   B {b}   B - A {}", in_words(figure))
    };
    let mut lines = vec![side("A", a), side("B", b)];
    lines.push(format!("{prompts} prompts that both ran, paired; [low, high] is 95 %"));
    lines.push(String::new());
    lines.extend(figures.iter().map(line));
    lines.join("\n") + "\n"
}

fn in_words(figure: &Figure) -> String {
    let Estimate { value, low, high } = figure.difference;
    let (Some(value), Some(low), Some(high)) = (value, low, high) else {
        return "unknown: too few prompts for an interval".to_owned();
    };
    let verdict = if figure.is_shown() { "" } else { "   no difference shown" };
    format!("{value:+.4} [{low:+.4}, {high:+.4}]{verdict}")
}
