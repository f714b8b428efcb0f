//! Candidates that were not drawn: the target draws for itself, and where it drew a candidate, that one
//! is accepted. What is emitted is always a draw from the target's law, whatever was proposed; this
//! needs no proposal law (Timor et al., 2502.05202, "SLEM"; design of trees in 2305.09781).

use super::siblings::Choice;

/// The candidate that is the drawn token.
pub fn follow(candidates: &[u32], drawn: u32) -> Option<Choice> {
    candidates.iter().position(|&token| token == drawn).map(Choice::Accept)
}
