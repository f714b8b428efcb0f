//! What the environment says about the Hub: where its cache is, at which address it is, who asks.
//! Asks nobody.

use std::fmt;
use std::path::{Path, PathBuf};

/// The secret that a request carries. It is never printed.
#[derive(Clone)]
pub(super) struct Token(pub(super) String);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// The Hub as the environment sets it up.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) cache: PathBuf,
    pub(super) endpoint: String,
    pub(super) token: Option<Token>,
    pub(super) offline: bool,
}

impl Settings {
    /// Reads the variables that Python's `huggingface_hub` reads, with the same defaults.
    pub(super) fn from_env() -> Self {
        let home = variable("HF_HOME").map_or_else(default_home, PathBuf::from);
        let cache = variable("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from);
        let token_file =
            variable("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from);
        let token = variable("HF_TOKEN").or_else(|| std::fs::read_to_string(token_file).ok());
        let endpoint =
            variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let offline = variable("HF_HUB_OFFLINE").is_some_and(|value| {
            !matches!(value.to_lowercase().as_str(), "0" | "false" | "no" | "off")
        });
        Self {
            cache,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: token
                .map(|text| text.trim().to_owned())
                .filter(|text| is_written(text))
                .map(Token),
            offline,
        }
    }
}

fn is_written(text: &str) -> bool {
    !text.is_empty()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| is_written(text))
}

fn default_home() -> PathBuf {
    let caches = variable("XDG_CACHE_HOME").map_or_else(
        || Path::new(&variable("HOME").unwrap_or_else(|| ".".to_owned())).join(".cache"),
        PathBuf::from,
    );
    caches.join("huggingface")
}

/// Whether requests go through a proxy, so that the Hub's own address need not answer.
pub(super) fn is_proxied() -> bool {
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| variable(name).is_some())
}
