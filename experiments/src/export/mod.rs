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

/// Writes the model of a folder into a new folder.
pub fn safetensors(from: &Path, out: &Path, target: Target) -> Result<()> {
    if out.exists() {
        bail!("{} is there already; name another folder with --out", out.display());
    }
    let config = ModelConfig::read(from)?;
    let tensors = config.shape.tensors();
    let checkpoint = Checkpoint::open(from, &tensors)?;
    let folder = NewFolder::begin(out)?;
    checkpoint.write(&folder.draft(), &tensors, (target.stored, target.shard))?;
    write_config(from, &folder, target.stored)?;
    copy_files(from, &folder)?;
    folder.finish()
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

/// Names and bytes of a folder's files, in the order of names, or those of a file.
pub fn files(folder: &Path) -> Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    if folder.is_file() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![(name, folder.metadata()?.len())]);
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()));
    }
    files.sort();
    Ok(files)
}
