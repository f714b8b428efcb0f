//! `spec align`: flags to a plan, the plan to [`crate::align_report`], the panel to standard output.

use std::path::PathBuf;

use anyhow::Result;

use super::flags::{ComputeFlags, SourceFlags};
use crate::align_report::{Plan, render, run};
use crate::printer::Printer;

/// Flags of `spec align`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The draft: a folder, a registry name (stentor2, stentor, er, …), a Hub id, or a tokenizer alone
    /// (`tokenizer.json`, a `.vocab`, or a folder with one).
    #[arg(long, value_name = "MODEL|FILE")]
    draft: String,
    /// The target: likewise.
    #[arg(long, value_name = "MODEL|FILE")]
    target: String,
    /// Text to look at the pair on: a file or folder of .parquet, .txt or .jsonl, the latter two also
    /// as .gz or .zst [default: the project's own 36 prompts].
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// The text column of JSONL and Parquet.
    #[arg(long, default_value = "text")]
    column: String,
    /// Target tokens over which the target's law is averaged, at most; 0 loads no weights.
    #[arg(long, default_value_t = 2048, value_name = "N")]
    limit: usize,
    /// Target tokens without a draft token to list, at most.
    #[arg(long, default_value_t = 20, value_name = "N")]
    top: usize,
    #[command(flatten)]
    source: SourceFlags,
    #[command(flatten)]
    compute: ComputeFlags,
    /// Seed of the resamples that the interval is made of.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the map of the draft's vocabulary onto the target's, for other engines.
    #[arg(long, value_name = "map.json")]
    out: Option<PathBuf>,
    /// Print a JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        self.compute.check()?;
        let plan = Plan {
            draft: self.draft.clone(),
            target: self.target.clone(),
            sources: self.source.open(),
            text: self.text.clone(),
            column: self.column.clone(),
            limit: self.limit,
            top: self.top,
            compute: self.compute.set_up()?,
            seed: self.seed,
            out: self.out.clone(),
        };
        let report = run(&plan, printer)?;
        if self.json {
            printer.data(&serde_json::to_string_pretty(&report)?)?;
        } else {
            printer.data(&render(&report))?;
        }
        if let Some(out) = &self.out {
            printer.say(&format!("map: {}", out.display()));
        }
        Ok(())
    }
}
