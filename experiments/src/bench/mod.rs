//! The bench: a plan, the prompts that fit, the run, its records and their summary.

pub mod amount;
pub mod compare;
pub mod drafting;
pub mod files;
pub mod fit;
pub mod greedy;
pub mod record;
pub mod run;
pub mod summary;

use std::path::PathBuf;

use draft::{Compute, Sampling};
use target::propose::Settings;
use target::propose::siblings::Siblings;
use target::propose::tree::Size;
use target::{Method, Verification};

use crate::cli::bench::{LongPrompts, Template};
use crate::source::Sources;

/// Numbers of candidates that are chosen while a run is on its way, up to the plan's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auto {
    /// Candidates in a row.
    pub gamma: bool,
    /// Candidates of a tree.
    pub nodes: bool,
}

/// Everything that decides what a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The draft, as typed.
    pub draft: String,
    /// The target, as typed.
    pub target: String,
    /// Where the two come from.
    pub sources: Sources,
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
    /// How the target's logits become its law.
    pub sampling: Sampling,
    /// Temperature of the draft's law.
    pub draft_temperature: f64,
    /// The prompt file, or `None` for the project's own prompts.
    pub prompts: Option<PathBuf>,
    /// Prompts at most.
    pub limit: Option<usize>,
    /// Tokens to emit, at most.
    pub max_new: usize,
    /// Samples a prompt.
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
}

impl Plan {
    /// What the method is told.
    pub fn proposing(&self) -> Settings {
        Settings { temperature: self.draft_temperature, size: self.size, siblings: self.siblings }
    }
}
