//! Proposers around a proposer: one sees whether candidates are drawn, the other ends a generation
//! behind its first round. They change nothing of what is proposed.

use align::Context;
use target::propose::Round;
use target::{Clock, Proposal, Proposer, SpeculateError, Tally};

/// A proposer whose proposals are looked at.
pub(super) struct Watched<'a> {
    own: &'a mut dyn Proposer,
    has_drawn: bool,
}

impl<'a> Watched<'a> {
    pub(super) fn new(own: &'a mut dyn Proposer) -> Self {
        Self { own, has_drawn: false }
    }

    /// Whether some candidate was drawn from a law.
    pub(super) fn has_drawn(&self) -> bool {
        self.has_drawn
    }
}

impl Proposer for Watched<'_> {
    fn name(&self) -> &'static str {
        self.own.name()
    }

    fn begin(&mut self, prompt: &Context, clock: &mut Clock) -> Result<(), SpeculateError> {
        self.own.begin(prompt, clock)
    }

    fn commit(
        &mut self,
        tokens: &[u32],
        bytes: &[u8],
        clock: &mut Clock,
    ) -> Result<(), SpeculateError> {
        self.own.commit(tokens, bytes, clock)
    }

    fn propose(
        &mut self,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<Proposal, SpeculateError> {
        let proposal = self.own.propose(round, clock)?;
        self.has_drawn |= proposal.nodes().iter().any(|node| node.law().is_some());
        Ok(proposal)
    }

    fn count(&self, tally: &mut Tally) {
        self.own.count(tally);
    }
}

/// A proposer that wants to hear of no round behind the first.
pub(super) struct FirstRound<'a> {
    own: &'a mut dyn Proposer,
    commits: usize,
    emitted: Vec<u32>,
    proposed: u64,
}

impl<'a> FirstRound<'a> {
    pub(super) fn new(own: &'a mut dyn Proposer) -> Self {
        Self { own, commits: 0, emitted: Vec::new(), proposed: 0 }
    }

    /// The tokens of the prefill and of the first round, where there would have been another.
    pub(super) fn emitted(&self) -> &[u32] {
        &self.emitted
    }

    /// Candidates of the first round.
    pub(super) fn proposed(&self) -> u64 {
        self.proposed
    }
}

impl Proposer for FirstRound<'_> {
    fn name(&self) -> &'static str {
        self.own.name()
    }

    fn begin(&mut self, prompt: &Context, clock: &mut Clock) -> Result<(), SpeculateError> {
        self.own.begin(prompt, clock)
    }

    fn commit(
        &mut self,
        tokens: &[u32],
        bytes: &[u8],
        clock: &mut Clock,
    ) -> Result<(), SpeculateError> {
        self.emitted.extend_from_slice(tokens);
        self.commits += 1;
        if self.commits > 1 {
            return Err(SpeculateError::Stopped);
        }
        self.own.commit(tokens, bytes, clock)
    }

    fn propose(
        &mut self,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<Proposal, SpeculateError> {
        let proposal = self.own.propose(round, clock)?;
        self.proposed += proposal.len() as u64;
        Ok(proposal)
    }

    fn count(&self, tally: &mut Tally) {
        self.own.count(tally);
    }
}
