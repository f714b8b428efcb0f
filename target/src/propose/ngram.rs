//! The text as its own draft: what followed its last tokens where they stood before (prompt lookup). No
//! model; nothing is drawn, so that it is lossless at every temperature. What every draft must beat.

use align::Context;

use super::followers::Followers;
use super::{Proposer, Round};
use crate::error::SpeculateError;
use crate::proposal::Proposal;
use crate::round::{Clock, Phase, Tally};

/// The method; it needs nothing.
#[derive(Clone, Debug, Default)]
pub struct Ngram {
    followers: Followers,
}

impl Proposer for Ngram {
    fn name(&self) -> &'static str {
        "ngram"
    }

    fn begin(&mut self, _prompt: &Context, _clock: &mut Clock) -> Result<(), SpeculateError> {
        self.followers = Followers::default();
        Ok(())
    }

    fn commit(
        &mut self,
        _tokens: &[u32],
        _bytes: &[u8],
        _clock: &mut Clock,
    ) -> Result<(), SpeculateError> {
        Ok(())
    }

    fn propose(
        &mut self,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<Proposal, SpeculateError> {
        clock.enter(Phase::Align);
        self.followers.read(round.committed.ids());
        let path = self.followers.path(round.budget);
        Ok(Proposal::chain(path.into_iter().map(|(token, _)| token)))
    }

    fn count(&self, _tally: &mut Tally) {}
}
