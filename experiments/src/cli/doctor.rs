//! `spec doctor`: prints what [`crate::doctor`] finds.

use anyhow::Result;

use crate::doctor::Diagnosis;
use crate::printer::Printer;

/// Flags of `spec doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Runs the command; `false` where something is wrong.
    pub fn run(&self, printer: &Printer) -> Result<bool> {
        let diagnosis = Diagnosis::make();
        for problem in &diagnosis.problems {
            printer.say(&format!("spec doctor: {problem}"));
        }
        let text =
            if self.json { serde_json::to_string_pretty(&diagnosis)? } else { diagnosis.to_text() };
        printer.data(&text)?;
        Ok(diagnosis.problems.is_empty())
    }
}
