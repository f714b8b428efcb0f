//! A model folder written anew in another element type or format: weights, configuration and
//! tokenizer, as a folder that appears whole or not at all. Runs no model.

pub mod gguf;
pub mod onnx;
mod rounding;

use std::path::Path;

use anyhow::{Context, Result, bail};
use draft::checkpoint::{Checkpoint, StoredAs};
use draft::config::ModelConfig;
use serde_json::Value;

use crate::new_folder::NewFolder;

pub use rounding::Rounding;

/// Files of a model folder that are taken as they are.
const COPIED: [&str; 8] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "tokenmonster.vocab",
    "README.md",
    "LICENSE",
];

/// How weights are to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Their element type.
    pub stored: StoredAs,
    /// Bytes of weights in a file, at most.
    pub shard: usize,
}

/// Writes the model of a folder into a new folder. Gives the bytes of its weights' files.
pub fn safetensors(from: &Path, out: &Path, target: Target) -> Result<u64> {
    if out.exists() {
        bail!("{} is there already; name another folder with --out", out.display());
    }
    let config = ModelConfig::read(from)?;
    let tensors = config.shape.tensors();
    let checkpoint = Checkpoint::open(from, &tensors)?;
    let folder = NewFolder::begin(out)?;
    let draft = folder.draft();
    checkpoint.write(&draft, &tensors, (target.stored, target.shard))?;
    write_config(from, &folder, target.stored)?;
    copy_files(from, &folder)?;
    let size = weights(&draft)?;
    folder.finish()?;
    Ok(size)
}

/// Copies what is taken as it is.
fn copy_files(from: &Path, to: &NewFolder) -> Result<()> {
    for name in COPIED {
        if from.join(name).is_file() {
            std::fs::copy(from.join(name), to.draft().join(name))
                .with_context(|| format!("cannot copy {}", from.join(name).display()))?;
        }
    }
    Ok(())
}

/// The `config.json`, with the new type. Other programs cannot read whole numbers with scales, and
/// are told so by a type that they do not know.
fn write_config(from: &Path, to: &NewFolder, stored: StoredAs) -> Result<()> {
    let path = from.join("config.json");
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut config: Value =
        serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    let dtype = match stored {
        StoredAs::Fp32 => "float32",
        StoredAs::Bf16 => "bfloat16",
        StoredAs::Fp16 => "float16",
        StoredAs::Int8 => "int8",
    };
    if let Some(object) = config.as_object_mut() {
        // The older name of the same field.
        object.remove("torch_dtype");
        object.insert("dtype".to_owned(), dtype.into());
    }
    let text = serde_json::to_string_pretty(&config)? + "\n";
    to.write("config.json", text.as_bytes())
}

fn weights(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|end| end == "safetensors") {
            sum += entry.metadata()?.len();
        }
    }
    Ok(sum)
}

/// Names and bytes of the files that were written: those of a folder in the order of names, or one.
pub fn files(out: &Path) -> Result<Vec<(String, u64)>> {
    let named = |path: &Path| -> Result<(String, u64)> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, path.metadata()?.len()))
    };
    if !out.is_dir() {
        return Ok(vec![named(out)?]);
    }
    let entries = std::fs::read_dir(out)?;
    let mut files = entries.map(|entry| named(&entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}
