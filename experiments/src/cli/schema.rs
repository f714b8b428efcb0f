//! `spec schema`: the JSON Schema of a kind of data.

use anyhow::Result;

use crate::printer::Printer;
use crate::schema::Subject;

/// Flags of `spec schema`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {
    /// What the schema is of.
    #[arg(value_enum)]
    subject: Subject,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        printer.data(&serde_json::to_string_pretty(&self.subject.schema())?)?;
        Ok(())
    }
}
