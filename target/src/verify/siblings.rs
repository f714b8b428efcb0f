//! Several candidates at one place. Those that were chosen without a law are followed where the
//! target's own draw is one of them; those that were drawn, one after the other and each from its law
//! without the ones before it, by recursive rejection (SpecInfer, 2305.09781; Sequoia, 2402.12374):
//! each is tested against what the tests before it have left of the target's law. Both together are
//! the greedy choice of Hu et al., 2502.18779. What is emitted has the target's law exactly.

use draft::{Key, Law};

use super::rejection;
use crate::error::SpeculateError;

/// What happens to the candidates of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The candidate at this index is accepted.
    Accept(usize),
    /// None is, and this token is emitted.
    Emit(u32),
}

/// Decides about drawn candidates with the laws that they were drawn from, in that order. The number
/// of candidate `index` is `uniform(index)`; `residual` draws what is emitted where none is accepted.
pub fn drawn(
    p: &Law,
    candidates: &[(u32, &Law)],
    uniform: impl Fn(usize) -> f64,
    residual: Key,
) -> Result<Choice, SpeculateError> {
    let mut left: Option<Law> = None;
    for (index, &(token, q)) in candidates.iter().enumerate() {
        let law = left.as_ref().unwrap_or(p);
        let proposed = q.probability(token);
        if proposed <= 0.0 {
            return Err(SpeculateError::NotDrawnFromItsLaw { token });
        }
        if rejection::accepts(law.probability(token), proposed, uniform(index)) {
            return Ok(Choice::Accept(index));
        }
        let rest: Vec<(u32, f64)> =
            rejection::residual(law, q).map(|(id, mass)| (id, mass.ln())).collect();
        // Without any residual p equals q up to rounding, and then the candidate is a draw from p.
        if rest.is_empty() {
            return Ok(Choice::Accept(index));
        }
        left = Some(Law::sparse(rest));
    }
    Ok(Choice::Emit(left.as_ref().unwrap_or(p).draw(residual)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn law(weights: &[f64]) -> Law {
        Law::dense(weights.iter().map(|weight| weight.ln()).collect())
    }

    /// All ways to draw `count` candidates without replacement, with their probabilities.
    fn draws(q: &Law, size: u32, count: usize) -> Vec<(Vec<u32>, f64)> {
        let mut found = vec![(Vec::new(), 1.0)];
        for _ in 0..count {
            let longer = |(ids, mass): &(Vec<u32>, f64)| {
                let rest = q.without(ids);
                let next = |id: u32| ([&ids[..], &[id]].concat(), mass * rest.probability(id));
                (0..size).filter(|id| !ids.contains(id)).map(next).collect::<Vec<_>>()
            };
            found = found.iter().flat_map(longer).collect();
        }
        found
    }

    /// The law of what is emitted at the place, by enumeration over candidates and acceptances.
    fn emitted(p: &Law, q: &Law, size: u32, (top, count): (usize, usize)) -> Vec<f64> {
        let mut ids: Vec<u32> = (0..size).collect();
        ids.sort_by(|&a, &b| q.probability(b).total_cmp(&q.probability(a)));
        let top = &ids[..top];
        let (p_rest, q_rest) = (p.without(top), q.without(top));
        let outside: f64 = 1.0 - top.iter().map(|&id| p.probability(id)).sum::<f64>();
        let mut law = vec![0.0; size as usize];
        for &id in top {
            law[id as usize] += p.probability(id);
        }
        let outside = if top.is_empty() { 1.0 } else { outside };
        for (candidates, mass) in draws(&q_rest, size, count) {
            let mut left = p_rest.clone();
            let mut reached = mass * outside;
            for (index, &id) in candidates.iter().enumerate() {
                let q = q_rest.without(&candidates[..index]);
                let share = (left.probability(id) / q.probability(id)).min(1.0);
                law[id as usize] += reached * share;
                reached *= 1.0 - share;
                let rest: Vec<(u32, f64)> =
                    rejection::residual(&left, &q).map(|(id, mass)| (id, mass.ln())).collect();
                if rest.is_empty() {
                    reached = 0.0;
                    break;
                }
                left = Law::sparse(rest);
            }
            for (id, share) in left.entries() {
                law[id as usize] += reached * share;
            }
        }
        law
    }

    proptest! {
        #[test]
        fn the_emitted_law_is_the_targets(
            p in prop::collection::vec(0.001f64..1.0, 5),
            q in prop::collection::vec(0.001f64..1.0, 5),
            top in 0usize..3,
            count in 1usize..4,
        ) {
            let (p, q) = (law(&p), law(&q));
            for (id, mass) in emitted(&p, &q, 5, (top, count.min(5 - top))).into_iter().enumerate() {
                prop_assert!((mass - p.probability(id as u32)).abs() < 1e-12, "{id}");
            }
        }

        /// The rule itself decides as the enumeration says: by the share of numbers that accept.
        #[test]
        fn the_rule_is_the_enumerated_one(
            p in prop::collection::vec(0.05f64..1.0, 4),
            q in prop::collection::vec(0.05f64..1.0, 4),
        ) {
            let (p, q) = (law(&p), law(&q));
            let rest = q.without(&[1]);
            let candidates = [(1, &q), (2, &rest)];
            let steps = 60;
            let grid = |step: usize| (step as f64 + 0.5) / f64::from(steps);
            let (mut first, mut second) = (0.0, 0.0);
            for a in 0..steps as usize {
                for b in 0..steps as usize {
                    let uniform = |index| grid(if index == 0 { a } else { b });
                    match drawn(&p, &candidates, uniform, Key(1)).unwrap() {
                        Choice::Accept(0) => first += 1.0,
                        Choice::Accept(_) => second += 1.0,
                        Choice::Emit(_) => {}
                    }
                }
            }
            let whole = f64::from(steps * steps);
            let share = (p.probability(1) / q.probability(1)).min(1.0);
            prop_assert!((first / whole - share).abs() < 0.04);
            if share < 1.0 {
                let left: Vec<(u32, f64)> =
                    rejection::residual(&p, &q).map(|(id, mass)| (id, mass.ln())).collect();
                let then = (Law::sparse(left).probability(2) / rest.probability(2)).min(1.0);
                prop_assert!((second / whole - (1.0 - share) * then).abs() < 0.04);
            }
        }
    }

    #[test]
    fn a_candidate_that_its_law_excludes_is_an_error() {
        let q = Law::Point(0);
        assert!(drawn(&law(&[0.5, 0.5]), &[(1, &q)], |_| 0.5, Key(1)).is_err());
    }
}
