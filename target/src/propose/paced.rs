//! Another method at the pace that pays: asks it for as many candidates as [`Pace`] chooses, watches what
//! becomes of them and how long that takes. Decides nothing about candidates itself.

use std::time::Instant;

use align::Context;

use super::{Proposer, Round};
use crate::error::SpeculateError;
use crate::pace::{Observed, Pace};
use crate::proposal::{Origin, Proposal};
use crate::round::{Clock, Tally};

/// Tokens that a draft catches up with in a usual round.
const USUAL: usize = 24;

/// What a number of candidates limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limiting {
    /// Candidates in a row.
    Row,
    /// Candidates of a tree.
    Tree,
}

/// A method with its pace.
pub struct Paced {
    inner: Box<dyn Proposer>,
    pace: Pace,
    limiting: Limiting,
    /// When the last question came, and which tokens were proposed then.
    last: Option<(Instant, Proposal)>,
    /// Tokens that the method has not been asked behind yet.
    unread: usize,
    behind: bool,
}

impl Paced {
    /// Puts a method under a pace, which is kept from prompt to prompt.
    pub fn new(inner: Box<dyn Proposer>, pace: Pace, limiting: Limiting) -> Self {
        Self { inner, pace, limiting, last: None, unread: 0, behind: false }
    }
}

/// The same tokens without their laws.
fn tokens_of(proposal: &Proposal) -> Proposal {
    let mut tokens = Proposal::default();
    for node in proposal.nodes() {
        tokens.branch(node.parent, node.token, Origin::Deterministic);
    }
    tokens
}

/// For each candidate whether the text ran through it.
fn accepted(proposal: &Proposal, tokens: &[u32]) -> Vec<bool> {
    let mut accepted = vec![false; proposal.len()];
    let mut at = None;
    for &token in tokens {
        let child = proposal.children(at).find(|&child| proposal.nodes()[child].token == token);
        let Some(child) = child else { break };
        accepted[child] = true;
        at = Some(child);
    }
    accepted
}

impl Proposer for Paced {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn begin(&mut self, prompt: &Context, clock: &mut Clock) -> Result<(), SpeculateError> {
        (self.last, self.unread) = (None, USUAL + 1);
        self.inner.begin(prompt, clock)
    }

    fn commit(
        &mut self,
        tokens: &[u32],
        bytes: &[u8],
        clock: &mut Clock,
    ) -> Result<(), SpeculateError> {
        if let Some((since, proposal)) = self.last.take() {
            let seconds = since.elapsed().as_secs_f64();
            if proposal.is_empty() {
                self.pace.see_plain(seconds);
            } else {
                // The last token is the target's own; it may be a candidate that was refused.
                let (_, drafted) = tokens.split_last().unwrap_or((&0, &[]));
                let accepted = accepted(&proposal, drafted);
                self.pace.see(Observed { accepted: &accepted, seconds, behind: self.behind });
            }
        }
        self.unread += tokens.len();
        self.inner.commit(tokens, bytes, clock)
    }

    fn propose(
        &mut self,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<Proposal, SpeculateError> {
        let since = Instant::now();
        let count = self.pace.choose();
        let proposal = if count == 0 {
            Proposal::default()
        } else {
            let limited = match self.limiting {
                Limiting::Row => Round { budget: round.budget.min(count), ..*round },
                Limiting::Tree => Round { room: round.room.min(count), ..*round },
            };
            (self.behind, self.unread) = (self.unread > USUAL, 0);
            self.inner.propose(&limited, clock)?
        };
        self.last = Some((since, tokens_of(&proposal)));
        Ok(proposal)
    }

    fn count(&self, tally: &mut Tally) {
        self.inner.count(tally);
    }
}
