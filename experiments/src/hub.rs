//! Model files from the Hugging Face Hub or its local cache. The only module that knows the Hub's
//! client library; it knows nothing of what is in the files.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

/// Files that a model folder must have.
const REQUIRED: [&str; 1] = ["config.json"];

/// Files that it may have.
const OPTIONAL: [&str; 7] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "tokenmonster.vocab",
    "special_tokens_map.json",
    "README.md",
];

const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// The Hub as the environment sets it up.
#[derive(Clone, Debug)]
pub struct Hub {
    cache: PathBuf,
    endpoint: String,
    token: Option<String>,
    offline: bool,
}

impl Hub {
    /// Reads `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`.
    pub fn from_env() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = variable("HF_HOME").map_or_else(
            || {
                let home = variable("HOME").unwrap_or_else(|| ".".to_owned());
                Path::new(&home).join(".cache").join("huggingface")
            },
            PathBuf::from,
        );
        let cache = variable("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from);
        let token = variable("HF_TOKEN").or_else(|| {
            let text = std::fs::read_to_string(home.join("token")).ok()?;
            Some(text.trim().to_owned()).filter(|token| !token.is_empty())
        });
        let offline = variable("HF_HUB_OFFLINE")
            .is_some_and(|value| !matches!(value.as_str(), "0" | "false"));
        let endpoint =
            variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Self { cache, endpoint, token, offline }
    }

    /// The cache folder.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The Hub's address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether the network may not be used.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// The folder of a model whose files are all in the cache.
    pub fn cached(&self, id: &str) -> Option<PathBuf> {
        let repo = Cache::new(self.cache.clone()).repo(Repo::new(id.to_owned(), RepoType::Model));
        let folder = repo.get("config.json")?.parent()?.to_path_buf();
        weight_files(&folder)
            .is_some_and(|files| files.iter().all(|file| folder.join(file).exists()))
            .then_some(folder)
    }

    /// The folder of a model, its missing files downloaded first.
    pub fn fetch(&self, id: &str) -> Result<PathBuf> {
        if let Some(folder) = self.cached(id) {
            return Ok(folder);
        }
        if self.offline {
            bail!("{id} is not in the cache {} and HF_HUB_OFFLINE is set", self.cache.display());
        }
        self.reach()?;
        let api = ApiBuilder::from_cache(Cache::new(self.cache.clone()))
            .with_endpoint(self.endpoint.clone())
            .with_token(self.token.clone())
            .with_retries(3)
            .with_progress(true)
            .build()
            .context("cannot set up the Hub's client")?;
        let repo = api.repo(Repo::new(id.to_owned(), RepoType::Model));
        self.download(id, &repo)
    }

    fn download(&self, id: &str, repo: &ApiRepo) -> Result<PathBuf> {
        let info = repo.info().map_err(|error| self.explain(id, &error))?;
        let published: Vec<&str> =
            info.siblings.iter().map(|file| file.rfilename.as_str()).collect();
        let mut folder = None;
        for name in REQUIRED.iter().chain(&OPTIONAL).filter(|name| published.contains(*name)) {
            let path = repo.get(name).map_err(|error| self.explain(id, &error))?;
            folder = path.parent().map(Path::to_path_buf);
        }
        let folder = folder.ok_or_else(|| anyhow!("{id} on the Hub has no config.json"))?;
        if published.contains(&"model.safetensors.index.json") {
            repo.get("model.safetensors.index.json").map_err(|error| self.explain(id, &error))?;
        }
        let files = weight_files(&folder)
            .ok_or_else(|| anyhow!("{id}: model.safetensors.index.json cannot be read"))?;
        for file in files {
            repo.get(&file).map_err(|error| self.explain(id, &error))?;
        }
        Ok(folder)
    }

    /// Fails within seconds where nothing answers at the Hub's address.
    fn reach(&self) -> Result<()> {
        let proxied = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        if proxied {
            return Ok(());
        }
        let secure = !self.endpoint.starts_with("http://");
        let host = self.endpoint.split("://").last().unwrap_or_default();
        let host = host.split('/').next().unwrap_or_default();
        let address = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:{}", if secure { 443 } else { 80 })
        };
        let unreachable = || format!("the Hub at {} cannot be reached", self.endpoint);
        let mut addresses = address.to_socket_addrs().with_context(unreachable)?;
        let first = addresses.next().ok_or_else(|| anyhow!(unreachable()))?;
        TcpStream::connect_timeout(&first, CONNECT_TIMEOUT).with_context(unreachable)?;
        Ok(())
    }

    fn explain(&self, id: &str, error: &ApiError) -> anyhow::Error {
        let text = error.to_string();
        let page = format!("{}/{id}", self.endpoint);
        if text.contains("401") || text.contains("403") {
            return anyhow!(
                "{id} is gated or private: accept its licence at {page} and set HF_TOKEN to a token \
                 of your account"
            );
        }
        if text.contains("404") {
            return anyhow!("{page} does not exist");
        }
        anyhow!("downloading {id} from {page} failed: {}", text.lines().next().unwrap_or_default())
    }
}

/// Names of the weight files of a folder; `None` where its index cannot be read.
fn weight_files(folder: &Path) -> Option<Vec<String>> {
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        return Some(vec!["model.safetensors".to_owned()]);
    }
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(index).ok()?).ok()?;
    let mut files: Vec<String> = json["weight_map"]
        .as_object()?
        .values()
        .filter_map(|file| file.as_str().map(str::to_owned))
        .collect();
    files.sort();
    files.dedup();
    Some(files)
}
