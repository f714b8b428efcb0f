//! `spec import`: a model of llama.cpp or llama2.c as a model folder.

use std::path::PathBuf;

use anyhow::Result;
use indicatif::HumanBytes;

use crate::import::import;
use crate::printer::Printer;

/// Flags of `spec import`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A GGUF file of a Llama model (F32, F16, BF16, `Q8_0` or `Q4_0`), or a `.bin` of llama2.c.
    file: PathBuf,
    /// The new folder.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The model's tokenizer: llama2.c's `tokenizer.bin`, or a `tokenizer.json` or TokenMonster
    /// `.vocab` for a file whose own cannot be rebuilt.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        let imported = import(&self.file, &self.out, self.tokenizer.as_deref())?;
        printer.say(&format!("{} of weights", HumanBytes(imported.bytes)));
        if let Some(caveat) = imported.caveat {
            printer.say(&format!("note: {caveat}"));
        }
        Ok(printer.data(&self.out.display().to_string())?)
    }
}
