//! What the candidates of a method have proved to be worth so far: how often those of each rank were
//! accepted, and how that hangs on what the draft believed of them. Learns from what was emitted. Knows
//! proposals and ids only.

use crate::calibration::Calibration;
use crate::proposal::{Node, Proposal};

/// Ranks that are told apart.
const RANKS: usize = 16;

/// What a rank's first observations are weighed against.
const PRIOR: f64 = 8.0;

/// How probable it is, before anything is known, that a drawn candidate is accepted when it is tested.
const TESTED: [f64; 4] = [0.5, 0.25, 0.15, 0.1];

/// What a draft says of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Belief {
    /// Its rank among those of its place that came about in the same way, from 0 on.
    pub(super) rank: usize,
    /// The probability that it was chosen or drawn with.
    pub(super) mass: f64,
}

/// How often candidates were accepted, by rank and by belief.
#[derive(Clone, Debug)]
pub(super) struct Worth {
    /// Of those that were drawn, when they are tested, which is when those before them were not accepted.
    drawn: Calibration,
    /// Of those that were chosen.
    chosen: Calibration,
    hits: [f64; RANKS],
    trials: [f64; RANKS],
    chances: Vec<f64>,
    last: (Proposal, Vec<Option<Belief>>),
}

impl Default for Worth {
    fn default() -> Self {
        let mut worth = Self {
            drawn: Calibration::expecting(|rank, _| TESTED[rank.min(TESTED.len() - 1)]),
            chosen: Calibration::expecting(|_, belief| belief),
            hits: std::array::from_fn(|rank| PRIOR * 0.5 / (rank + 1).pow(2) as f64),
            trials: [PRIOR; RANKS],
            chances: Vec::new(),
            last: (Proposal::default(), Vec::new()),
        };
        worth.update();
        worth
    }
}

impl Worth {
    /// How probable it is that the candidate of each rank is accepted where its place is reached; falling.
    pub(super) fn of_ranks(&self) -> &[f64] {
        &self.chances
    }

    /// The same for a candidate that is chosen with some belief.
    pub(super) fn of_chosen(&self, belief: Belief) -> f64 {
        self.chosen.chance(belief.rank, belief.mass)
    }

    /// The same for all candidates of a place in their order.
    pub(super) fn of(&self, nodes: &[Node], beliefs: &[Option<Belief>]) -> Vec<f64> {
        let mut left = 1.0;
        let chance = |(node, belief): (&Node, &Option<Belief>)| {
            let own = match *belief {
                None => 0.0,
                Some(belief) if node.law().is_none() => self.of_chosen(belief).min(left),
                Some(belief) => left * self.drawn.chance(belief.rank, belief.mass),
            };
            left -= own;
            own
        };
        nodes.iter().zip(beliefs).map(chance).collect()
    }

    /// Forgets the last candidates, not what has been learnt.
    pub(super) fn forget(&mut self) {
        self.last = (Proposal::default(), Vec::new());
    }

    /// Takes note of candidates and beliefs whose fate is heard next.
    pub(super) fn note(&mut self, proposal: &Proposal, beliefs: Vec<Option<Belief>>) {
        self.last = (proposal.clone(), beliefs);
    }

    /// Hears of the tokens that were emitted behind the place where the candidates were asked for.
    pub(super) fn hear(&mut self, tokens: &[u32]) {
        let (proposal, beliefs) = std::mem::take(&mut self.last);
        if proposal.is_empty() {
            return;
        }
        let mut at = None;
        for &token in tokens {
            let children: Vec<usize> = proposal.children(at).collect();
            let nodes = proposal.nodes();
            let accepted = children.iter().position(|&child| nodes[child].token == token);
            for (rank, &child) in children.iter().enumerate() {
                let own = accepted == Some(rank);
                self.see(&nodes[child], beliefs[child], own, accepted.is_none_or(|at| rank <= at));
                let rank = rank.min(RANKS - 1);
                self.trials[rank] += 1.0;
                self.hits[rank] += f64::from(u8::from(own));
            }
            let Some(rank) = accepted else { break };
            at = Some(children[rank]);
        }
        self.update();
    }

    fn see(&mut self, node: &Node, belief: Option<Belief>, accepted: bool, tested: bool) {
        let Some(Belief { rank, mass }) = belief else { return };
        if node.law().is_none() {
            self.chosen.see(rank, mass, accepted);
        } else if tested {
            self.drawn.see(rank, mass, accepted);
        }
    }

    fn update(&mut self) {
        let mut least = 1.0f64;
        let means = self.hits.iter().zip(&self.trials).map(|(hits, trials)| {
            least = least.min(hits / trials);
            least
        });
        self.chances = means.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proposal::Origin;
    use draft::Law;

    /// Two candidates drawn behind the text and one behind the first of them.
    fn drawn() -> Proposal {
        let law =
            |ids: &[u32]| Origin::Sampled(Law::sparse(ids.iter().map(|&id| (id, 0.0)).collect()));
        let mut proposal = Proposal::default();
        let first = proposal.branch(None, 1, law(&[1, 2]));
        proposal.branch(None, 2, law(&[2]));
        proposal.branch(Some(first), 3, law(&[3]));
        proposal
    }

    fn believed(ranks: &[(usize, f64)]) -> Vec<Option<Belief>> {
        ranks.iter().map(|&(rank, mass)| Some(Belief { rank, mass })).collect()
    }

    #[test]
    fn a_candidate_is_tested_where_those_before_it_failed() {
        let mut worth = Worth::default();
        let beliefs = believed(&[(0, 0.5), (1, 1.0), (0, 0.1)]);
        for _ in 0..4000 {
            for first in [1, 2] {
                worth.note(&drawn(), beliefs.clone());
                worth.hear(&[first, 9]);
            }
        }
        // The first is accepted every other time, the second always where it is tested.
        let chances = worth.of(&drawn().nodes()[..2], &beliefs[..2]);
        assert!((chances[0] - 0.5).abs() < 0.01 && (chances[1] - 0.5).abs() < 0.01, "{chances:?}");
        // Rank 0 has also the one behind, which never was.
        assert!((worth.of_ranks()[0] - 1.0 / 3.0).abs() < 0.01);
        worth.forget();
        let before = worth.of_ranks().to_vec();
        worth.hear(&[1]);
        assert_eq!(before, worth.of_ranks());
    }

    #[test]
    fn what_was_chosen_is_calibrated_by_belief() {
        let mut worth = Worth::default();
        let half = Belief { rank: 0, mass: 0.5 };
        assert!((worth.of_chosen(half) - 0.5).abs() < 1e-12);
        for _ in 0..4000 {
            let mut proposal = Proposal::default();
            proposal.branch(None, 1, Origin::Deterministic);
            proposal.branch(None, 2, Origin::Deterministic);
            worth.note(&proposal, believed(&[(0, 0.5), (1, 0.25)]));
            worth.hear(&[1]);
        }
        assert!(worth.of_chosen(half) > 0.99);
        assert!(worth.of_chosen(Belief { rank: 1, mass: 0.25 }) < 0.01);
    }
}
