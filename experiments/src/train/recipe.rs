//! Recipes: all that decides what a training run makes. A built-in or own TOML file, changed by
//! `--set a.b=value`; the resolved recipe is written beside the results. Runs nothing.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use draft::config::Shape;
use draft::train::{AdamWSettings, Plan, Precision, Schedule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::Kind;

use super::built_in::{built_in, names};
use crate::distill::settings::Distillation;
use crate::registry;

/// A training run's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What it makes, in a line.
    pub about: String,
    /// Decides initial weights, the order of blocks and the evaluation split.
    pub seed: u64,
    /// The model.
    pub model: ModelPart,
    /// Its vocabulary.
    pub tokenizer: TokenizerPart,
    /// The text.
    pub data: DataPart,
    /// What is done to each document.
    pub cleaning: Cleaning,
    /// How documents become blocks.
    pub packing: Packing,
    /// How many blocks a step reads.
    pub batch: Batch,
    /// The optimiser.
    pub optimiser: AdamWSettings,
    /// Learning rates.
    pub schedule: SchedulePart,
    /// Element types.
    pub precision: Precision,
    /// When the model is evaluated.
    pub evaluation: Evaluation,
    /// When it is saved.
    pub checkpoint: CheckpointPart,
    /// What makes it a distillation; a recipe for `spec train` has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distill: Option<Distillation>,
}

/// The model's shape: that of a registry name, or the object of a `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelPart {
    /// A registry name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    /// The object of a `config.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
    /// Whether the maps that write into the residual stream begin at 0.
    #[serde(default)]
    pub silent_layers: bool,
}

/// Where the vocabulary comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenizerPart {
    /// A `tokenizer.json`, a `.vocab`, or a model folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The model whose tokenizer it is: a registry name or Hub id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Where the text comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataPart {
    /// Files, folders, or datasets of the Hub.
    pub sources: Vec<String>,
    /// How many bytes to take of each, in any unit; empty takes all of all.
    pub shares: Vec<f64>,
    /// Documents are taken until they have so many bytes; 0 takes all.
    #[serde(default)]
    pub max_bytes: u64,
    /// The text column of JSONL and Parquet.
    #[serde(default = "text_column")]
    pub column: String,
    /// The share of documents that is kept for evaluation.
    pub evaluation_share: f64,
    /// Text for evaluation instead of that share, which is 0 then.
    #[serde(default)]
    pub evaluation_sources: Vec<String>,
}

fn text_column() -> String {
    "text".to_owned()
}

/// What is done to each document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cleaning {
    /// Unicode's NFKC.
    pub nfkc: bool,
    /// Strips lines, drops empty ones, joins the rest with a space.
    pub strip_lines: bool,
    /// Makes one space of all white space in a row.
    pub collapse_whitespace: bool,
}

/// How documents become blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Packing {
    /// Ids of a block.
    pub length: usize,
    /// Whether what the tokenizer puts in front of a prompt stands in front of each document.
    #[serde(default)]
    pub begin_of_text: bool,
    /// Whether an end of text stands behind each document.
    pub end_of_text: bool,
}

/// How many blocks a step reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Blocks of a step.
    pub sequences: usize,
    /// Blocks that are read at once; the gradients of a step are summed up.
    pub micro: usize,
}

/// The form of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Warm-up, then half a cosine down to 0.
    Cosine,
    /// Warm-up, a plateau, and a decay to 0.
    WarmupStableDecay,
    /// Warm-up, then a plateau.
    Constant,
}

/// Learning rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchedulePart {
    /// Its form.
    pub kind: ScheduleKind,
    /// Steps of the whole schedule.
    pub steps: u64,
    /// Steps of warm-up.
    pub warmup: u64,
    /// Steps of decay, where there is a plateau.
    pub decay: u64,
    /// The run ends when it has read so many tokens, wherever the schedule stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<u64>,
}

/// When the model is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Every so many steps.
    pub every: u64,
    /// Blocks that are read at once.
    pub sequences: usize,
    /// Blocks, at most.
    pub max_blocks: usize,
    /// A line is logged every so many steps.
    pub log_every: u64,
}

/// The type of saved weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats with 8 bits of exponent.
    Bf16,
    /// 16-bit floats with 5 bits of exponent.
    Fp16,
}

/// When the model is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointPart {
    /// Every so many minutes.
    pub minutes: f64,
    /// How many of the latest are kept, beside the best.
    pub keep: usize,
    /// From which step on an evaluation can be the best.
    pub best_from: u64,
    /// The type of the weights in the model folder.
    pub dtype: Dtype,
    /// Whether layers are read again in the backward pass instead of being kept.
    pub recompute: bool,
}

impl Recipe {
    /// The recipe of a built-in name or a file, changed by `a.b=value` assignments.
    pub fn resolve(name: &str, assignments: &[String]) -> Result<Self> {
        let text = match built_in(name) {
            Some(text) => text.to_owned(),
            None if Path::new(name).is_file() => std::fs::read_to_string(name)
                .with_context(|| format!("cannot read the recipe {name}"))?,
            None => bail!(
                "no recipe `{name}`{} Recipes are {}, or a TOML file",
                registry::nearest_of(name, names())
                    .map_or_else(|| ".".to_owned(), |near| format!("; did you mean `{near}`?")),
                names().join(", ")
            ),
        };
        let mut table: toml::Table =
            text.parse().map_err(|error| anyhow!("the recipe {name}: {error}"))?;
        for assignment in assignments {
            assign(&mut table, assignment)?;
        }
        let mut recipe: Self = table.try_into().map_err(|error: toml::de::Error| {
            anyhow!("the recipe {name}: {}", described(&error))
        })?;
        if !recipe.data.evaluation_sources.is_empty() {
            recipe.data.evaluation_share = 0.0;
        }
        recipe.check().with_context(|| format!("the recipe {name}"))?;
        Ok(recipe)
    }

    fn check(&self) -> Result<()> {
        let positive = [
            ("packing.length", self.packing.length > 1),
            ("batch.micro", self.batch.micro > 0),
            ("schedule.steps", self.schedule.steps > 0),
            ("evaluation.every", self.evaluation.every > 0),
            ("evaluation.sequences", self.evaluation.sequences > 0),
            ("evaluation.log_every", self.evaluation.log_every > 0),
            ("checkpoint.keep", self.checkpoint.keep > 0),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, holds)| !holds) {
            bail!("`{name}` is too small");
        }
        if !self.batch.sequences.is_multiple_of(self.batch.micro) || self.batch.sequences == 0 {
            bail!("`batch.sequences` is no multiple of `batch.micro`");
        }
        if !self.data.shares.is_empty() && self.data.shares.len() != self.data.sources.len() {
            bail!(
                "`data.shares` has {} entries for {} sources",
                self.data.shares.len(),
                self.data.sources.len()
            );
        }
        if !(0.0..1.0).contains(&self.data.evaluation_share) {
            bail!("`data.evaluation_share` is at least 0 and below 1");
        }
        self.distill.as_ref().map_or(Ok(()), Distillation::check)?;
        if self.distill.is_some() && !self.data.evaluation_sources.is_empty() {
            bail!(
                "`data.evaluation_sources` is for spec train; a distillation keeps pieces of its data"
            );
        }
        let context = self.shape()?.context();
        if self.packing.length > context {
            bail!(
                "`packing.length` {} is more than the model's context of {context}",
                self.packing.length
            );
        }
        Ok(())
    }

    /// The object of the model's `config.json`.
    pub fn config(&self) -> Result<Value> {
        match (&self.model.shape, &self.model.config) {
            (Some(name), None) => registry::find(name)
                .map(|entry| entry.config.clone())
                .ok_or_else(|| anyhow!("`model.shape`: no model `{name}` is known")),
            (None, Some(config)) => Ok(config.clone()),
            _ => bail!("`model` has either `shape` or `config`"),
        }
    }

    /// The model's shape.
    pub fn shape(&self) -> Result<Shape> {
        Shape::from_json(&self.config()?).map_err(|error| anyhow!("`model.config`: {error}"))
    }

    /// What the trainer needs of it.
    pub fn plan(&self) -> Plan {
        let SchedulePart { kind, steps, warmup, decay, .. } = self.schedule;
        let schedule = match kind {
            ScheduleKind::Cosine => Schedule::Cosine { warmup },
            ScheduleKind::WarmupStableDecay => Schedule::WarmupStableDecay { warmup, decay },
            ScheduleKind::Constant => Schedule::Constant { warmup },
        };
        Plan {
            optimiser: self.optimiser,
            schedule,
            steps,
            precision: self.precision,
            recompute: self.checkpoint.recompute,
        }
    }

    /// Tokens that one step reads.
    pub fn tokens_a_step(&self) -> u64 {
        (self.batch.sequences * self.packing.length) as u64
    }

    /// Steps of the run: those of the schedule, or fewer where the token budget ends it.
    pub fn last_step(&self) -> u64 {
        let budget = self.schedule.token_budget.map(|budget| budget.div_ceil(self.tokens_a_step()));
        self.schedule.steps.min(budget.unwrap_or(u64::MAX))
    }

    /// As TOML.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }
}

impl CheckpointPart {
    /// The type of the weights in the model folder.
    pub fn kind(&self) -> Kind {
        match self.dtype {
            Dtype::Fp32 => Kind::Float,
            Dtype::Bf16 => Kind::BFloat16,
            Dtype::Fp16 => Kind::Half,
        }
    }
}

/// Sets `a.b=value` in a table. A value that is no TOML is a text.
fn assign(table: &mut toml::Table, assignment: &str) -> Result<()> {
    let (path, value) = assignment
        .split_once('=')
        .ok_or_else(|| anyhow!("--set {assignment}: expected key=value"))?;
    let parsed = format!("value = {value}").parse::<toml::Table>();
    let value = parsed
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().unwrap_or_default().to_owned();
    let mut at = table;
    for key in keys {
        let next = at.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = next.as_table_mut().ok_or_else(|| anyhow!("--set {path}: `{key}` has no keys"))?;
    }
    at.insert(last, value);
    Ok(())
}

/// Serde's message, behind the key that it is about, with what may have been meant by an unknown one.
fn described(error: &toml::de::Error) -> String {
    let (text, message) = (error.to_string(), error.message());
    let key = text.lines().find_map(|line| line.strip_prefix("in "));
    let key = key.map_or_else(String::new, |key| format!("{key}: "));
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let near = quoted
        .split_first()
        .and_then(|(name, known)| registry::nearest_of(name, known.iter().copied()));
    match near {
        Some(near) if message.starts_with("unknown ") => {
            format!("{key}{message}; did you mean `{near}`?")
        }
        _ => format!("{key}{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, assignments: &[&str]) -> Result<Recipe> {
        let assignments: Vec<String> = assignments.iter().map(|&text| text.to_owned()).collect();
        Recipe::resolve(name, &assignments)
    }

    #[test]
    fn built_in_recipes_are_whole_and_survive_being_written() {
        for name in names() {
            let recipe = set(name, &[]).unwrap();
            let written: Recipe = toml::from_str(&recipe.to_toml().unwrap()).unwrap();
            assert_eq!(written, recipe, "{name}");
        }
    }

    #[test]
    fn the_card_of_stentor2() {
        let recipe = set("stentor2", &[]).unwrap();
        assert_eq!(recipe.tokens_a_step(), 131_072);
        assert_eq!(recipe.last_step(), 3_663, "the budget ends it near step 3,662");
        assert_eq!(recipe.shape().unwrap().parameters(), 12_294_400);
        assert_eq!(recipe.precision, Precision::Fp16 { wide_layers: 2 });
    }

    #[test]
    fn the_card_of_er() {
        let recipe = set("er", &[]).unwrap();
        let schedule = &recipe.schedule;
        assert_eq!(recipe.tokens_a_step(), 384 * 300);
        let share = |steps: u64| steps as f64 / schedule.steps as f64;
        assert!((share(schedule.warmup) - 0.015).abs() < 1e-4);
        assert!((share(schedule.decay) - 0.30).abs() < 1e-4);
        let total: f64 = recipe.data.shares.iter().sum();
        assert!((recipe.data.shares[0] / total - 0.282).abs() < 1e-3);
    }

    #[test]
    fn assignments_change_and_unknown_keys_are_named() {
        let recipe = set("nano", &["optimiser.lr=1e-3", "schedule.kind=constant"]).unwrap();
        assert_eq!((recipe.optimiser.lr, recipe.schedule.kind), (1e-3, ScheduleKind::Constant));
        let message = format!("{:#}", set("nano", &["optimiser.lrr=1"]).unwrap_err());
        assert!(message.contains("did you mean `lr`?"), "{message}");
        let message = format!("{:#}", set("nano", &["checkpoint.dtype=fp8"]).unwrap_err());
        assert!(message.contains("`checkpoint.dtype`: unknown variant `fp8`"), "{message}");
        assert!(message.contains("expected one of `fp32`, `bf16`, `fp16`"), "{message}");
        let message = format!("{:#}", set("nanno", &[]).unwrap_err());
        assert!(message.contains("did you mean `nano`?"), "{message}");
        assert!(set("nano", &["packing.length=4096"]).is_err(), "longer than the context");
    }
}
