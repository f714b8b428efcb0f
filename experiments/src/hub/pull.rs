//! A whole model from the Hub into the cache: asks what there is, chooses what is needed, downloads
//! it, and last of all lets the revision name the commit. Knows no byte of the transfer.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;

use super::cache::{RepositoryCache, is_commit};
use super::download::Download;
use super::needed;
use super::patience::Patience;
use super::repository::{Repository, is_relative};
use super::requests::{RemoteFile, Requests};
use crate::printer::Printer;

/// A model that is in the cache.
#[derive(Clone, Debug, Serialize)]
pub struct Pulled {
    /// Organisation and name.
    pub id: String,
    /// The commit.
    pub revision: String,
    /// The folder of the commit.
    pub folder: PathBuf,
    /// What is needed of it.
    pub files: Vec<PulledFile>,
}

/// A file of it.
#[derive(Clone, Debug, Serialize)]
pub struct PulledFile {
    /// Its name in the repository.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it came from the Hub now; else it was in the cache.
    pub downloaded: bool,
}

/// A pull in progress.
pub(super) struct Pull<'a> {
    download: Download<'a>,
    repository: &'a Repository,
    published: Vec<String>,
    pulled: Pulled,
}

impl<'a> Pull<'a> {
    /// Asks what the revision is and which files it has.
    pub(super) fn begin(
        repository: &'a Repository,
        requests: &'a Requests,
        cache: &'a RepositoryCache,
        printer: &'a Printer,
    ) -> Result<Self> {
        let what = repository.to_string();
        let info = Patience::new(&what, printer).try_for(|| requests.info(repository))?;
        if !is_commit(&info.sha) {
            bail!("{what}: the Hub names no commit; check HF_ENDPOINT");
        }
        let published = info.siblings.into_iter().map(|file| file.rfilename).collect();
        let pulled = Pulled {
            id: repository.id.clone(),
            folder: cache.snapshot(&info.sha),
            revision: info.sha,
            files: Vec::new(),
        };
        let download = Download { requests, cache, printer };
        Ok(Self { download, repository, published, pulled })
    }

    /// Pulls all that a model needs.
    pub(super) fn model(mut self) -> Result<Pulled> {
        let id = &self.repository.id;
        if !self.has(needed::CONFIG) {
            bail!("{id} has no config.json, so it is no model that can be loaded; name another");
        }
        let is_single = needed::is_single(self.published.iter().map(String::as_str));
        for name in needed::SMALL {
            if self.has(name) && !(is_single && name == needed::INDEX) {
                self.file(name)?;
            }
        }
        let vocabulary = needed::vocabulary_file(&self.pulled.folder);
        if let Some(name) = vocabulary.filter(|name| self.has(name)) {
            self.file(&name)?;
        }
        let Some(weights) = needed::weight_files(&self.pulled.folder) else {
            bail!("{id}: its {} cannot be read; name another revision of it", needed::INDEX);
        };
        for name in weights {
            if !self.has(&name) {
                bail!(
                    "{id} has no {name}; only weights as safetensors can be loaded, so name a \
                     revision or a repository that has them"
                );
            }
            self.file(&name)?;
        }
        self.end()
    }

    /// Pulls one file.
    pub(super) fn only(mut self, name: &str) -> Result<PathBuf> {
        if !self.has(name) {
            bail!("{} has no file `{name}` on the Hub", self.repository);
        }
        self.file(name)?;
        Ok(self.end()?.folder.join(name))
    }

    fn has(&self, name: &str) -> bool {
        is_relative(name) && self.published.iter().any(|published| published == name)
    }

    fn file(&mut self, name: &str) -> Result<()> {
        let commit = &self.pulled.revision;
        let arrived =
            self.download.file(RemoteFile { repository: self.repository, commit, name })?;
        self.pulled.files.push(PulledFile {
            name: name.to_owned(),
            size: arrived.size,
            downloaded: arrived.is_new,
        });
        Ok(())
    }

    fn end(self) -> Result<Pulled> {
        self.download.cache.refer(&self.pulled.revision)?;
        Ok(self.pulled)
    }
}
