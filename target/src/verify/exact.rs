//! Deterministic candidates: the target draws for itself, and where it drew a candidate, that one
//! is accepted. What is emitted is always a draw from the target's law, whatever was proposed; this
//! needs no proposal law (Timor et al., 2502.05202, "SLEM"; design of trees in 2305.09781).

use super::Step;
use crate::proposal::Proposal;

/// Follows the drawn token to the child that equals it, or emits it.
pub fn step(proposal: &Proposal, children: &[usize], drawn: u32) -> Step {
    children
        .iter()
        .find(|&&child| proposal.nodes()[child].token == drawn)
        .map_or(Step::Emit(drawn), |&child| Step::Accept(child))
}
