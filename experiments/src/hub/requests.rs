//! The requests that `spec` sends to the Hub: what a repository holds, what a file adds up to, and
//! the bytes of a file from a place on. Follows redirects itself, so that the token goes to the
//! Hub's own address and nowhere else. Writes no file.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::anyhow;
use hf_hub::api::RepoInfo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LINK, LOCATION, RANGE,
};
use ureq::http::{HeaderMap, HeaderName, Response, StatusCode};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body, BodyReader, Error};

use super::address::{escaped, host, is_same_origin, joined};
use super::dataset::DatasetFile;
use super::digest::Digest;
use super::patience::{Attempt, Trouble};
use super::refusal::Subject;
use super::repository::{Kind, Repository};
use super::settings::{Settings, Token};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that is silent for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// What can do without the Hub waits for it no longer.
const HASTE: Duration = Duration::from_secs(4);

const MOST_REDIRECTS: usize = 10;
const LARGEST_INFO: u64 = 64 << 20;

const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");

/// A file of a repository at a commit.
#[derive(Clone, Copy)]
pub(super) struct RemoteFile<'a> {
    pub(super) repository: &'a Repository,
    pub(super) commit: &'a str,
    pub(super) name: &'a str,
}

/// An entry of a repository's tree.
#[derive(Deserialize)]
struct Entry {
    r#type: String,
    path: String,
    #[serde(default)]
    size: u64,
}

/// What a file adds up to.
pub(super) struct Facts {
    pub(super) size: u64,
    pub(super) digest: Digest,
}

/// The bytes of a file from `begin` on.
pub(super) struct Bytes {
    pub(super) begin: u64,
    pub(super) reader: BodyReader<'static>,
}

/// The Hub's client.
pub(super) struct Requests {
    agent: Agent,
    endpoint: String,
    token: Option<Token>,
}

/// How a request asks.
#[derive(Clone, Copy)]
enum Ask {
    Head,
    Get,
    From(u64),
}

/// The last answer of a chain of redirects, and what the answers before it said of the file.
struct Answer {
    response: Response<Body>,
    url: String,
    linked_etag: Option<String>,
    linked_size: Option<String>,
}

impl Requests {
    /// Sets the client up; sends nothing.
    pub(super) fn new(settings: &Settings) -> Self {
        let config = config()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE * 2))
            .build();
        Self::with(config, settings)
    }

    /// As [`Self::new`], for small answers that come soon or are not waited for.
    pub(super) fn hasty(settings: &Settings) -> Self {
        Self::with(config().timeout_global(Some(HASTE)).build(), settings)
    }

    fn with(config: Config, settings: &Settings) -> Self {
        Self {
            agent: config.into(),
            endpoint: settings.endpoint.clone(),
            token: settings.token.clone(),
        }
    }

    /// The commit that the revision is, and the names of its files.
    pub(super) fn info(&self, repository: &Repository) -> Attempt<RepoInfo> {
        let url = format!("{}/api/{}", self.endpoint, repository.repo().api_url());
        Ok(self.json(repository, &url)?.0)
    }

    /// The address of the first page of a commit's files.
    pub(super) fn tree(&self, repository: &Repository, commit: &str) -> String {
        let kind = match repository.kind {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        };
        let id = &repository.id;
        format!("{}/api/{kind}/{id}/tree/{commit}?recursive=true", self.endpoint)
    }

    /// A page of files, and the address of the next one.
    pub(super) fn page(
        &self,
        repository: &Repository,
        url: &str,
    ) -> Attempt<(Vec<DatasetFile>, Option<String>)> {
        let (entries, headers): (Vec<Entry>, _) = self.json(repository, url)?;
        let files = entries.into_iter().filter(|entry| entry.r#type == "file");
        let files = files.map(|file| DatasetFile { name: file.path, size: file.size });
        Ok((files.collect(), text(&headers, &LINK).as_deref().and_then(next)))
    }

    fn json<T: DeserializeOwned>(
        &self,
        repository: &Repository,
        url: &str,
    ) -> Attempt<(T, HeaderMap)> {
        let answer = self.follow(url, Ask::Get)?;
        self.check(&answer, repository, None)?;
        let (parts, body) = answer.response.into_parts();
        let text = body.into_with_config().limit(LARGEST_INFO).read_to_vec();
        let text = text.map_err(|error| Trouble::passing(error.to_string()))?;
        let object = serde_json::from_slice(&text).map_err(|error| {
            Trouble::Lasting(anyhow!(
                "{url} does not answer as the Hub does ({error}); check HF_ENDPOINT and the proxy"
            ))
        })?;
        Ok((object, parts.headers))
    }

    /// What a file adds up to.
    pub(super) fn facts(&self, file: RemoteFile<'_>) -> Attempt<Facts> {
        let url = self.url(file);
        let answer = self.follow(&url, Ask::Head)?;
        self.check(&answer, file.repository, Some(file.name))?;
        let own = |name| text(answer.response.headers(), &name);
        let etag = answer.linked_etag.clone().or_else(|| own(ETAG));
        let size = answer.linked_size.clone().or_else(|| own(CONTENT_LENGTH));
        let digest = etag.as_deref().and_then(Digest::parse);
        let size = size.and_then(|size| size.parse().ok());
        let (Some(digest), Some(size)) = (digest, size) else {
            let etag = etag.unwrap_or_default();
            return Err(Trouble::Lasting(anyhow!(
                "{url} has no size and checksum as the Hub gives them (etag `{etag}`), so the file \
                 could not be verified; check HF_ENDPOINT and the proxy"
            )));
        };
        Ok(Facts { size, digest })
    }

    /// The bytes of a file from `begin` on, or from its beginning where the server cannot do that.
    pub(super) fn bytes(&self, file: RemoteFile<'_>, begin: u64) -> Attempt<Bytes> {
        let ask = if begin == 0 { Ask::Get } else { Ask::From(begin) };
        let answer = self.follow(&self.url(file), ask)?;
        let status = answer.response.status();
        if status == StatusCode::RANGE_NOT_SATISFIABLE && begin > 0 {
            return self.bytes(file, 0);
        }
        self.check(&answer, file.repository, Some(file.name))?;
        let begin = if status == StatusCode::PARTIAL_CONTENT {
            range_begin(answer.response.headers())
                .ok_or_else(|| Trouble::passing("the server does not say which bytes it sends"))?
        } else {
            0
        };
        Ok(Bytes { begin, reader: answer.response.into_body().into_reader() })
    }

    fn url(&self, file: RemoteFile<'_>) -> String {
        let (path, name) = (file.repository.path(), escaped(file.name));
        format!("{}/{path}/resolve/{}/{name}", self.endpoint, file.commit)
    }

    /// Asks, and follows redirects. A HEAD request stays with the Hub as soon as the Hub has said
    /// what the file adds up to.
    fn follow(&self, url: &str, ask: Ask) -> Attempt<Answer> {
        let mut url = url.to_owned();
        let (mut linked_etag, mut linked_size) = (None, None);
        for _ in 0..MOST_REDIRECTS {
            let response = self.send(&url, ask)?;
            let headers = response.headers();
            linked_etag = linked_etag.or_else(|| text(headers, &LINKED_ETAG));
            linked_size = linked_size.or_else(|| text(headers, &LINKED_SIZE));
            let location = text(headers, &LOCATION).filter(|_| response.status().is_redirection());
            let Some(location) = location else {
                return Ok(Answer { response, url, linked_etag, linked_size });
            };
            let next = joined(&url, &location)?;
            let is_known = linked_etag.is_some() && linked_size.is_some();
            if matches!(ask, Ask::Head) && is_known && !is_same_origin(&next, &self.endpoint) {
                return Ok(Answer { response, url, linked_etag, linked_size });
            }
            url = next;
        }
        Err(Trouble::Lasting(anyhow!(
            "{url} redirects more than {MOST_REDIRECTS} times; check HF_ENDPOINT and the proxy"
        )))
    }

    fn send(&self, url: &str, ask: Ask) -> Attempt<Response<Body>> {
        let request = match ask {
            Ask::Head => self.agent.head(url),
            Ask::Get | Ask::From(_) => self.agent.get(url),
        };
        // A compressed body has neither the size nor the ranges of the file.
        let mut request = request.header(ACCEPT_ENCODING, "identity");
        if let Ask::From(begin) = ask {
            request = request.header(RANGE, format!("bytes={begin}-"));
        }
        if let Some(Token(token)) = &self.token
            && is_same_origin(url, &self.endpoint)
        {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.call().map_err(|error| failed(url, &error))
    }

    fn check(&self, answer: &Answer, repository: &Repository, file: Option<&str>) -> Attempt<()> {
        let status = answer.response.status();
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        if !is_same_origin(&answer.url, &self.endpoint) {
            // A signed address that is too old, perhaps: the Hub gives a new one.
            let reason = format!("{} answers {}", host(&answer.url), status.as_u16());
            return Err(Trouble::passing(reason));
        }
        let subject =
            Subject { repository, file, endpoint: &self.endpoint, has_token: self.token.is_some() };
        Err(subject.refused(status, answer.response.headers()))
    }
}

fn config() -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(concat!("spec/", env!("CARGO_PKG_VERSION")))
}

/// Why there is no answer. What the network does passes; what the settings say does not.
fn failed(url: &str, error: &Error) -> Trouble {
    let reason = format!("{}: {error}", host(url));
    let lasting =
        |reason| Trouble::Lasting(anyhow!("{reason}; check HF_ENDPOINT, HF_TOKEN and the proxy"));
    match error {
        // A certificate that is not trusted.
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => lasting(reason),
        Error::Io(_)
        | Error::Timeout(_)
        | Error::HostNotFound
        | Error::ConnectionFailed
        | Error::Protocol(_)
        | Error::Tls(_) => Trouble::passing(reason),
        _ => lasting(reason),
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// The first byte of `Content-Range: bytes 100-199/200`.
fn range_begin(headers: &HeaderMap) -> Option<u64> {
    let range = text(headers, &CONTENT_RANGE)?;
    range.trim().strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// The next page of `Link: <https://…?cursor=…>; rel="next"`.
fn next(link: &str) -> Option<String> {
    let of = |part: &str| {
        let (url, rest) = part.trim().strip_prefix('<')?.split_once('>')?;
        rest.contains("rel=\"next\"").then(|| url.to_owned())
    };
    link.split(',').find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        let link = "<https://hub.example/a?cursor=1>; rel=\"first\", \
                    <https://hub.example/a?cursor=x%3D>; rel=\"next\"";
        assert_eq!(next(link).as_deref(), Some("https://hub.example/a?cursor=x%3D"));
        assert_eq!(next("<https://hub.example/a>; rel=\"prev\""), None);
    }
}
