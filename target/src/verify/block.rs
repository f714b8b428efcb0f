//! A whole chain of sampled candidates at once (Sun et al., "Block Verification Accelerates
//! Speculative Decoding", 2403.10444): a candidate that was unlikely may be made good by the ones
//! behind it, so that never fewer are accepted, on average, than token by token. The emitted tokens
//! have the target's law exactly, provided that every candidate was drawn from the law it is given
//! with.

use draft::{Key, Law, Purpose, Randomness};

use super::{Laws, TokenVerifier, Verdict, Verifier, rejection};
use crate::error::SpeculateError;
use crate::proposal::Proposal;

/// Verification of chains as blocks; what is no chain of sampled candidates goes token by token.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockVerifier;

/// How a chain of γ candidates fares: `p[i]` is the target's law behind i of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// `P₀` to `P_γ`: `Pᵢ = min(1, Pᵢ₋₁ · pᵢ(xᵢ) / qᵢ(xᵢ))`.
    pub weights: Vec<f64>,
    /// `h₁` to `h_γ`: the probability that the first i are accepted where no longer part is.
    pub accepts: Vec<f64>,
}

impl Block {
    /// The figures of candidates `tokens`, drawn from `q[i]` each, under the target's laws `p`, one
    /// more than there are candidates.
    pub fn new(p: &[Law], q: &[&Law], tokens: &[u32]) -> Result<Self, SpeculateError> {
        let (mut weights, mut accepts) = (vec![1.0], Vec::with_capacity(tokens.len()));
        let mut weight = 1.0_f64;
        for (index, &token) in tokens.iter().enumerate() {
            let drawn = q[index].probability(token);
            if drawn <= 0.0 {
                return Err(SpeculateError::NotDrawnFromItsLaw { token });
            }
            weight = (weight * p[index].probability(token) / drawn).min(1.0);
            weights.push(weight);
            let next = index + 1;
            accepts.push(q.get(next).map_or(weight, |q| {
                let residual: f64 = rejection::scaled(weight, &p[next], q).map(|(_, m)| m).sum();
                let whole = residual + 1.0 - weight;
                // Where p and q agree there is nothing to correct, and any probability is right.
                if whole > 0.0 { residual / whole } else { 1.0 }
            }));
        }
        Ok(Self { weights, accepts })
    }

    /// How many candidates are accepted: the longest part whose turn comes, by a number in (0, 1)
    /// for each.
    pub fn accepted(&self, uniform: impl Fn(usize) -> f64) -> usize {
        let longest = (1..=self.accepts.len()).rev();
        longest.into_iter().find(|&count| uniform(count) <= self.accepts[count - 1]).unwrap_or(0)
    }

    /// The token behind `accepted` candidates: what corrects the next one, or the bonus.
    pub fn next(&self, accepted: usize, p: &Law, q: Option<&Law>, keys: (Key, Key)) -> u32 {
        let (residual, bonus) = keys;
        let corrected = q.and_then(|q| {
            let rest = rejection::scaled(self.weights[accepted], p, q);
            residual.draw(rest.map(|(id, mass)| (id, mass.ln())))
        });
        // No residual is left only where rounding took it.
        corrected.unwrap_or_else(|| p.draw(bonus))
    }
}

/// The tokens of a chain of sampled candidates with their laws; `None` where it is no such chain.
fn sampled(proposal: &Proposal) -> Option<Vec<(u32, &Law)>> {
    let chain = !proposal.is_empty() && proposal.is_chain();
    proposal
        .nodes()
        .iter()
        .map(|node| Some((node.token, node.law()?)))
        .collect::<Option<_>>()
        .filter(|_| chain)
}

impl Verifier for BlockVerifier {
    fn verify(
        &self,
        proposal: &Proposal,
        laws: &dyn Laws,
        randomness: Randomness,
        start: usize,
    ) -> Result<Verdict, SpeculateError> {
        let Some(candidates) = sampled(proposal) else {
            return TokenVerifier.verify(proposal, laws, randomness, start);
        };
        let (tokens, q): (Vec<u32>, Vec<&Law>) = candidates.into_iter().unzip();
        let p: Vec<Law> =
            (0..=tokens.len()).map(|count| laws.after(count.checked_sub(1))).collect();
        let block = Block::new(&p, &q, &tokens)?;
        let key = |count: usize, purpose| randomness.key(start + count, purpose);
        let accepted = block.accepted(|count| key(count - 1, Purpose::Accept(start)).uniform());
        let keys = (key(accepted, Purpose::Residual(start)), key(accepted, Purpose::Target));
        let next = block.next(accepted, &p[accepted], q.get(accepted).copied(), keys);
        Ok(Verdict { path: (0..accepted).collect(), next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKENS: u32 = 3;
    const GAMMA: usize = 3;

    /// Laws by context, made of a list of weights.
    struct Source(Vec<f64>);

    impl Source {
        fn after(&self, text: &[u32]) -> Law {
            let place = text.iter().fold(1, |place, &id| place * 4 + id as usize + 1);
            let weight = |id: u32| self.0[(place * 7 + id as usize * 13) % self.0.len()];
            Law::dense((0..TOKENS).map(|id| weight(id).ln()).collect())
        }
    }

    fn texts(length: usize) -> Vec<Vec<u32>> {
        (0..length).fold(vec![Vec::new()], |texts, _| {
            let longer = |text: &Vec<u32>| {
                (0..TOKENS).map(|id| [&text[..], &[id]].concat()).collect::<Vec<_>>()
            };
            texts.iter().flat_map(longer).collect()
        })
    }

    fn mass(source: &Source, text: &[u32], from: usize) -> f64 {
        (from..text.len()).map(|at| source.after(&text[..at]).probability(text[at])).product()
    }

    /// The law of the first γ + 1 emitted tokens by exact enumeration over candidates and over how
    /// many are accepted; what is emitted behind the correction is the target's own. Also the mean
    /// of how many are accepted.
    fn emitted(target: &Source, draft: &Source) -> (Vec<f64>, f64) {
        let outcomes = texts(GAMMA + 1);
        let (mut law, mut mean) = (vec![0.0; outcomes.len()], 0.0);
        for candidates in texts(GAMMA) {
            let p: Vec<Law> = (0..=GAMMA).map(|at| target.after(&candidates[..at])).collect();
            let q: Vec<Law> = (0..GAMMA).map(|at| draft.after(&candidates[..at])).collect();
            let q: Vec<&Law> = q.iter().collect();
            let block = Block::new(&p, &q, &candidates).unwrap();
            let drawn = mass(draft, &candidates, 0);
            let mut left = drawn;
            for accepted in (0..=GAMMA).rev() {
                let share = if accepted == 0 { 1.0 } else { block.accepts[accepted - 1] };
                let reached = left * share;
                left -= reached;
                mean += reached * accepted as f64;
                let next = next_law(&block, accepted, &p[accepted], q.get(accepted).copied());
                for (outcome, text) in outcomes.iter().enumerate() {
                    if text.starts_with(&candidates[..accepted]) {
                        let token = next[text[accepted] as usize];
                        law[outcome] += reached * token * mass(target, text, accepted + 1);
                    }
                }
            }
        }
        (law, mean)
    }

    fn next_law(block: &Block, accepted: usize, p: &Law, q: Option<&Law>) -> Vec<f64> {
        let mut law = vec![0.0; TOKENS as usize];
        let Some(q) = q else {
            return (0..TOKENS).map(|id| p.probability(id)).collect();
        };
        for (id, mass) in rejection::scaled(block.weights[accepted], p, q) {
            law[id as usize] = mass;
        }
        let total: f64 = law.iter().sum();
        law.iter().map(|mass| if total > 0.0 { mass / total } else { 0.0 }).collect()
    }

    /// The mean of how many are accepted token by token.
    fn accepted_by_token(target: &Source, draft: &Source) -> f64 {
        let overlap = |text: &[u32]| -> f64 {
            let at = |at: usize| {
                let of = |source: &Source| source.after(&text[..at]).probability(text[at]);
                of(target).min(of(draft))
            };
            (0..text.len()).map(at).product()
        };
        (1..=GAMMA).flat_map(texts).map(|text| overlap(&text)).sum()
    }

    proptest! {
        #[test]
        fn the_emitted_law_is_the_targets_and_no_fewer_are_accepted(
            target in prop::collection::vec(0.001f64..1.0, 101),
            draft in prop::collection::vec(0.001f64..1.0, 101),
        ) {
            let (target, draft) = (Source(target), Source(draft));
            let (law, mean) = emitted(&target, &draft);
            for (found, text) in law.iter().zip(texts(GAMMA + 1)) {
                prop_assert!((found - mass(&target, &text, 0)).abs() < 1e-12, "{:?}", text);
            }
            prop_assert!(mean >= accepted_by_token(&target, &draft) - 1e-12);
        }
    }

    #[test]
    fn a_draft_that_is_the_target_is_accepted_whole() {
        let source = Source((1..=101).map(f64::from).collect());
        let (law, mean) = emitted(&source, &source);
        assert!((mean - GAMMA as f64).abs() < 1e-12);
        assert!((law.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_candidate_that_its_law_excludes_is_an_error() {
        let (p, q) = (Law::Point(0), Law::Point(0));
        assert!(Block::new(&[p.clone(), p], &[&q], &[1]).is_err());
    }
}
