//! `spec compare`: two runs of `spec bench` on the same prompts.

use std::path::PathBuf;

use anyhow::Result;

use crate::bench::compare::{Run, compare, render};
use crate::printer::Printer;
use crate::statistics::Resampling;

/// Flags of `spec compare`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The folder of a run (spec bench --out).
    run_a: PathBuf,
    /// The folder of the run that is compared with it.
    run_b: PathBuf,
    /// Seed of the resamples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print an object instead of the table.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        let (a, b) = (Run::read(&self.run_a)?, Run::read(&self.run_b)?);
        let comparison = compare(&a, &b, Resampling::full(self.seed))?;
        if self.json {
            printer.data(&serde_json::to_string_pretty(&comparison)?)?;
        } else {
            printer.data(&render(&comparison))?;
        }
        Ok(())
    }
}
