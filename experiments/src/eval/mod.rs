//! Evaluations of one model, and of a pair whether it is lossless. A suite makes passages of its data, one place scores them (`scorer`), and
//! the suite makes figures of the scores. Suites of questions share `request`, which is how texts
//! become ids, and `choice`, which is how scores become answers. Prints progress and nothing else.

pub mod accuracy;
pub mod blimp;
pub mod choice;
pub mod lossless;
pub mod perplexity;
pub mod report;
pub mod request;
pub mod scorer;
pub mod windows;

use anyhow::{Context, Result};
use draft::Compute;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::data::source::Source;
use crate::printer::Printer;
use crate::prompts::hex;
use crate::source::Sources;
use report::{Header, Report};
use scorer::Scorer;

/// What is asked of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// How well it predicts documents.
    Perplexity {
        /// Ids read at once; as many as the model can where it is not given.
        window: Option<usize>,
        /// Ids that each further window scores; half a window where it is not given.
        stride: Option<usize>,
    },
    /// Which of two sentences it finds more probable.
    Blimp,
}

impl Suite {
    /// What users read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Perplexity { .. } => "perplexity",
            Self::Blimp => "blimp",
        }
    }
}

/// Everything that decides what an evaluation does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The model, as typed.
    pub model: String,
    /// Where it comes from.
    pub sources: Sources,
    /// What is asked.
    pub suite: Suite,
    /// The data.
    pub data: Source,
    /// The text column of documents.
    pub column: String,
    /// Documents, or pairs of each paradigm, at most.
    pub limit: Option<usize>,
    /// Where and in which precision the model computes.
    pub compute: Compute,
    /// Seed of the resamples.
    pub seed: u64,
}

/// What a suite found.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Figures {
    /// Of documents.
    Perplexity(perplexity::Figures),
    /// Of pairs.
    Blimp(blimp::Figures),
}

impl Figures {
    /// As Markdown tables.
    pub fn tables(&self) -> Vec<String> {
        match self {
            Self::Perplexity(own) => own.tables(),
            Self::Blimp(own) => own.tables(),
        }
    }
}

/// The lines of `records.jsonl`.
#[derive(Clone, Debug, Default)]
pub struct Records(String);

impl Records {
    /// Adds a record.
    pub fn add(&mut self, record: &impl Serialize) -> Result<()> {
        self.0 += &serde_json::to_string(record)?;
        self.0.push('\n');
        Ok(())
    }

    /// All lines.
    pub fn lines(&self) -> &str {
        &self.0
    }
}

/// The texts that are scored, as far as they tell one evaluation from another.
#[derive(Clone, Debug, Default)]
pub struct Text(Sha256);

impl Text {
    /// Adds a text, and what ends it.
    pub fn add(&mut self, text: &str) {
        self.0.update(text.as_bytes());
        self.0.update([0]);
    }

    /// Their SHA-256.
    pub fn digest(self) -> String {
        hex(&self.0.finalize())
    }
}

/// What a suite leaves behind.
pub struct Found {
    figures: Figures,
    records: Records,
    text: Text,
}

/// Evaluates; gives the report and a record of each document or question.
pub fn run(plan: &Plan, printer: &Printer) -> Result<(Report, Records)> {
    let model = plan.sources.describe("model", &plan.model)?;
    let header = Header::begin(plan, &model);
    let context = Scorer::context_of(&model.config.shape);
    let (found, cost) = match plan.suite {
        Suite::Perplexity { window, stride } => {
            let cut = perplexity::cut((window, stride), &model, context)?;
            let mut scorer = Scorer::load(&model, plan.compute)?;
            let found = perplexity::evaluate(plan, cut, &model, &mut scorer, printer);
            (found, scorer.cost())
        }
        Suite::Blimp => {
            let pairs = blimp::read(plan)?;
            let mut scorer = Scorer::load(&model, plan.compute)?;
            (blimp::evaluate(&pairs, &model, &mut scorer, printer), scorer.cost())
        }
    };
    let found = found.with_context(|| format!("cannot evaluate {}", plan.suite.name()))?;
    Ok((Report::new(header, found.text, cost, found.figures), found.records))
}
