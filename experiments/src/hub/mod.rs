//! Models and datasets from the Hugging Face Hub or its local cache. The only place that knows the Hub; it
//! knows nothing of what is in the files beyond which other files they name.

mod address;
mod cache;
mod dataset;
mod digest;
mod download;
mod needed;
mod partial;
mod patience;
mod pull;
mod refusal;
mod repository;
mod requests;
mod settings;

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use cache::RepositoryCache;
pub use dataset::{Dataset, DatasetFile, DatasetPath};
use patience::{Attempt, Trouble};
use pull::Pull;
pub use pull::{Pulled, PulledFile};
use repository::Kind;
pub use repository::{Repository, split_revision};
use requests::Requests;
use settings::Settings;

use crate::printer::Printer;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// The Hub as the environment sets it up.
#[derive(Clone, Debug)]
pub struct Hub {
    settings: Settings,
}

impl Hub {
    /// Reads `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH` and
    /// `HF_HUB_OFFLINE`.
    pub fn from_env() -> Self {
        Self { settings: Settings::from_env() }
    }

    /// The cache folder.
    pub fn cache(&self) -> &Path {
        &self.settings.cache
    }

    /// The Hub's address.
    pub fn endpoint(&self) -> &str {
        &self.settings.endpoint
    }

    /// Whether the network may not be used.
    pub fn is_offline(&self) -> bool {
        self.settings.offline
    }

    /// The folder of a model whose files are all in the cache.
    pub fn cached(&self, repository: &Repository) -> Option<PathBuf> {
        self.cache_of(repository).current().filter(|folder| needed::is_complete(folder))
    }

    /// The folder of a model, pulled first if it is not in the cache.
    pub fn fetch(&self, repository: &Repository, printer: &Printer) -> Result<PathBuf> {
        match self.cached(repository) {
            Some(folder) => Ok(folder),
            None => Ok(self.pull(repository, printer)?.folder),
        }
    }

    /// Brings the cache up to what the Hub has; without the network, says what the cache has.
    pub fn pull(&self, repository: &Repository, printer: &Printer) -> Result<Pulled> {
        if self.settings.offline {
            let folder = self.cached(repository).ok_or_else(|| self.absent(repository))?;
            return in_cache(repository, folder);
        }
        self.reach()?;
        let (requests, cache) = (Requests::new(&self.settings), self.cache_of(repository));
        Pull::begin(repository, &requests, &cache, printer)?.model()
    }

    /// One file of a repository, downloaded first if it is not in the cache.
    pub fn fetch_file(
        &self,
        repository: &Repository,
        name: &str,
        printer: &Printer,
    ) -> Result<PathBuf> {
        let cache = self.cache_of(repository);
        let cached = cache.current().map(|folder| folder.join(name));
        if let Some(path) = cached.filter(|path| path.exists()) {
            return Ok(path);
        }
        if self.settings.offline {
            return Err(self.absent(repository));
        }
        self.reach()?;
        let requests = Requests::new(&self.settings);
        Pull::begin(repository, &requests, &cache, printer)?.only(name)
    }

    /// Whether requests carry a token.
    pub fn has_token(&self) -> bool {
        self.settings.token.is_some()
    }

    /// Asks once whether the Hub has a repository, and gives up after a few seconds.
    pub fn answers(&self, repository: &Repository) -> Result<()> {
        self.ask_once(|requests| requests.info(repository)).map(drop)
    }

    /// How many bytes a model's files have, asked as [`Self::answers`] asks.
    pub fn size(&self, repository: &Repository) -> Result<u64> {
        let info = self.ask_once(|requests| requests.info(repository))?;
        let mut files = Vec::new();
        let mut page = Some(Requests::new(&self.settings).tree(repository, &info.sha));
        while let Some(url) = page {
            let (more, next) = self.ask_once(|requests| requests.page(repository, &url))?;
            files.extend(more);
            page = next;
        }
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let is_needed = needed::among(&names);
        Ok(files.iter().filter(|file| is_needed(&file.name)).map(|file| file.size).sum())
    }

    fn ask_once<T>(&self, ask: impl FnOnce(&Requests) -> Attempt<T>) -> Result<T> {
        ask(&Requests::hasty(&self.settings)).map_err(|trouble| match trouble {
            Trouble::Lasting(error) => error,
            Trouble::Passing { reason, .. } => anyhow!("the Hub does not answer: {reason}"),
        })
    }

    fn cache_of(&self, repository: &Repository) -> RepositoryCache {
        RepositoryCache::new(&self.settings.cache, repository)
    }

    fn absent(&self, repository: &Repository) -> anyhow::Error {
        let remedy = match repository.kind {
            Kind::Model => format!("run `spec pull {repository}` without it"),
            Kind::Dataset => "run the same command once without it".to_owned(),
        };
        let noun = repository.kind.noun();
        let cache = self.cache().display();
        anyhow!(
            "the {noun} {repository} is not in the cache {cache} and HF_HUB_OFFLINE is set; {remedy}"
        )
    }

    /// Fails within seconds where nothing answers at the Hub's address.
    fn reach(&self) -> Result<()> {
        if settings::is_proxied() {
            return Ok(());
        }
        let endpoint = self.endpoint();
        let secure = !endpoint.starts_with("http://");
        let host = endpoint.split("://").last().unwrap_or_default();
        let host = host.split('/').next().unwrap_or_default();
        let address = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:{}", if secure { 443 } else { 80 })
        };
        let unreachable = || format!("the Hub at {endpoint} cannot be reached");
        let addresses: Vec<SocketAddr> =
            address.to_socket_addrs().with_context(unreachable)?.collect();
        let first_of = |is_ipv4| addresses.iter().find(|found| found.is_ipv4() == is_ipv4);
        let mut outcome = Err(anyhow!(unreachable()));
        for address in [first_of(true), first_of(false)].into_iter().flatten() {
            match TcpStream::connect_timeout(address, CONNECT_TIMEOUT) {
                Ok(_) => return Ok(()),
                Err(error) => outcome = Err(error).with_context(unreachable),
            }
        }
        outcome
    }
}

/// What the cache has of a model.
fn in_cache(repository: &Repository, folder: PathBuf) -> Result<Pulled> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let entry = entry?;
        let found = std::fs::metadata(entry.path())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if found.is_file() {
            files.push(PulledFile { name, size: found.len(), downloaded: false });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let Some(commit) = folder.file_name() else {
        bail!("{} is no folder of a commit", folder.display());
    };
    let revision = commit.to_string_lossy().into_owned();
    Ok(Pulled { id: repository.id.clone(), revision, folder, files })
}
