//! From the target's laws, a proposal and randomness to the emitted tokens. Verifiers see no draft,
//! no tokenizer and no tensor. Each rule is a pure function in a file of its own.

pub mod block;
pub mod exact;
pub mod rejection;
pub mod siblings;

use std::fmt;
use std::str::FromStr;

pub use draft::Verdict;
use draft::{Key, Law, Purpose, Randomness};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use block::BlockVerifier;
use siblings::Choice;

use crate::error::SpeculateError;
use crate::proposal::Proposal;

/// The target's laws at the places of a proposal.
pub trait Laws {
    /// The law of the token behind `node`, or behind the committed text for `None`.
    fn after(&self, node: Option<usize>) -> Law;
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

    /// Whether this is [`TokenVerifier`]'s rule, by which some models decide themselves
    /// ([`draft::LanguageModel::judge`]).
    fn is_by_token(&self) -> bool {
        false
    }
}

/// The names of the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// The random numbers of a place.
#[derive(Clone, Copy)]
struct Keys {
    target: Key,
    accept: Key,
    residual: Key,
}

/// Decides about the candidates behind one node: first those that were not drawn, then the others.
fn choose(
    proposal: &Proposal,
    children: &[usize],
    law: &Law,
    keys: Keys,
) -> Result<Choice, SpeculateError> {
    let (mut chosen, mut drawn) = (Vec::new(), Vec::new());
    for &child in children {
        let node = &proposal.nodes()[child];
        match node.law() {
            None => chosen.push(node.token),
            Some(q) => drawn.push((node.token, q)),
        }
    }
    if drawn.is_empty() || !chosen.is_empty() {
        let token = law.draw(keys.target);
        if let Some(choice) = exact::follow(&chosen, token) {
            return Ok(choice);
        }
        if drawn.is_empty() {
            return Ok(Choice::Emit(token));
        }
    }
    let uniform = |index| keys.accept.uniform_of(index);
    Ok(match siblings::drawn((law, &chosen), &drawn, uniform, keys.residual)? {
        Choice::Accept(index) => Choice::Accept(chosen.len() + index),
        emit @ Choice::Emit(_) => emit,
    })
}

/// Verification place by place: candidates that were not drawn by [`exact`], the others by
/// [`siblings`], which for a single one is [`rejection`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenVerifier;

impl Verifier for TokenVerifier {
    fn is_by_token(&self) -> bool {
        true
    }

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
            let keys = Keys {
                target: randomness.key(position, Purpose::Target),
                accept: randomness.key(position, Purpose::Accept(start)),
                residual: randomness.key(position, Purpose::Residual(start)),
            };
            match choose(proposal, &children, &law, keys)? {
                Choice::Accept(index) => {
                    path.push(children[index]);
                    at = Some(children[index]);
                }
                Choice::Emit(next) => return Ok(Verdict { path, next }),
            }
        }
    }
}
