//! Several candidates at one place. Those that were chosen without a law are followed where the
//! target's own draw is one of them; those that were drawn, one after the other and each from its law
//! without the ones before it, by recursive rejection (Miao et al., 2305.09781; Chen et al., 2402.12374):
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

/// What tests have left of the target's law, unnormalised. Only the ids that a candidate's law has are
/// kept apart, so that a test costs no pass over the target's vocabulary.
struct Rest<'a> {
    p: &'a Law,
    /// Ids, ascending, that a test or a choice has touched, with the mass that is left of them.
    touched: Vec<(u32, f64)>,
    /// The mass of all others is this times their probability.
    unit: f64,
    total: f64,
}

impl<'a> Rest<'a> {
    fn new(p: &'a Law, without: &[u32]) -> Self {
        let mut touched: Vec<(u32, f64)> = without.iter().map(|&id| (id, 0.0)).collect();
        touched.sort_unstable_by_key(|(id, _)| *id);
        let left = 1.0 - without.iter().map(|&id| p.probability(id)).sum::<f64>();
        Self { p, touched, unit: 1.0, total: left }
    }

    fn mass(&self, id: u32) -> f64 {
        match self.touched.binary_search_by_key(&id, |(own, _)| *own) {
            Ok(index) => self.touched[index].1,
            Err(_) => self.unit * self.p.probability(id),
        }
    }

    /// Takes away the law of a candidate that was not accepted: (r − q)⁺ of the normalised rest r.
    /// Gives whether anything is left.
    fn take(&mut self, q: &Law) -> bool {
        let (scale, mut proposal) = (1.0 / self.total, q.entries().peekable());
        let mut touched = Vec::with_capacity(self.touched.len());
        let mut gone = 0.0;
        let mut old = self.touched.iter().copied().peekable();
        loop {
            let next = match (old.peek(), proposal.peek()) {
                (Some(&(a, _)), Some(&(b, _))) => a.min(b),
                (Some(&(id, _)), None) | (None, Some(&(id, _))) => id,
                (None, None) => break,
            };
            let known = old.next_if(|(id, _)| *id == next).map(|(_, mass)| mass);
            let mass = known.unwrap_or_else(|| self.unit * self.p.probability(next)) * scale;
            let taken = proposal.next_if(|(id, _)| *id == next).map_or(0.0, |(_, mass)| mass);
            let left = (mass - taken).max(0.0);
            gone += mass - left;
            touched.push((next, left));
        }
        drop(proposal);
        (self.touched, self.unit, self.total) = (touched, self.unit * scale, 1.0 - gone);
        self.total > 1e-12
    }

    fn draw(&self, key: Key) -> u32 {
        let mut touched = self.touched.iter().copied().peekable();
        let weights = self.p.entries().filter_map(move |(id, mass)| {
            while touched.next_if(|(other, _)| *other < id).is_some() {}
            let own = touched.next_if(|(other, _)| *other == id);
            let mass = own.map_or(self.unit * mass, |(_, mass)| mass);
            (mass > 0.0).then(|| (id, mass.ln()))
        });
        key.draw(weights).unwrap_or_else(|| self.p.draw(key))
    }
}

/// Decides about drawn candidates with the laws that they were drawn from, in that order, under the
/// target's law `p` where none of the ids `without` can come. The number of candidate `index` is
/// `uniform(index)`; `residual` draws what is emitted where none is accepted.
pub fn drawn(
    (p, without): (&Law, &[u32]),
    candidates: &[(u32, &Law)],
    uniform: impl Fn(usize) -> f64,
    residual: Key,
) -> Result<Choice, SpeculateError> {
    let mut rest = Rest::new(p, without);
    for (index, &(token, q)) in candidates.iter().enumerate() {
        let proposed = q.probability(token);
        if proposed <= 0.0 {
            return Err(SpeculateError::NotDrawnFromItsLaw { token });
        }
        let left = rest.mass(token) / rest.total;
        // Without any rest p equals q up to rounding, and then the candidate is a draw from p.
        if rejection::accepts(left, proposed, uniform(index)) || !rest.take(q) {
            return Ok(Choice::Accept(index));
        }
    }
    Ok(Choice::Emit(rest.draw(residual)))
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
                    match drawn((&p, &[]), &candidates, uniform, Key(1)).unwrap() {
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

    proptest! {
        /// What is kept apart is the whole residual.
        #[test]
        fn the_rest_is_the_residual_of_the_residual(
            p in prop::collection::vec(0.01f64..1.0, 7),
            q in prop::collection::vec(0.01f64..1.0, 4),
            first in 0u32..4,
        ) {
            let p = law(&p);
            // The draft's law is one of ids 0, 2, 4 and 6; id 5 was chosen before.
            let ids = [0, 2, 4, 6];
            let entries = ids.into_iter().zip(&q).map(|(id, mass)| (id, mass.ln()));
            let q = Law::sparse(entries.collect());
            let next = q.without(&[ids[first as usize]]);
            let (mut rest, mut whole) = (Rest::new(&p, &[5]), p.without(&[5]));
            for law in [&q, &next] {
                let left: Vec<(u32, f64)> =
                    rejection::residual(&whole, law).map(|(id, mass)| (id, mass.ln())).collect();
                prop_assume!(left.iter().map(|(_, log)| log.exp()).sum::<f64>() > 1e-6);
                whole = Law::sparse(left);
                prop_assert!(rest.take(law));
                for id in 0..7 {
                    let share = rest.mass(id) / rest.total;
                    prop_assert!((share - whole.probability(id)).abs() < 1e-9, "{id}");
                }
                for key in 0..20 {
                    prop_assert_eq!(rest.draw(Key(key)), whole.draw(Key(key)));
                }
            }
        }
    }

    #[test]
    fn a_candidate_that_its_law_excludes_is_an_error() {
        let q = Law::Point(0);
        assert!(drawn((&law(&[0.5, 0.5]), &[]), &[(1, &q)], |_| 0.5, Key(1)).is_err());
    }
}
