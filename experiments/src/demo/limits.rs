//! What a request may ask for, and the refusals of what is more. Knows numbers and words; runs nothing.

use serde::Serialize;

/// Bytes of a request, at most.
pub const BODY: usize = 64 << 10;

/// Next tokens of a position that are shown, at most.
pub const TOP: usize = 50;

/// Candidates of a round, and in a row, at most.
pub const NODES: usize = 64;
/// Candidates in a row, at most.
pub const GAMMA: usize = 16;

/// Limits of one server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    /// Tokens that one request may ask for in all.
    pub tokens: usize,
    /// Requests that may be at work or wait at once.
    pub at_once: usize,
}

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// One line for people.
    pub message: String,
}

impl Refusal {
    /// What was asked for cannot be done as it stands.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self { status: 422, message: message.into() }
    }

    /// The request cannot be understood.
    pub fn bad(message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into() }
    }

    /// The request does not come from this server's own page.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { status: 403, message: message.into() }
    }

    /// Too much is going on.
    pub fn busy(limits: Limits) -> Self {
        let message = format!(
            "busy: {} request(s) are at work or wait already; try again when one has ended",
            limits.at_once
        );
        Self { status: 503, message }
    }

    /// The request has too many bytes.
    pub fn too_large() -> Self {
        let message = format!("the request is longer than {} KiB; shorten the text", BODY >> 10);
        Self { status: 413, message }
    }
}

impl Limits {
    /// Refuses more tokens than one request may ask for.
    pub fn check_tokens(self, wanted: usize, how: &str) -> Result<(), Refusal> {
        if wanted == 0 {
            return Err(Refusal::unprocessable("ask for one token at least"));
        }
        if wanted > self.tokens {
            return Err(Refusal::unprocessable(format!(
                "{how} ask for {wanted} tokens, and a request may ask for {}; ask for fewer, or start \
                 the server with a larger --max-tokens",
                self.tokens
            )));
        }
        Ok(())
    }
}
