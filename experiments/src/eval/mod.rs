//! Evaluations of one model, and of a pair whether it is lossless. A suite makes passages of its data, one
//! place scores them (`scorer`), and the suite makes figures of the scores. Suites of questions are data
//! (`suites`) and asked in one way (`questions`); `request` is how texts become ids, and `choice` how
//! scores become answers. Prints progress and nothing else.

pub mod accuracy;
pub mod blimp;
pub mod choice;
pub mod lossless;
pub mod perplexity;
pub mod questions;
pub mod report;
pub mod request;
pub mod score_table;
pub mod scorer;
pub mod suites;
pub mod windows;

use anyhow::{Context, Result};
use draft::Compute;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::data::source::Source;
use crate::printer::Printer;
use crate::prompts::hex;
use crate::source::{Described, Sources};
use questions::Asked;
use report::{Header, Report};
use scorer::Scorer;
use suites::{HubData, QuestionSuite, arithmark};

/// What is asked of the model.
#[derive(Clone, Copy, Debug)]
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
    /// Which answer it finds the most probable.
    Questions(&'static QuestionSuite),
    /// What small sums come to.
    Arithmark,
}

impl Suite {
    /// What users read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Perplexity { .. } => "perplexity",
            Self::Blimp => "blimp",
            Self::Questions(own) => own.name,
            Self::Arithmark => arithmark::NAME,
        }
    }

    /// Where its data is on the Hub, if it has data of its own.
    pub fn hub_data(self) -> Option<HubData> {
        match self {
            Self::Perplexity { .. } | Self::Arithmark => None,
            Self::Blimp => Some(blimp::DATA),
            Self::Questions(own) => Some(own.data),
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
    /// What is asked, of which data.
    pub suites: Vec<(Suite, Source)>,
    /// The text column of documents.
    pub column: String,
    /// Documents, questions, pairs of each paradigm, or sums of each kind, at most.
    pub limit: Option<usize>,
    /// Where and in which precision the model computes.
    pub compute: Compute,
    /// Seed of the resamples and of sums.
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
    /// Of questions.
    Questions(score_table::Figures),
}

impl Figures {
    /// As Markdown tables.
    pub fn tables(&self) -> Vec<String> {
        match self {
            Self::Perplexity(own) => own.tables(),
            Self::Blimp(own) => own.tables(),
            Self::Questions(own) => own.tables(),
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

/// A suite whose data was read.
enum Task {
    Documents(windows::Cut),
    Pairs(Vec<blimp::Pair>),
    Questions(Asked),
}

impl Task {
    fn read(plan: &Plan, (suite, data): &(Suite, Source), model: &Described) -> Result<Self> {
        Ok(match *suite {
            Suite::Perplexity { window, stride } => {
                let context = Scorer::context_of(&model.config.shape);
                Self::Documents(perplexity::cut((window, stride), model, context)?)
            }
            Suite::Blimp => Self::Pairs(blimp::read(data, plan.limit)?),
            Suite::Questions(own) => Self::Questions(Asked::read(own, data, plan.limit)?),
            Suite::Arithmark => Self::Questions(Asked::sums(plan.seed, plan.limit)),
        })
    }
}

/// A suite that was asked: its report and a record of each document or question.
pub struct Evaluated {
    /// What came out.
    pub report: Report,
    /// The records.
    pub records: Records,
}

/// Evaluates a model, suite by suite. All data is read before the model is.
pub fn run(plan: &Plan, printer: &Printer) -> Result<Vec<Evaluated>> {
    let model = plan.sources.describe("model", &plan.model)?;
    let cannot = |suite: Suite| move || format!("cannot evaluate {}", suite.name());
    let read = |own: &(Suite, Source)| Task::read(plan, own, &model).with_context(cannot(own.0));
    let tasks: Vec<Task> = plan.suites.iter().map(read).collect::<Result<_>>()?;
    let mut scorer = Scorer::load(&model, plan.compute)?;
    let mut evaluated = Vec::new();
    for (own, task) in plan.suites.iter().zip(&tasks) {
        let (suite, data) = own;
        if plan.suites.len() > 1 {
            printer.say(suite.name());
        }
        let header = Header::begin(plan, own, &model);
        let found = match task {
            Task::Documents(cut) => {
                perplexity::evaluate((plan, data), *cut, &model, &mut scorer, printer)
            }
            Task::Pairs(pairs) => blimp::evaluate(pairs, &model, &mut scorer, printer),
            Task::Questions(asked) => asked.evaluate(&model, &mut scorer, plan.seed, printer),
        };
        let found = found.with_context(cannot(*suite))?;
        let report = Report::new(header, found.text, scorer.take_cost(), found.figures);
        evaluated.push(Evaluated { report, records: found.records });
    }
    Ok(evaluated)
}
