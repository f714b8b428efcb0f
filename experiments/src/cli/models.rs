//! `spec models`: prints what [`crate::models`] knows.

use anyhow::Result;

use super::flags::SourceFlags;
use crate::models;
use crate::printer::Printer;

/// Flags of `spec models`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a JSON array, with how each model's card says to sample.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceFlags,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        let descriptions = models::describe(&self.source.open());
        for description in &descriptions {
            if let Some(problem) = &description.problem {
                printer.say(&format!("spec models: {}: {problem}", description.name));
            }
        }
        let text = if self.json {
            serde_json::to_string_pretty(&descriptions)?
        } else {
            models::table(&descriptions)
        };
        printer.data(&text)?;
        Ok(())
    }
}
