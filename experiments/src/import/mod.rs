//! Models of llama.cpp and of llama2.c as model folders: configuration, weights as safetensors, and a
//! tokenizer where one can be rebuilt. A folder appears whole or not at all. Runs no model.

mod from_gguf;
mod from_llama2c;
mod tokenizer;

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use draft::checkpoint::Llama2c;
use draft::checkpoint::gguf::{File, Llama};
use serde_json::{Value, json};

use crate::new_folder::NewFolder;
use tokenizer::{Roles, Token};

/// The name of the weights' file.
const WEIGHTS: &str = "model.safetensors";

/// What was written.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Bytes of weights.
    pub bytes: u64,
    /// What the folder lacks.
    pub caveat: Option<String>,
}

/// Writes the model of a file as a new folder. `tokenizer` is a file with its tokenizer, where the
/// model's own has none.
pub fn import(file: &Path, out: &Path, tokenizer: Option<&Path>) -> Result<Imported> {
    NewFolder::check_free(out)?;
    if File::is_one(file) { gguf(file, out, tokenizer) } else { llama2c(file, out, tokenizer) }
}

fn gguf(file: &Path, out: &Path, tokenizer: Option<&Path>) -> Result<Imported> {
    let model = Llama::new(File::open(file)?)?;
    let found =
        from_gguf::read(model.file()).map_err(|reason| anyhow!("{}: {reason}", file.display()))?;
    let folder = NewFolder::begin(out)?;
    write_json(&folder, "config.json", model.config())?;
    let caveat = match (tokenizer, &found.json) {
        (Some(own), _) => {
            let rows = model.config()["vocab_size"].as_u64().unwrap_or(0);
            take(&folder, own, (&found.tokens, &found.roles), rows)?;
            None
        }
        (None, Ok(json)) => {
            write_tokenizer(&folder, json, &found.tokens, &found.roles)?;
            None
        }
        (None, Err(reason)) => Some(without(reason)),
    };
    let bytes = model.write(&folder.draft().join(WEIGHTS))?;
    folder.finish()?;
    Ok(Imported { bytes, caveat })
}

fn llama2c(file: &Path, out: &Path, tokenizer: Option<&Path>) -> Result<Imported> {
    let model = Llama2c::open(file)?;
    let folder = NewFolder::begin(out)?;
    write_json(&folder, "config.json", model.config())?;
    let caveat = match tokenizer {
        Some(own) if own.extension().is_some_and(|end| end == "bin") => {
            let bytes =
                std::fs::read(own).with_context(|| format!("cannot read {}", own.display()))?;
            let (tokens, roles) = from_llama2c::read(&bytes, model.rows())
                .map_err(|reason| anyhow!("{}: {reason}", own.display()))?;
            let json = tokenizer::pieces(&tokens, &roles, true);
            write_tokenizer(&folder, &json, &tokens, &roles)?;
            None
        }
        Some(own) => {
            take(&folder, own, (&[], &Roles::default()), model.rows() as u64)?;
            None
        }
        None => Some(without("llama2.c keeps it in a file beside the model")),
    };
    let bytes = model.write(&folder.draft().join(WEIGHTS))?;
    folder.finish()?;
    Ok(Imported { bytes, caveat })
}

fn without(reason: &str) -> String {
    format!("the folder has no tokenizer ({reason}); import it with --tokenizer FILE")
}

/// Takes a tokenizer's own file over.
fn take(
    folder: &NewFolder,
    file: &Path,
    (tokens, roles): (&[Token], &Roles),
    rows: u64,
) -> Result<()> {
    let mut config = tokenizer::config(tokens, roles);
    let name = match file.extension().and_then(std::ffi::OsStr::to_str) {
        Some("json") => "tokenizer.json",
        Some("vocab") => {
            config = json!({"tokenizer_type": "tokenmonster", "vocab_file": "tokenmonster.vocab",
                "vocab_size": rows, "eos_token_id": roles.eos, "bos_token_id": roles.bos,
                "add_bos_token": roles.adds_bos, "eos_token": config["eos_token"],
                "bos_token": config["bos_token"]});
            "tokenmonster.vocab"
        }
        _ => bail!(
            "{}: a tokenizer is a tokenizer.json, a TokenMonster .vocab or llama2.c's tokenizer.bin",
            file.display()
        ),
    };
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    folder.write(name, &bytes)?;
    write_json(folder, "tokenizer_config.json", &config)?;
    align::Tokenizer::load(&folder.draft())
        .map(drop)
        .with_context(|| format!("{} is no tokenizer", file.display()))
}

fn write_tokenizer(
    folder: &NewFolder,
    json: &Value,
    tokens: &[Token],
    roles: &Roles,
) -> Result<()> {
    write_json(folder, "tokenizer.json", json)?;
    write_json(folder, "tokenizer_config.json", &tokenizer::config(tokens, roles))
}

fn write_json(folder: &NewFolder, name: &str, json: &Value) -> Result<()> {
    folder.write(name, (serde_json::to_string_pretty(json)? + "\n").as_bytes())
}
