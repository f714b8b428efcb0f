//! The bench: a plan, the prompts that fit, the run of its cases, their records and their summary.

pub mod amount;
pub mod case;
pub mod compare;
pub mod drafting;
pub mod figures;
pub mod files;
pub mod fit;
pub mod foretold;
pub mod greedy;
mod header;
mod ledger;
pub mod paired;
pub mod pilot;
pub mod record;
pub mod repetition;
pub mod replay;
pub mod run;
mod slot;
pub mod spec_bench;
pub mod summary;
mod vocabulary;
mod warnings;

use std::path::PathBuf;

use draft::{Compute, Sampling};
use target::propose::Settings;
use target::propose::siblings::Siblings;
use target::propose::tree::Size;
use target::{Method, Verification};

use crate::cli::bench::{LongPrompts, Template};
use crate::report::format::Export;
use crate::source::Sources;

/// Numbers of candidates that are chosen while a run is on its way, up to the plan's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auto {
    /// Candidates in a row.
    pub gamma: bool,
    /// Candidates of a tree.
    pub nodes: bool,
}

/// What decides one case of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct CasePlan {
    /// The draft, as typed.
    pub draft: String,
    /// The method, or `None` for the pair's default.
    pub method: Option<Method>,
    /// How sampled candidates are verified.
    pub verification: Verification,
    /// How large a tree is.
    pub size: Size,
    /// Candidates of each place, for methods with a law.
    pub siblings: Siblings,
    /// Candidates in a row, at most.
    pub gamma: usize,
    /// What of both is chosen as it runs.
    pub auto: Auto,
    /// Temperature of the target's law.
    pub temperature: f64,
    /// Temperature of the draft's law.
    pub draft_temperature: f64,
}

impl CasePlan {
    /// What the method is told.
    pub fn proposing(&self) -> Settings {
        Settings { temperature: self.draft_temperature, size: self.size, siblings: self.siblings }
    }
}

/// Everything that decides what a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its cases; plain decoding at each of their temperatures goes without saying.
    pub cases: Vec<CasePlan>,
    /// The target, as typed.
    pub target: String,
    /// Where models come from.
    pub sources: Sources,
    /// How the target's logits become its law; the temperature is each case's own.
    pub sampling: Sampling,
    /// The prompt file, or `None` for the project's own prompts.
    pub prompts: Option<PathBuf>,
    /// Prompts at most.
    pub limit: Option<usize>,
    /// Tokens to emit, at most.
    pub max_new: usize,
    /// Samples a prompt, at temperature above 0.
    pub repeats: u32,
    /// Prompts that are run first and not counted.
    pub warmup: usize,
    /// Whether an end of text is a token like any other.
    pub ignore_eos: bool,
    /// What to do with prompts that do not fit.
    pub long_prompts: LongPrompts,
    /// How chat prompts are rendered.
    pub template: Template,
    /// Where and in which precision models compute.
    pub compute: Compute,
    /// Seed of everything random.
    pub seed: u64,
    /// Folder of the run's files.
    pub out: Option<PathBuf>,
    /// Files that the report is written to besides.
    pub exports: Vec<Export>,
}

impl Plan {
    /// The target's law at a temperature.
    pub fn sampling_at(&self, temperature: f64) -> Sampling {
        Sampling { temperature, ..self.sampling }
    }

    /// The temperatures of the cases, ascending.
    pub fn temperatures(&self) -> Vec<f64> {
        let mut found: Vec<f64> = self.cases.iter().map(|case| case.temperature).collect();
        found.sort_by(f64::total_cmp);
        found.dedup();
        found
    }

    /// The drafts of the cases, in their order.
    pub fn drafts(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for case in &self.cases {
            if !found.contains(&case.draft.as_str()) {
                found.push(&case.draft);
            }
        }
        found
    }

    /// Generations of a prompt at a temperature.
    pub fn repeats_at(&self, temperature: f64) -> u32 {
        if temperature == 0.0 { 1 } else { self.repeats }
    }
}
