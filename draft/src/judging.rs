//! What is asked of a model that decides about candidates where its logits are, and what it answers.
//! The rule is the target crate's `TokenVerifier`; this file knows no rule and no device.

use crate::law::Law;
use crate::random::Randomness;

/// A candidate for one of the next tokens.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its id.
    pub token: u32,
    /// The candidate before it; `None` right behind the committed text.
    pub parent: Option<usize>,
    /// The law that it was drawn from; `None` where it was chosen.
    pub law: Option<&'a Law>,
}

/// What is to be decided.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The last committed id, which the model has not read.
    pub last: u32,
    /// Candidates behind it, parents first.
    pub candidates: &'a [Candidate<'a>],
    /// The model's temperature; 0 for the most probable id always.
    pub temperature: f64,
    /// The prompt's random numbers.
    pub randomness: Randomness,
    /// The position of the first candidate, emitted tokens counted from 0.
    pub start: usize,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Accepted candidates, from the root down.
    pub path: Vec<usize>,
    /// The token behind them: the correction, or the bonus where all were accepted.
    pub next: u32,
}
