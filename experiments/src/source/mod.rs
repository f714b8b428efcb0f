//! Where a model comes from: what a user typed for it (a folder, a registry name, a Hub id) becomes a
//! folder of this machine. The one place that decides it; reads no weights.

pub mod bundled;
mod default_target;
pub mod fingerprint;
mod load;

use std::path::{Path, PathBuf};

use align::Tokenizer;
use anyhow::{Result, anyhow, bail};
use clap::ValueEnum;

pub use load::{Bare, Described, Loaded};
pub(crate) use load::{ends, fitting, read_tokenizer};

use crate::hub::{Hub, Repository, split_revision};
use crate::printer::Printer;
use crate::registry::{self, Entry};

/// The variable that names a folder of model folders.
const FOLDERS: &str = "SPEC_MODELS";

/// What a registry name stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Prefer {
    /// The published weights where the cache or the Hub has them, else the bundled ones.
    #[default]
    Auto,
    /// The published weights, from the Hub where the cache lacks them.
    Hub,
    /// The published weights that the cache has; the network is not used.
    Cache,
    /// The weights that come with this program; the network is not used.
    Bundled,
}

/// Where a model would come from now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A folder of the Hub's cache.
    Cache(PathBuf),
    /// A folder that comes with this program.
    Bundled {
        /// The folder.
        folder: PathBuf,
        /// Why it stands for published weights; `None` where there are none.
        reason: Option<String>,
    },
    /// The Hub; it is not here yet.
    Hub {
        /// The repository.
        repository: Repository,
        /// Whether its licence must be accepted there first.
        gated: bool,
        /// The folder of this program that stands for it where the Hub does not answer.
        otherwise: Option<PathBuf>,
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
            Self::Bundled { .. } => "bundled",
            Self::Hub { otherwise: Some(_), .. } => "Hub or bundled",
            Self::Hub { gated: false, .. } => "Hub",
            Self::Hub { gated: true, .. } => "Hub (gated)",
            Self::Absent(_) => "not here",
        }
    }

    /// Its folder, where it is here.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) | Self::Cache(folder) | Self::Bundled { folder, .. } => {
                Some(folder)
            }
            Self::Hub { .. } | Self::Absent(_) => None,
        }
    }
}

/// A model that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Its folder.
    pub folder: PathBuf,
    /// Where that is: `folder`, `cache`, `Hub` or `bundled`.
    pub source: &'static str,
    /// What every output says of it: that it is not what its name means elsewhere, and why.
    pub note: Option<String>,
}

impl Located {
    fn new(folder: PathBuf, source: &'static str) -> Self {
        Self { folder, source, note: None }
    }

    /// A bundled model; says so where it stands for published weights.
    fn bundled(name: &str, folder: PathBuf, reason: Option<String>) -> Self {
        let note = reason.map(|reason| format!("{} ({reason})", bundled::REPRODUCTION));
        if let Some(note) = &note {
            Printer::default().say(&format!("{name}: {note}"));
        }
        Self { folder, source: "bundled", note }
    }
}

/// The places that models come from.
#[derive(Clone, Debug)]
pub struct Sources {
    prefer: Prefer,
    hub: Hub,
}

impl Sources {
    /// The Hub of the environment, and what registry names stand for.
    pub fn from_env(prefer: Prefer) -> Self {
        Self { prefer, hub: Hub::from_env() }
    }

    /// Where a model comes from; asks no network. The order is: a folder of that path, a folder of
    /// that name in `SPEC_MODELS`, then by registry name or Hub id what [`Prefer`] says.
    pub fn find(&self, name: &str) -> Result<Source> {
        if let Some(folder) = folder(name) {
            return Ok(match bundled::entry_of(&folder) {
                Some(entry) => {
                    let reason = entry.hub_id.as_ref().map(|_| "named by its folder".to_owned());
                    Source::Bundled { folder, reason }
                }
                None => Source::Folder(folder),
            });
        }
        if Path::new(name).is_file() {
            bail!("{name} is a file; name the model's folder instead");
        }
        let (entry, repository) = published(name)?;
        let bundle = registry::find(name).and_then(|entry| bundled::folder(&entry.name));
        let Some(repository) = repository else { return self.unpublished(name, bundle) };
        if self.prefer == Prefer::Bundled {
            let folder = bundle.ok_or_else(|| bundled::absent(name))?;
            return Ok(Source::Bundled { folder, reason: Some("--source bundled".to_owned()) });
        }
        if let Some(folder) = self.hub.cached(&repository) {
            return Ok(Source::Cache(folder));
        }
        if self.prefer == Prefer::Cache {
            bail!(
                "{repository} is not in the cache {}, and --source cache asks for nothing else; \
                 run `spec pull {repository}`",
                self.hub.cache().display()
            );
        }
        let otherwise = bundle.filter(|_| self.prefer == Prefer::Auto);
        if !self.hub.is_offline() {
            let gated = entry.is_some_and(|entry| entry.gated);
            return Ok(Source::Hub { gated, repository, otherwise });
        }
        Ok(match otherwise {
            Some(folder) => {
                let reason = "the cache lacks them and HF_HUB_OFFLINE is set".to_owned();
                Source::Bundled { folder, reason: Some(reason) }
            }
            None => Source::Absent(repository),
        })
    }

    /// The folder of a model of which only the tokenizer is needed: where it would have to be pulled, its
    /// weights are not.
    pub fn locate_tokenizer(&self, name: &str) -> Result<PathBuf> {
        let repository = match self.find(name)? {
            Source::Folder(folder)
            | Source::Cache(folder)
            | Source::Bundled { folder, .. }
            | Source::Hub { otherwise: Some(folder), .. } => return Ok(folder),
            Source::Hub { repository, .. } | Source::Absent(repository) => repository,
        };
        let printer = Printer::default();
        let config = self.hub.fetch_file(&repository, "tokenizer_config.json", &printer)?;
        let folder = config.parent().unwrap_or(Path::new(".")).to_path_buf();
        let file = Tokenizer::file(&folder)?;
        if file.extension().is_some_and(|end| end == "json") && !file.exists() {
            self.hub.fetch_file(&repository, "tokenizer.json", &printer)?;
        }
        Ok(folder)
    }

    /// A model of this program's own, which is published nowhere else.
    fn unpublished(&self, name: &str, bundle: Option<PathBuf>) -> Result<Source> {
        if matches!(self.prefer, Prefer::Hub) {
            bail!("{name} comes with this program and is on no Hub; leave --source hub out");
        }
        let folder = bundle.ok_or_else(|| bundled::absent(name))?;
        Ok(Source::Bundled { folder, reason: None })
    }

    /// Finds the folder of a model, pulled from the Hub first if need be.
    pub fn locate(&self, name: &str) -> Result<Located> {
        let (repository, otherwise) = match self.find(name)? {
            Source::Folder(folder) => return Ok(Located::new(folder, "folder")),
            Source::Cache(folder) => return Ok(Located::new(folder, "cache")),
            Source::Bundled { folder, reason } => {
                return Ok(Located::bundled(name, folder, reason));
            }
            Source::Hub { repository, otherwise, .. } => (repository, otherwise),
            Source::Absent(repository) => (repository, None),
        };
        let printer = Printer::default();
        let fetch = || self.hub.fetch(&repository, &printer);
        if let Some(bundle) = otherwise {
            return Ok(match self.hub.answers(&repository).and_then(|()| fetch()) {
                Ok(folder) => Located::new(folder, "Hub"),
                Err(error) => Located::bundled(name, bundle, Some(format!("{error:#}"))),
            });
        }
        let folder = fetch().map_err(|error| {
            if name == repository.to_string() {
                return anyhow!("`{name}` is no folder here, and as a Hub id: {error:#}");
            }
            anyhow!(
                "the model `{name}` is {repository} on the Hub, and {error:#}; to work without the \
                 Hub, put its files (config.json, model.safetensors, its tokenizer) into a folder \
                 and name that folder instead of `{name}`"
            )
        })?;
        Ok(Located::new(folder, "Hub"))
    }
}

/// The registry's entry of a name or a Hub id, with or without `@revision`, and its repository; a
/// model of this program's own has none.
pub fn published(name: &str) -> Result<(Option<&'static Entry>, Option<Repository>)> {
    let (plain, revision) = split_revision(name);
    if let Some(entry) = registry::find(plain) {
        let Some(hub_id) = &entry.hub_id else {
            return match revision {
                None => Ok((Some(entry), None)),
                Some(_) => Err(anyhow!("{plain} comes with this program and has no revisions")),
            };
        };
        let repository = Repository::new(hub_id).at(revision);
        let repository = repository
            .ok_or_else(|| anyhow!("`{name}` names no branch, tag or commit behind its `@`"))?;
        return Ok((Some(entry), Some(repository)));
    }
    if let Some(repository) = Repository::parse(name) {
        return Ok((registry::find_published(&repository.id), Some(repository)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_may_have_a_revision() {
        let repository = |name| published(name).unwrap().1.unwrap().to_string();
        assert_eq!(repository("stentor2"), "StentorLabs/Stentor2-12M");
        assert_eq!(repository("stentor2@v1"), "StentorLabs/Stentor2-12M@v1");
        assert_eq!(repository("org/model@refs/pr/1"), "org/model@refs/pr/1");
        for name in ["stentor2@../x", "./folder", "org/model@", "a/b/c", "spec-24m@v1"] {
            assert!(published(name).is_err(), "{name}");
        }
        assert!(published("meta-llama/Llama-3.2-1B").unwrap().0.unwrap().gated);
        assert_eq!(published("spec-24m").unwrap().1, None);
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let sources = Sources::from_env(Prefer::Auto);
        let message = format!("{:#}", sources.locate("stentor-2").unwrap_err());
        assert!(message.contains("did you mean `stentor2`?"), "{message}");
    }
}
