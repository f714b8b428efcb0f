//! The law of one next token, and drawing from it. Knows numbers only.

use std::cell::OnceCell;

use crate::random::Key;

/// A probability law over the ids of a vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub enum Law {
    /// All mass on one id.
    Point(u32),
    /// A log-weight for every id.
    Dense(Weights),
    /// Log-weights of the ids that have any mass, ids ascending.
    Sparse(Vec<u32>, Weights),
}

/// Unnormalised log-weights; their normaliser is computed when a probability is first asked for,
/// since drawing needs none.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    logs: Vec<f64>,
    log_total: OnceCell<f64>,
}

impl Weights {
    fn new(logs: Vec<f64>) -> Self {
        Self { logs, log_total: OnceCell::new() }
    }

    fn log_total(&self) -> f64 {
        *self.log_total.get_or_init(|| {
            let maximum = self.logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            maximum + self.logs.iter().map(|weight| (weight - maximum).exp()).sum::<f64>().ln()
        })
    }

    fn probability(&self, index: usize) -> f64 {
        (self.logs[index] - self.log_total()).exp()
    }
}

impl Law {
    /// A law from log-weights of all ids.
    pub fn dense(logs: Vec<f64>) -> Self {
        Self::Dense(Weights::new(logs))
    }

    /// A law from `(id, log-weight)` with ids ascending; all other ids have no mass.
    pub fn sparse(entries: Vec<(u32, f64)>) -> Self {
        let (ids, logs) = entries.into_iter().unzip();
        Self::Sparse(ids, Weights::new(logs))
    }

    /// The probability of `id`.
    pub fn probability(&self, id: u32) -> f64 {
        match self {
            Self::Point(only) => f64::from(u8::from(*only == id)),
            Self::Dense(weights) => {
                if (id as usize) < weights.logs.len() {
                    weights.probability(id as usize)
                } else {
                    0.0
                }
            }
            Self::Sparse(ids, weights) => {
                ids.binary_search(&id).map_or(0.0, |index| weights.probability(index))
            }
        }
    }

    /// Its entropy in nats.
    pub fn entropy(&self) -> f64 {
        let surprise = |(_, p): (u32, f64)| if p > 0.0 { -p * p.ln() } else { 0.0 };
        self.entries().map(surprise).sum()
    }

    /// Draws an id. Equal laws give equal draws for equal keys, however they are stored.
    ///
    /// # Panics
    /// If no id has any mass, which no softmax gives.
    pub fn draw(&self, key: Key) -> u32 {
        let drawn = match self {
            Self::Point(id) => Some(*id),
            Self::Dense(weights) => {
                key.draw(weights.logs.iter().enumerate().map(|(id, &log)| (id as u32, log)))
            }
            Self::Sparse(ids, weights) => {
                key.draw(ids.iter().copied().zip(weights.logs.iter().copied()))
            }
        };
        drawn.expect("a law has mass")
    }

    /// Draws different ids one after the other, each from the law without those before it; fewer than
    /// `count` where fewer have mass. The first is that of [`Self::draw`].
    pub fn draws(&self, key: Key, count: usize) -> Vec<u32> {
        key.draw_many(self.logs(), count)
    }

    /// The most probable ids, in that order, the smaller id first among equals; fewer than `count`
    /// where fewer have mass, and always less than all, so that the law has mass without them.
    pub fn largest(&self, count: usize) -> Vec<u32> {
        let mut found: Vec<(u32, f64)> = self.logs().filter(|(_, log)| log.is_finite()).collect();
        let count = count.min(found.len().saturating_sub(1));
        let by_weight = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if count == 0 {
            return Vec::new();
        }
        found.select_nth_unstable_by(count - 1, by_weight);
        found.truncate(count);
        found.sort_by(by_weight);
        found.into_iter().map(|(id, _)| id).collect()
    }

    /// The law where none of `ids` is drawn.
    #[must_use]
    pub fn without(&self, ids: &[u32]) -> Self {
        if ids.is_empty() {
            return self.clone();
        }
        Self::sparse(self.logs().filter(|(id, _)| !ids.contains(id)).collect())
    }

    /// Ids that may have mass with their log-weights, ids ascending.
    pub(crate) fn logs(&self) -> Box<dyn Iterator<Item = (u32, f64)> + '_> {
        match self {
            Self::Point(id) => Box::new(std::iter::once((*id, 0.0))),
            Self::Dense(weights) => {
                Box::new(weights.logs.iter().enumerate().map(|(id, &log)| (id as u32, log)))
            }
            Self::Sparse(ids, weights) => {
                Box::new(ids.iter().copied().zip(weights.logs.iter().copied()))
            }
        }
    }

    /// Ids of at least so much mass, with their probabilities, ids ascending.
    pub fn at_least(&self, least: f64) -> Vec<(u32, f64)> {
        let log_total = match self {
            Self::Point(_) => 0.0,
            Self::Dense(weights) | Self::Sparse(_, weights) => weights.log_total(),
        };
        // Rounding is left to the probabilities themselves, which few ids are asked for.
        let bound = log_total + least.ln() - 1e-9;
        let near = self.logs().filter(|&(_, log)| log >= bound);
        near.map(|(id, log)| (id, (log - log_total).exp())).filter(|&(_, p)| p >= least).collect()
    }

    /// Ids that have mass, with their probabilities, ids ascending.
    pub fn entries(&self) -> Box<dyn Iterator<Item = (u32, f64)> + '_> {
        match self {
            Self::Point(id) => Box::new(std::iter::once((*id, 1.0))),
            Self::Dense(weights) => Box::new(
                (0..weights.logs.len()).map(|index| (index as u32, weights.probability(index))),
            ),
            Self::Sparse(ids, weights) => Box::new(
                ids.iter().enumerate().map(|(index, &id)| (id, weights.probability(index))),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Randomness};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_has_mass_enough_is_found(
            logs in prop::collection::vec(-6.0f64..6.0, 1..40),
            least in 0.001f64..0.3,
        ) {
            for law in [Law::dense(logs.clone()), Law::Point(3)] {
                let expected: Vec<(u32, f64)> =
                    law.entries().filter(|&(_, mass)| mass >= least).collect();
                prop_assert_eq!(law.at_least(least), expected);
            }
        }

        #[test]
        fn probabilities_sum_to_one(logs in prop::collection::vec(-30.0f64..30.0, 1..60)) {
            let law = Law::dense(logs);
            let sum: f64 = law.entries().map(|(_, p)| p).sum();
            prop_assert!((sum - 1.0).abs() < 1e-12);
        }

        #[test]
        fn storage_does_not_change_the_draw(logs in prop::collection::vec(-5.0f64..5.0, 1..60), prompt: u64) {
            let sparse = Law::sparse(logs.iter().enumerate().map(|(id, &l)| (id as u32, l)).collect());
            let key = Randomness { seed: 1, prompt }.key(0, Purpose::Target);
            prop_assert_eq!(Law::dense(logs).draw(key), sparse.draw(key));
        }

        #[test]
        fn draws_without_replacement_are_draws_from_what_is_left(
            logs in prop::collection::vec(-5.0f64..5.0, 1..20), count in 1usize..6, prompt: u64,
        ) {
            let law = Law::dense(logs);
            let key = Randomness { seed: 1, prompt }.key(0, Purpose::Target);
            let drawn = law.draws(key, count);
            for (index, &id) in drawn.iter().enumerate() {
                // Each id has noise of its own, so that the next of a list is the first without it.
                prop_assert_eq!(id, law.without(&drawn[..index]).draw(key));
            }
            let largest = law.largest(count);
            for (index, &id) in largest.iter().enumerate() {
                let rest = law.without(&largest[..index]);
                prop_assert!(rest.entries().all(|(_, p)| p <= rest.probability(id)));
            }
        }
    }
}
