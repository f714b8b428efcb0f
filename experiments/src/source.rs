//! From what a user typed for a model (a folder, a registry name, a Hub id) to a loaded model with
//! its tokenizer. The one place that decides where a model comes from; does no model maths.

use std::path::{Path, PathBuf};

use align::Tokenizer;
use anyhow::{Context, Result, anyhow, bail};
use draft::config::ModelConfig;
use draft::{Compute, Model, Session};
use target::Side;

use crate::bench::record::ModelInfo;
use crate::hub::{Hub, Repository, split_revision};
use crate::printer::Printer;
use crate::published::Published;
use crate::registry::{self, Entry};
use crate::tokenizer;

/// The variable that names a folder of model folders.
const FOLDERS: &str = "SPEC_MODELS";

/// Where a model would come from now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A folder of the Hub's cache.
    Cache(PathBuf),
    /// The Hub; it is not here yet.
    Hub {
        /// The repository.
        repository: Repository,
        /// Whether its licence must be accepted there first.
        gated: bool,
    },
    /// The Hub, which may not be used.
    Absent(Repository),
}

impl Source {
    /// What users read.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder",
            Self::Cache(_) => "cache",
            Self::Hub { gated: false, .. } => "Hub",
            Self::Hub { gated: true, .. } => "Hub (gated)",
            Self::Absent(_) => "not here",
        }
    }

    /// Its folder, where it is here.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) | Self::Cache(folder) => Some(folder),
            Self::Hub { .. } | Self::Absent(_) => None,
        }
    }
}

/// Where a model comes from. The order is: a folder of that path, a folder of that name in
/// `SPEC_MODELS`, then by registry name or Hub id the Hub's cache and the Hub.
pub fn find(name: &str, hub: &Hub) -> Result<Source> {
    if let Some(folder) = folder(name) {
        return Ok(Source::Folder(folder));
    }
    if Path::new(name).is_file() {
        bail!("{name} is a file; name the model's folder instead");
    }
    let (entry, repository) = published(name)?;
    if let Some(folder) = hub.cached(&repository) {
        return Ok(Source::Cache(folder));
    }
    if hub.is_offline() {
        return Ok(Source::Absent(repository));
    }
    Ok(Source::Hub { gated: entry.is_some_and(|entry| entry.gated), repository })
}

/// The repository that a registry name or a Hub id means, with or without `@revision`.
pub fn published(name: &str) -> Result<(Option<&'static Entry>, Repository)> {
    let (plain, revision) = split_revision(name);
    if let Some(entry) = registry::find(plain) {
        let repository = Repository::new(&entry.hub_id).at(revision);
        let repository = repository
            .ok_or_else(|| anyhow!("`{name}` names no branch, tag or commit behind its `@`"))?;
        return Ok((Some(entry), repository));
    }
    if let Some(repository) = Repository::parse(name) {
        return Ok((registry::find_published(&repository.id), repository));
    }
    let suggestion = registry::nearest(plain)
        .map_or_else(|| ".".to_owned(), |nearest| format!("; did you mean `{nearest}`?"));
    let names: Vec<&str> = registry::models().iter().map(|entry| entry.name.as_str()).collect();
    bail!(
        "unknown model `{name}`{suggestion} Expected a folder, a Hub id (organisation/name), or one \
         of {}",
        names.join(", ")
    )
}

/// A folder of that path or of that name in `SPEC_MODELS`. A name of the registry is only meant by a
/// folder that holds a model.
fn folder(name: &str) -> Option<PathBuf> {
    let is_registered = registry::find(name).is_some();
    let here = Some(PathBuf::from(name));
    let there = std::env::var_os(FOLDERS)
        .filter(|folders| !folders.is_empty())
        .map(|folders| Path::new(&folders).join(name));
    [here, there]
        .into_iter()
        .flatten()
        .find(|folder| folder.is_dir() && (!is_registered || folder.join("config.json").is_file()))
}

/// Finds the folder of a model, pulled from the Hub first if need be.
pub fn locate(name: &str) -> Result<PathBuf> {
    let hub = Hub::from_env();
    let source = find(name, &hub)?;
    let repository = match source {
        Source::Folder(folder) | Source::Cache(folder) => return Ok(folder),
        Source::Hub { repository, .. } | Source::Absent(repository) => repository,
    };
    let printer = Printer::default();
    hub.fetch(&repository, &printer).map_err(|error| {
        if name == repository.to_string() {
            return anyhow!("`{name}` is no folder here, and as a Hub id: {error:#}");
        }
        anyhow!(
            "the model `{name}` is {repository} on the Hub, and {error:#}; to work without the Hub, \
             put its files (config.json, model.safetensors, its tokenizer) into a folder and name \
             that folder instead of `{name}`"
        )
    })
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

/// A model of which only the weights have not been read.
pub struct Described {
    /// The name for people.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What its `config.json` says.
    pub config: ModelConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Ids that end a text. The first stands for the others.
    pub eos: Vec<u32>,
}

/// Locates a model and reads all but its weights.
pub fn describe(role: &str, name: &str) -> Result<Described> {
    let folder = locate(name).with_context(|| format!("cannot use the {role} `{name}`"))?;
    let read = || -> Result<Described> {
        let config = ModelConfig::read(&folder)?;
        let rows = config.shape.vocab_size();
        let mut tokenizer = fitting(read_tokenizer(name, &folder)?, &folder, rows)?;
        tokenizer.pad_to(rows);
        let eos = ends(&config, Some(&tokenizer));
        let (name, folder) = (shown_name(name, &folder), folder.clone());
        Ok(Described { name, folder, config, tokenizer, eos })
    };
    read().with_context(|| format!("cannot load the {role} `{name}`"))
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
    let mut tokenizer = tokenizer::open(name, folder, &Printer::default())?;
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
    fn names_and_ids_may_have_a_revision() {
        let repository = |name| published(name).unwrap().1.to_string();
        assert_eq!(repository("stentor2"), "StentorLabs/Stentor2-12M");
        assert_eq!(repository("stentor2@v1"), "StentorLabs/Stentor2-12M@v1");
        assert_eq!(repository("org/model@refs/pr/1"), "org/model@refs/pr/1");
        for name in ["stentor2@../x", "./folder", "org/model@", "a/b/c"] {
            assert!(published(name).is_err(), "{name}");
        }
        assert!(published("meta-llama/Llama-3.2-1B").unwrap().0.unwrap().gated);
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let message = format!("{:#}", locate("stentor-2").unwrap_err());
        assert!(message.contains("did you mean `stentor2`?"), "{message}");
    }
}
