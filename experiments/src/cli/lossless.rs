//! `spec eval --lossless`: flags to a plan, the plan to [`crate::eval::lossless`], its report to standard
//! output and a folder.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use draft::{Compute, Sampling};
use target::propose::siblings::Rule;
use target::propose::tree::Size;
use target::{Method, Verification};

use super::bench::{LongPrompts, Template};
use super::flags::check_at_least_one;
use crate::bench;
use crate::bench::amount::Amount;
use crate::eval::lossless::{Plan, run};
use crate::new_folder::NewFolder;
use crate::printer::Printer;
use crate::source::Sources;

/// Flags of `spec eval --lossless`.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "With --lossless")]
pub struct Flags {
    /// The draft: a folder, a registry name or a Hub id.
    #[arg(long, value_name = "MODEL", requires = "lossless", required_if_eq("lossless", "true"))]
    draft: Option<String>,
    /// The target: likewise.
    #[arg(long, value_name = "MODEL", requires = "lossless", required_if_eq("lossless", "true"))]
    target: Option<String>,
    /// Methods, with commas between [default: all that the pair allows].
    #[arg(long, value_name = "METHODS", value_delimiter = ',', requires = "lossless")]
    method: Vec<Method>,
    /// How sampled candidates are verified.
    #[arg(long, default_value_t = Verification::Token, requires = "lossless")]
    verify: Verification,
    /// Candidate target tokens in a row, at most.
    #[arg(long, default_value_t = 5, requires = "lossless")]
    gamma: usize,
    /// Candidates of a round, at most, where they form a tree.
    #[arg(long, default_value_t = Size::default().nodes, value_name = "N", requires = "lossless")]
    tree_nodes: usize,
    /// Methods tree, byte and slrs: texts that the draft reads at once.
    #[arg(long, default_value_t = Size::default().beam, value_name = "N", requires = "lossless")]
    beam: usize,
    /// Candidates of each place of methods that draw them; auto for a tree of them for byte.
    #[arg(long, default_value_t = Amount::Auto, value_name = "N|auto", requires = "lossless")]
    siblings: Amount,
    /// How they are chosen: drawn, or greedy.
    #[arg(long, default_value_t = Rule::Drawn, requires = "lossless")]
    sibling_rule: Rule,
    /// Prompts, as of spec bench [default: the project's own 36].
    #[arg(long, value_name = "FILE", requires = "lossless")]
    prompts: Option<PathBuf>,
    /// Tokens to emit for each prompt, at most.
    #[arg(long, default_value_t = 64, value_name = "N", requires = "lossless")]
    max_new: usize,
    /// Temperature of the checks with draws, on both sides.
    #[arg(long, default_value_t = 1.0, requires = "lossless")]
    temperature: f64,
    /// Draws of the first token that a round decides; 0 leaves that check out.
    #[arg(long, default_value_t = 2000, value_name = "N", requires = "lossless")]
    draws: u64,
    /// Prompts whose first token is drawn.
    #[arg(long, default_value_t = 1, value_name = "N", requires = "lossless")]
    draw_prompts: usize,
}

/// What all of `spec eval` has.
pub(super) struct Common<'a> {
    pub(super) sources: Sources,
    pub(super) compute: Compute,
    pub(super) limit: Option<usize>,
    pub(super) seed: u64,
    pub(super) json: bool,
    pub(super) out: Option<&'a Path>,
}

impl Flags {
    /// Refuses values that mean nothing.
    pub(super) fn check(&self) -> Result<()> {
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            bail!("--temperature is above 0: greedy ids are checked besides");
        }
        if self.draws >= 1 << 24 {
            bail!("--draws is below {}", 1 << 24);
        }
        check_at_least_one(&[
            ("--gamma", self.gamma),
            ("--tree-nodes", self.tree_nodes),
            ("--beam", self.beam),
            ("--siblings", self.siblings.at_most(1)),
            ("--max-new", self.max_new),
        ])
    }

    /// Checks a pair. `false` where it is not lossless.
    pub(super) fn run(&self, common: Common<'_>, printer: &Printer) -> Result<bool> {
        let folder = common.out.map(NewFolder::begin).transpose()?;
        let shows_json = common.json;
        let report = run(&self.plan(common), printer)?;
        let json = serde_json::to_string_pretty(&report)? + "\n";
        if let Some(folder) = folder {
            folder.write("report.json", json.as_bytes())?;
            folder.write("report.md", report.file().as_bytes())?;
            folder.finish()?;
        }
        printer.data(&if shows_json { json } else { report.page() })?;
        Ok(report.holds())
    }

    fn plan(&self, common: Common<'_>) -> Plan {
        Plan {
            bench: bench::Plan {
                cases: vec![bench::CasePlan {
                    draft: self.draft.clone().unwrap_or_default(),
                    method: None,
                    verification: self.verify,
                    size: Size { nodes: self.tree_nodes, beam: self.beam },
                    siblings: self.siblings.siblings(self.sibling_rule, self.verify),
                    gamma: self.gamma,
                    auto: bench::Auto::default(),
                    temperature: self.temperature,
                    draft_temperature: self.temperature,
                }],
                target: self.target.clone().unwrap_or_default(),
                sources: common.sources,
                sampling: Sampling::at(self.temperature),
                prompts: self.prompts.clone(),
                limit: common.limit,
                max_new: self.max_new,
                repeats: 1,
                warmup: 0,
                ignore_eos: false,
                long_prompts: LongPrompts::Skip,
                template: Template::Auto,
                compute: common.compute,
                seed: common.seed,
                out: None,
                exports: Vec::new(),
            },
            methods: self.method.clone(),
            draws: self.draws,
            draw_prompts: if self.draws == 0 { 0 } else { self.draw_prompts },
        }
    }
}
