//! From what a user typed for a model (a folder, a registry name, a Hub id) to a loaded model with
//! its tokenizer. Knows where models come from; does no model maths.

use std::path::{Path, PathBuf};

use align::Tokenizer;
use anyhow::{Context, Result, anyhow, bail};
use draft::config::ModelConfig;
use draft::{Compute, Model, Session};
use target::Side;

use crate::bench::record::ModelInfo;
use crate::hub::Hub;
use crate::published::Published;
use crate::registry;

/// Finds the folder of a model. The order is: a folder of that path, a registry name, a Hub id.
pub fn locate(name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(path.to_path_buf());
    }
    if path.is_file() {
        bail!("{name} is a file; name the model's folder instead");
    }
    let hub = Hub::from_env();
    if let Some(entry) = registry::find(name) {
        return hub.fetch(&entry.hub_id).map_err(|error| {
            anyhow!(
                "the model `{name}` is {} on the Hub, and {error:#}; to work without the Hub, put \
                 its files (config.json, model.safetensors, its tokenizer) into a folder and name \
                 that folder instead of `{name}`",
                entry.hub_id
            )
        });
    }
    if looks_like_hub_id(name) {
        return hub
            .fetch(name)
            .map_err(|error| anyhow!("`{name}` is no folder here, and as a Hub id: {error:#}"));
    }
    let suggestion = registry::nearest(name)
        .map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
    let names: Vec<&str> = registry::models().iter().map(|entry| entry.name.as_str()).collect();
    bail!(
        "unknown model `{name}`{suggestion} Expected a folder, a Hub id (organisation/name), or one \
         of {}",
        names.join(", ")
    )
}

fn looks_like_hub_id(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    parts.len() == 2 && parts.iter().all(plain)
}

/// A loaded model, ready for the loop, and what is known of it.
pub struct Loaded {
    /// The model.
    pub side: Side,
    /// What reports say of it.
    pub info: ModelInfo,
    /// Its folder.
    pub folder: PathBuf,
    /// The published model that it is, or whose shape it has.
    pub published: Option<Published>,
}

/// Loads a model and its tokenizer from a folder.
pub fn load(name: &str, folder: PathBuf, compute: Compute) -> Result<Loaded> {
    let tokenizer = read_tokenizer(name, &folder)?;
    let model = Model::load(&folder, compute)?;
    let tokenizer = fitting(tokenizer, &folder, model.network.rows())?;
    let info = ModelInfo {
        name: shown_name(name, &folder),
        path: folder.display().to_string(),
        architecture: model.config.architecture.clone(),
        parameters: model.parameters,
        vocabulary: tokenizer.vocabulary().used_rows(),
        context: model.network.context(),
        tokenizer: tokenizer.description(),
    };
    let eos = ends(&model.config, Some(&tokenizer));
    let side = Side::new(tokenizer, Session::new(model.network), eos);
    let published = Published::find(name, &folder);
    Ok(Loaded { side, info, folder, published })
}

/// A loaded model for which ids are enough: its tokenizer may be missing.
pub struct Bare {
    /// The name for people.
    pub name: String,
    /// The model.
    pub session: Session,
    /// Ids that end a text.
    pub eos: Vec<u32>,
    /// Its tokenizer, or why there is none.
    pub tokenizer: Result<Tokenizer>,
}

/// Locates and loads a model, with or without a tokenizer.
pub fn open_bare(role: &str, name: &str, compute: Compute) -> Result<Bare> {
    let folder = locate(name).with_context(|| format!("cannot use the {role} `{name}`"))?;
    let load = || -> Result<Bare> {
        let model = Model::load(&folder, compute)?;
        let tokenizer = read_tokenizer(name, &folder)
            .and_then(|tokenizer| fitting(tokenizer, &folder, model.network.rows()));
        Ok(Bare {
            name: shown_name(name, &folder),
            eos: ends(&model.config, tokenizer.as_ref().ok()),
            session: Session::new(model.network),
            tokenizer,
        })
    };
    load().with_context(|| format!("cannot load the {role} `{name}`"))
}

/// Reads a folder's tokenizer and puts in front of every text what the published model needs there.
fn read_tokenizer(name: &str, folder: &Path) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::load(folder)?;
    if let Some(published) = Published::find(name, folder) {
        published.begin(&mut tokenizer)?;
    }
    Ok(tokenizer)
}

/// A tokenizer that has no more ids than the model has rows.
fn fitting(tokenizer: Tokenizer, folder: &Path, rows: usize) -> Result<Tokenizer> {
    let used = tokenizer.vocabulary().used_rows();
    if used > rows {
        bail!(
            "{}: its tokenizer has ids up to {}, its embedding {rows} rows; the tokenizer and the \
             weights do not belong together",
            folder.display(),
            used - 1
        );
    }
    Ok(tokenizer)
}

/// Ids that end a text. The end that the tokenizer's own files name stands for the others.
fn ends(config: &ModelConfig, tokenizer: Option<&Tokenizer>) -> Vec<u32> {
    let mut eos = config.eos.clone();
    let own = tokenizer.and_then(Tokenizer::eos);
    if eos.is_empty() {
        eos.extend(own);
    }
    if let Some(own) = own.and_then(|own| eos.iter().position(|&id| id == own)) {
        eos.swap(0, own);
    }
    eos
}

/// A folder's own name, or the name that was typed for another source.
fn shown_name(name: &str, folder: &Path) -> String {
    let own = folder.file_name().filter(|_| Path::new(name).is_dir());
    own.map_or_else(|| name.to_owned(), |own| own.to_string_lossy().into_owned())
}

/// Locates and loads.
pub fn open(role: &str, name: &str, compute: Compute) -> Result<Loaded> {
    let folder = locate(name).with_context(|| format!("cannot use the {role} `{name}`"))?;
    load(name, folder, compute).with_context(|| format!("cannot load the {role} `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_ids_are_told_from_paths() {
        assert!(looks_like_hub_id("meta-llama/Llama-3.2-1B"));
        for path in ["a/b/c", "./model", "../model", "stentor2", "/models/x", "a/"] {
            assert!(!looks_like_hub_id(path), "{path}");
        }
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let message = format!("{:#}", locate("stentor-2").unwrap_err());
        assert!(message.contains("did you mean `stentor2`?"), "{message}");
    }
}
