//! No proposal at all: plain decoding, through the same loop and the same counter.

use align::Context;

use super::{Proposer, Round};
use crate::error::SpeculateError;
use crate::proposal::Proposal;
use crate::round::{Clock, Tally};

/// Proposes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Proposer for Nothing {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn begin(&mut self, _prompt: &Context, _clock: &mut Clock) -> Result<(), SpeculateError> {
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
        _round: &Round<'_>,
        _clock: &mut Clock,
    ) -> Result<Proposal, SpeculateError> {
        Ok(Proposal::default())
    }

    fn count(&self, _tally: &mut Tally) {}
}
