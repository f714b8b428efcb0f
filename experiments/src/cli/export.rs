//! `spec export`: a model as a folder in another element type.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use draft::checkpoint::StoredAs;
use indicatif::HumanBytes;

use super::flags::SourceFlags;
use crate::data::downloads::Size;
use crate::export::{Target, safetensors};
use crate::printer::Printer;

/// Bytes in a file where nothing else is said.
const SHARD: &str = "5GB";

/// Element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dtype {
    /// 32-bit floats.
    Fp32,
    /// bfloat16.
    Bf16,
    /// 16-bit floats.
    Fp16,
    /// Matrices in 8 bits with a scale for each row; only this program reads it.
    Int8,
}

/// Flags of `spec export`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A folder, a registry name or a Hub id.
    #[arg(long)]
    model: String,
    /// The element type of the weights.
    #[arg(long, value_enum)]
    dtype: Dtype,
    /// The new folder.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Weights in a file, at most: a number of bytes, or with KB, MB or GB.
    #[arg(long, value_name = "SIZE", default_value = SHARD)]
    shard_size: String,
    #[command(flatten)]
    source: SourceFlags,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        let shard = bytes(&self.shard_size)?;
        let located = self.source.open().locate(&self.model);
        let folder =
            located.with_context(|| format!("cannot use the model `{}`", self.model))?.folder;
        let stored = match self.dtype {
            Dtype::Fp32 => StoredAs::Fp32,
            Dtype::Bf16 => StoredAs::Bf16,
            Dtype::Fp16 => StoredAs::Fp16,
            Dtype::Int8 => StoredAs::Int8,
        };
        let size = safetensors(&folder, &self.out, Target { stored, shard })?;
        printer.say(&format!("{} of weights", HumanBytes(size)));
        Ok(printer.data(&self.out.display().to_string())?)
    }
}

/// A number of bytes, with or without a unit; at least one.
fn bytes(text: &str) -> Result<usize> {
    match text.parse() {
        Ok(Size(bytes)) if bytes > 0 => Ok(bytes as usize),
        _ => bail!("--shard-size {text}: expected a size such as 15MB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("15MB").unwrap(), 15_000_000);
        assert_eq!(bytes("1.5 gb").unwrap(), 1_500_000_000);
        assert_eq!(bytes("4096").unwrap(), 4096);
        assert!(bytes("MB").is_err() && bytes("-1KB").is_err() && bytes("0").is_err());
    }
}
