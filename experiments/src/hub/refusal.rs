//! What it means that the Hub answers a request with anything but success, in words that say what
//! to do. Sends nothing.

use std::time::Duration;

use anyhow::anyhow;
use ureq::http::{HeaderMap, StatusCode};

use super::patience::Trouble;
use super::repository::Repository;

/// What was asked for, and by whom.
pub(super) struct Subject<'a> {
    pub(super) repository: &'a Repository,
    pub(super) file: Option<&'a str>,
    pub(super) endpoint: &'a str,
    pub(super) has_token: bool,
}

impl Subject<'_> {
    fn page(&self) -> String {
        format!("{}/{}", self.endpoint, self.repository.path())
    }

    /// The trouble behind an answer.
    pub(super) fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Trouble {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let code = header("x-error-code").unwrap_or_default();
        let lasting = |text: String| Trouble::Lasting(anyhow!(text));
        match (status.as_u16(), code) {
            (429 | 500 | 502..=504, _) => {
                let limit = " (too many requests)";
                let meaning = if status.as_u16() == 429 { limit } else { "" };
                Trouble::Passing {
                    reason: format!("{} answers {}{meaning}", self.endpoint, status.as_u16()),
                    wait: header("retry-after").and_then(seconds),
                }
            }
            (_, "RepoNotFound") => lasting(self.no_repository()),
            (_, "GatedRepo") => lasting(self.gated()),
            (401 | 403, _) => lasting(self.denied(status)),
            (404, "RevisionNotFound") => lasting(format!(
                "{} has no revision `{}`; {}/tree/main lists its branches and tags",
                self.repository.id,
                self.repository.revision(),
                self.page()
            )),
            (404, _) if self.file.is_some() => lasting(format!(
                "{} has no file `{}`; {}/tree/{} lists its files",
                self.repository,
                self.file.unwrap_or_default(),
                self.page(),
                self.repository.revision()
            )),
            (404, _) => lasting(self.no_repository()),
            (number, _) => {
                let words = header("x-error-message").unwrap_or("no reason given");
                lasting(format!("{} answers {number}: {words}; look at its page", self.page()))
            }
        }
    }

    fn no_repository(&self) -> String {
        let token = if self.has_token { "" } else { ", and set HF_TOKEN if it is private" };
        format!("{} does not exist; look for its name on the Hub{token}", self.page())
    }

    fn gated(&self) -> String {
        let (id, page) = (&self.repository.id, self.page());
        if self.has_token {
            format!(
                "{id} is gated and this token's account has no access: accept its licence at {page} \
                 with that account, or set HF_TOKEN to a token of one that has access"
            )
        } else {
            format!(
                "{id} is gated: accept its licence at {page} and set HF_TOKEN to a token of your \
                 account ({}/settings/tokens)",
                self.endpoint
            )
        }
    }

    fn denied(&self, status: StatusCode) -> String {
        let (page, number) = (self.page(), status.as_u16());
        if self.has_token {
            format!(
                "{page} answers {number}: this token is not valid or its account has no access; \
                 check HF_TOKEN, and accept the licence on that page if it asks for it"
            )
        } else {
            format!(
                "{page} answers {number}: the {} does not exist, or is gated or private; check its \
                 name, accept its licence on that page and set HF_TOKEN to a token of your account",
                self.repository.kind.noun()
            )
        }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}
