//! From the target's laws, a proposal and randomness to the emitted tokens. Verifiers see no draft,
//! no tokenizer and no tensor. Each rule is a pure function in a file of its own.

pub mod block;
pub mod exact;
pub mod rejection;

use std::fmt;
use std::str::FromStr;

use draft::{Law, Purpose, Randomness};
use serde::{Deserialize, Serialize};

pub use block::BlockVerifier;

use crate::error::SpeculateError;
use crate::proposal::{Origin, Proposal};

/// The target's laws at the places of a proposal.
pub trait Laws {
    /// The law of the token behind `node`, or behind the committed text for `None`.
    fn after(&self, node: Option<usize>) -> Law;
}

/// What a verifier decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Accepted candidates, from the root down.
    pub path: Vec<usize>,
    /// The token behind them: the correction, or the bonus where all were accepted.
    pub next: u32,
}

/// A rule that turns a proposal into tokens whose law is the target's own.
pub trait Verifier {
    /// Decides about a proposal whose first candidate stands at `position` (emitted tokens counted
    /// from 0).
    fn verify(
        &self,
        proposal: &Proposal,
        laws: &dyn Laws,
        randomness: Randomness,
        position: usize,
    ) -> Result<Verdict, SpeculateError>;
}

/// The names of the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verification {
    /// Candidate by candidate.
    #[default]
    Token,
    /// A chain of sampled candidates at once.
    Block,
}

impl Verification {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Token, Self::Block];

    /// The name that users type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Block => "block",
        }
    }

    /// The rule.
    pub fn verifier(self) -> &'static dyn Verifier {
        match self {
            Self::Token => &TokenVerifier,
            Self::Block => &BlockVerifier,
        }
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Verification {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|rule| rule.name() == name)
            .ok_or_else(|| format!("unknown verification `{name}`; it is token or block"))
    }
}

/// What happens at one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on behind this candidate.
    Accept(usize),
    /// Emit this token and stop.
    Emit(u32),
}

/// Verification token by token: deterministic candidates by [`exact`], sampled ones by
/// [`rejection`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenVerifier;

impl Verifier for TokenVerifier {
    fn verify(
        &self,
        proposal: &Proposal,
        laws: &dyn Laws,
        randomness: Randomness,
        start: usize,
    ) -> Result<Verdict, SpeculateError> {
        let (mut path, mut at) = (Vec::new(), None);
        loop {
            let position = start + path.len();
            let law = laws.after(at);
            let children: Vec<usize> = proposal.children(at).collect();
            let sampled = children.first().and_then(|&child| {
                let node = &proposal.nodes()[child];
                match &node.origin {
                    Origin::Sampled(q) => Some((child, node.token, q)),
                    Origin::Deterministic => None,
                }
            });
            let step = if let Some((child, token, q)) = sampled {
                let uniform = randomness.key(position, Purpose::Accept(start)).uniform();
                let residual = randomness.key(position, Purpose::Residual(start));
                rejection::step(&law, q, token, uniform, residual)?
                    .map_or(Step::Accept(child), Step::Emit)
            } else {
                let drawn = law.draw(randomness.key(position, Purpose::Target));
                exact::step(proposal, &children, drawn)
            };
            match step {
                Step::Accept(child) => {
                    path.push(child);
                    at = Some(child);
                }
                Step::Emit(next) => return Ok(Verdict { path, next }),
            }
        }
    }
}
