//! `spec export`: a model as a folder in another element type, or in another format.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use draft::checkpoint::gguf::Element;
use draft::checkpoint::{Checkpoint, StoredAs};
use draft::config::ModelConfig;
use indicatif::HumanBytes;

use super::flags::SourceFlags;
use crate::data::downloads::Size;
use crate::export::gguf::{Wanted, gguf};
use crate::export::onnx::{Numbers, onnx};
use crate::export::{Rounding, Target, files, safetensors};
use crate::printer::Printer;

/// Bytes in a file where nothing else is said.
const SHARD: &str = "5GB";

/// What reads the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// This program and transformers: a folder.
    Safetensors,
    /// llama.cpp and what is built on it: one file.
    Gguf,
    /// onnxruntime and what is built on it: a folder with a graph with past keys and values.
    Onnx,
}

/// Element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dtype {
    /// 32-bit floats.
    #[value(alias = "f32")]
    Fp32,
    /// bfloat16.
    Bf16,
    /// 16-bit floats.
    #[value(alias = "f16")]
    Fp16,
    /// Matrices in 8 bits with a scale for each row. As safetensors, only this program reads it; as
    /// ONNX, what matrices multiply is rounded as the model runs.
    Int8,
    /// GGUF: matrices in 8 bits with a scale for 32 numbers.
    #[value(name = "q8_0")]
    Q8,
    /// GGUF: matrices in 4 bits with a scale for 32 numbers, embedding and head in 8.
    #[value(name = "q4_0")]
    Q4,
}

/// A format with its element type.
#[derive(Clone, Copy, Debug)]
enum Form {
    Safetensors(StoredAs),
    Gguf(Element),
    Onnx(Numbers),
}

/// Flags of `spec export`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A folder, a registry name or a Hub id.
    #[arg(long)]
    model: String,
    /// The form of what is written.
    #[arg(long, value_enum, default_value = "safetensors")]
    format: Format,
    /// The element type of the weights.
    #[arg(long, value_enum)]
    dtype: Dtype,
    /// The new folder, or the new file of GGUF.
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// Weights in a file of safetensors, at most: a number of bytes, or with KB, MB or GB. Of more than
    /// this, or than 2 GB, ONNX has a file beside the graph.
    #[arg(long, value_name = "SIZE", default_value = SHARD)]
    shard_size: String,
    /// GGUF: where llama.cpp cannot cut text as the tokenizer does, write the model all the same, to be
    /// fed ids.
    #[arg(long)]
    ids_only: bool,
    #[command(flatten)]
    source: SourceFlags,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        // Refused before anything is fetched.
        let shard = bytes(&self.shard_size)?;
        let form = self.form()?;
        let located = self.source.open().locate(&self.model);
        let folder =
            located.with_context(|| format!("cannot use the model `{}`", self.model))?.folder;
        let size = match form {
            Form::Safetensors(stored) => safetensors(&folder, &self.out, Target { stored, shard })?,
            Form::Onnx(numbers) => onnx(&folder, &self.out, numbers, shard as u64)?,
            Form::Gguf(element) => self.gguf(&folder, element, printer)?,
        };
        printer.say(&format!("{} of weights", HumanBytes(size)));
        self.tell(&folder, printer)?;
        Ok(printer.data(&self.out.display().to_string())?)
    }

    fn form(&self) -> Result<Form> {
        Ok(match self.format {
            Format::Safetensors => Form::Safetensors(self.dtype.stored()?),
            Format::Gguf => Form::Gguf(self.dtype.element()?),
            Format::Onnx => Form::Onnx(self.dtype.numbers()?),
        })
    }

    fn gguf(&self, folder: &Path, element: Element, printer: &Printer) -> Result<u64> {
        let wanted = Wanted { name: &self.model, element, ids_only: self.ids_only };
        let written = gguf(folder, &self.out, wanted)?;
        if let Some(caveat) = written.caveat {
            printer.say(&format!("note: {caveat}"));
        }
        Ok(written.bytes)
    }

    /// Says what was written, and of whole numbers what they cost the weights.
    fn tell(&self, from: &Path, printer: &Printer) -> Result<()> {
        for (name, size) in files(&self.out)? {
            printer.say(&format!("{name}: {}", HumanBytes(size)));
        }
        if self.dtype == Dtype::Int8 {
            let shape = ModelConfig::read(from)?.shape;
            let tensors = shape.tensors();
            let share = Rounding::of(&Checkpoint::open(from, &tensors)?, &tensors)?.share();
            printer.say(&format!(
                "weights are off by {:.2} % of their size (root mean square); in fp32 they would \
                 take {}",
                100.0 * share,
                HumanBytes(4 * shape.parameters()),
            ));
        }
        Ok(())
    }
}

impl Dtype {
    fn stored(self) -> Result<StoredAs> {
        Ok(match self {
            Self::Fp32 => StoredAs::Fp32,
            Self::Bf16 => StoredAs::Bf16,
            Self::Fp16 => StoredAs::Fp16,
            Self::Int8 => StoredAs::Int8,
            Self::Q8 | Self::Q4 => {
                bail!("q8_0 and q4_0 are types of --format gguf; of others, name int8 with --dtype")
            }
        })
    }

    fn element(self) -> Result<Element> {
        Ok(match self {
            Self::Fp32 => Element::F32,
            Self::Bf16 => Element::Bf16,
            Self::Fp16 => Element::F16,
            Self::Q8 => Element::Q8,
            Self::Q4 => Element::Q4,
            Self::Int8 => bail!("--format gguf has no int8; name q8_0 with --dtype"),
        })
    }

    fn numbers(self) -> Result<Numbers> {
        Ok(match self {
            Self::Fp32 => Numbers::Fp32,
            Self::Fp16 => Numbers::Fp16,
            Self::Int8 => Numbers::Int8,
            Self::Bf16 => bail!(
                "--format onnx has no bf16, which onnxruntime does not compute with on a CPU; \
                 name fp32, fp16 or int8 with --dtype"
            ),
            Self::Q8 | Self::Q4 => {
                bail!("q8_0 and q4_0 are types of --format gguf; of others, name int8 with --dtype")
            }
        })
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
