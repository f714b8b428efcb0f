//! What was known of candidates before they were verified, and what became of those whose turn came:
//! acceptance by the draft's probability of the candidate and by the entropy of its law. For reports;
//! no verifier sees it.

use std::ops::AddAssign;
use std::rc::Rc;

use draft::Law;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::proposal::Proposal;
use crate::round::{add_each, grow};

/// Bins of the draft's probability, of equal width from 0 to 1.
pub const PROBABILITY_BINS: usize = 10;

/// Bins of the entropy of the draft's law; the last has no upper end.
pub const ENTROPY_BINS: usize = 16;

/// The width of a bin of entropy, in nats.
pub const ENTROPY_WIDTH: f64 = 0.5;

/// What the draft said of a candidate that was not drawn; of one that was, its law says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Belief {
    /// The draft's probability of the candidate at its place.
    pub probability: f64,
    /// How uncertain the draft was there.
    pub entropy: Entropy,
}

/// The entropy of a law, or what it can be had from.
#[derive(Clone, Debug, PartialEq)]
pub enum Entropy {
    /// In nats.
    Nats(f64),
    /// That of a law.
    Of(Rc<Law>),
    /// Not to be had.
    Unknown,
}

impl Belief {
    /// What a softmax over `logits` says of one of them.
    pub fn of_logits(logits: impl Iterator<Item = f32> + Clone, chosen: f32) -> Self {
        let top = f64::from(logits.clone().fold(f32::NEG_INFINITY, f32::max));
        let (mut total, mut weighted) = (0.0, 0.0);
        for logit in logits {
            let distance = f64::from(logit) - top;
            let weight = distance.exp();
            total += weight;
            // What has no mass is infinitely far away.
            weighted += if weight > 0.0 { weight * distance } else { 0.0 };
        }
        let probability = (f64::from(chosen) - top).exp() / total;
        Self { probability, entropy: Entropy::Nats(total.ln() - weighted / total) }
    }
}

impl Entropy {
    fn nats(&self) -> Option<f64> {
        match self {
            Self::Nats(nats) => Some(*nats),
            Self::Of(law) => Some(law.entropy()),
            Self::Unknown => None,
        }
    }
}

/// Candidates by a bin, and those of them that were accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bins {
    /// Candidates whose turn came.
    pub candidates: Vec<u64>,
    /// Those that were accepted.
    pub accepted: Vec<u64>,
}

impl Bins {
    fn see(&mut self, bin: usize, accepted: bool) {
        grow(&mut self.candidates, bin + 1);
        grow(&mut self.accepted, bin + 1);
        self.candidates[bin] += 1;
        self.accepted[bin] += u64::from(accepted);
    }
}

impl AddAssign<&Self> for Bins {
    fn add_assign(&mut self, other: &Self) {
        add_each(&mut self.candidates, &other.candidates);
        add_each(&mut self.accepted, &other.accepted);
    }
}

/// Acceptance by what the draft said. A candidate's turn comes where all before it on its path are
/// accepted; of several drawn ones, where those drawn before it were not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// By the draft's probability of the candidate, in ten bins of equal width from 0 to 1.
    pub by_probability: Bins,
    /// By the entropy of the draft's law at its place, in bins of half a nat; the last has no upper end.
    pub by_entropy: Bins,
}

impl Observed {
    /// Sees a proposal of which the candidates of `path` were accepted, from the root down.
    pub fn see(&mut self, proposal: &Proposal, path: &[usize]) {
        let mut at = None;
        for step in 0..=path.len() {
            let accepted = path.get(step).copied();
            let chosen = accepted.is_some_and(|node| proposal.nodes()[node].law().is_none());
            for child in proposal.children(at) {
                let drawn = proposal.nodes()[child].law().is_some();
                // What is drawn is tested behind all that was chosen, in its order.
                let is_tested = !drawn || !(chosen || accepted.is_some_and(|own| own < child));
                if is_tested {
                    self.see_candidate(proposal, child, accepted == Some(child));
                }
            }
            at = accepted;
        }
    }

    fn see_candidate(&mut self, proposal: &Proposal, index: usize, accepted: bool) {
        let node = &proposal.nodes()[index];
        let (probability, entropy) = match (node.law(), &node.belief) {
            // A law of one id says nothing of the one that it was made of.
            (Some(Law::Point(_)) | None, Some(belief)) => {
                (belief.probability, belief.entropy.nats())
            }
            (Some(law), _) => (law.probability(node.token), Some(law.entropy())),
            (None, None) => return,
        };
        let bin = (probability * PROBABILITY_BINS as f64) as usize;
        self.by_probability.see(bin.min(PROBABILITY_BINS - 1), accepted);
        if let Some(nats) = entropy {
            let bin = (nats / ENTROPY_WIDTH) as usize;
            self.by_entropy.see(bin.min(ENTROPY_BINS - 1), accepted);
        }
    }
}

impl AddAssign<&Self> for Observed {
    fn add_assign(&mut self, other: &Self) {
        self.by_probability += &other.by_probability;
        self.by_entropy += &other.by_entropy;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proposal::Origin;

    fn law(masses: &[f64]) -> Law {
        Law::sparse(masses.iter().enumerate().map(|(id, mass)| (id as u32, mass.ln())).collect())
    }

    #[test]
    fn candidates_count_where_their_turn_comes() {
        let mut tree = Proposal::default();
        let first = tree.branch(None, 1, Origin::Sampled(law(&[0.25, 0.75])));
        let second = tree.branch(None, 0, Origin::Sampled(law(&[1.0])));
        let below = tree.branch(Some(second), 1, Origin::Sampled(law(&[0.5, 0.5])));
        let mut observed = Observed::default();
        observed.see(&tree, &[second]);
        // The first and the one below were refused, the second was accepted.
        assert_eq!(observed.by_probability.candidates, [0, 0, 0, 0, 0, 1, 0, 1, 0, 1]);
        assert_eq!(observed.by_probability.accepted, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        // Entropies 0.56, 0 and 0.69 nats.
        assert_eq!(observed.by_entropy.candidates, [1, 2]);
        let mut observed = Observed::default();
        observed.see(&tree, &[first]);
        assert_eq!(observed.by_probability.candidates.iter().sum::<u64>(), 1, "{below}");
    }

    #[test]
    fn a_softmax_says_what_it_believes() {
        let logits = [0.0f32, 2.0f32.ln(), f32::NEG_INFINITY, 0.0];
        let belief = Belief::of_logits(logits.into_iter(), logits[1]);
        assert!((belief.probability - 0.5).abs() < 1e-7);
        let nats = belief.entropy.nats().unwrap();
        assert!((nats - 1.5 * 2.0f64.ln()).abs() < 1e-7, "{nats}");
    }

    #[test]
    fn what_was_chosen_says_what_it_believed() {
        let mut chain = Proposal::chain([4, 5]);
        chain.believe(0, Belief { probability: 1.0, entropy: Entropy::Unknown });
        let uniform = Rc::new(law(&[0.5, 0.5]));
        chain.believe(1, Belief { probability: 0.31, entropy: Entropy::Of(uniform) });
        let mut observed = Observed::default();
        observed.see(&chain, &[0]);
        assert_eq!(observed.by_probability.candidates, [0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(observed.by_probability.accepted[9], 1);
        assert_eq!(observed.by_entropy.candidates, [0, 1]);
    }
}
