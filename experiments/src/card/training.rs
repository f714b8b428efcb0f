//! A training run as its folder has it: the recipe, what was written down at each step, and its picture.
//! Knows no other run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::train::curves;
use crate::train::metrics::{Evaluated, Record, Step};
use crate::train::recipe::Recipe;

/// Evaluations in a table, at most.
const ROWS: usize = 12;

/// A training run.
#[derive(Debug)]
pub struct Training {
    /// What it was told.
    pub recipe: Recipe,
    /// The parameters of its model, where the recipe says its shape.
    pub parameters: Option<u64>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Its evaluations.
    pub evaluations: Vec<Evaluated>,
    /// Its losses, drawn.
    pub picture: Option<String>,
    /// What a distillation gained: the object of its `comparison.json`.
    pub comparison: Option<Value>,
}

/// The name of the picture of a card's training runs.
pub(super) fn picture(index: usize) -> String {
    match index {
        0 => "training_curves.svg".to_owned(),
        _ => format!("training_curves-{}.svg", index + 1),
    }
}

impl Training {
    /// Reads a folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let recipe: Recipe = toml::from_str(&text("recipe.toml")?)
            .with_context(|| format!("{} holds no recipe", folder.join("recipe.toml").display()))?;
        let damaged = || format!("{} is damaged", folder.join("metrics.jsonl").display());
        let metrics = text("metrics.jsonl")?;
        let records = metrics.lines().map(serde_json::from_str);
        let records = records.collect::<Result<Vec<Record>, _>>().with_context(damaged)?;
        // Where nobody kept the picture, it is drawn as the run would have drawn it.
        let picture = match text("training_curves.svg") {
            Ok(own) => Some(own),
            Err(_) => curves::svg(&records, recipe.evaluation.log_every, &recipe.about)?,
        };
        let (mut steps, mut evaluations) = (Vec::new(), Vec::new());
        for record in records {
            match record {
                Record::Step(step) => steps.push(step),
                Record::Evaluated(found) => evaluations.push(found),
            }
        }
        let comparison = text("comparison.json").ok();
        let comparison = comparison.map(|text| serde_json::from_str(&text)).transpose();
        Ok(Self {
            parameters: recipe.shape().ok().map(|shape| shape.parameters()),
            recipe,
            steps,
            evaluations,
            picture,
            comparison: comparison.context("comparison.json is damaged")?,
        })
    }

    /// The evaluation with the lowest loss.
    pub(super) fn best(&self) -> Option<&Evaluated> {
        self.evaluations.iter().min_by(|a, b| a.eval_loss.total_cmp(&b.eval_loss))
    }

    /// Evaluations over the whole run, the first, the last and the best among them.
    pub(super) fn curve(&self) -> Vec<&Evaluated> {
        let count = self.evaluations.len();
        let best = self.best().map(|own| own.step);
        let stride = count.div_ceil(ROWS).max(1);
        let is_shown = |(place, own): &(usize, &Evaluated)| {
            (count - 1 - place).is_multiple_of(stride) || *place == 0 || Some(own.step) == best
        };
        self.evaluations.iter().enumerate().filter(is_shown).map(|(_, own)| own).collect()
    }

    /// The mean loss of the steps behind the one before an evaluation's, up to its own.
    pub(super) fn loss_between(&self, from: u64, to: u64) -> Option<f64> {
        let own: Vec<f64> = (self.steps.iter())
            .filter(|step| step.step > from && step.step <= to)
            .map(|step| step.loss)
            .collect();
        (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
    }

    /// Names on the Hub of the datasets that the recipe reads.
    pub(super) fn datasets(&self) -> Vec<String> {
        let named = self.recipe.data.sources.iter();
        let named = named.filter_map(|source| source.strip_prefix("hf://datasets/"));
        let id = |path: &str| {
            let mut parts = path.split('/');
            let (owner, name) = (parts.next()?, parts.next()?);
            Some(format!("{owner}/{}", name.split('@').next()?))
        };
        named.filter_map(id).collect()
    }
}
