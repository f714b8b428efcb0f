//! Randomness keyed by what it is for. Every number belongs to (seed, prompt, position, purpose)
//! and is not drawn from one stream, so that two methods that ask for the same number get it, in
//! whatever order they work.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a random number is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Drawing the target's token at a position, whoever asks.
    Target,
    /// Drawing a candidate in the round that began at this position.
    Draft(usize),
    /// Accepting a candidate in the round that began at this position.
    Accept(usize),
    /// Drawing from the residual in the round that began at this position.
    Residual(usize),
}

impl Purpose {
    fn code(self) -> u64 {
        match self {
            Self::Target => 0,
            Self::Draft(start) => 1 | (start as u64) << 2,
            Self::Accept(start) => 2 | (start as u64) << 2,
            Self::Residual(start) => 3 | (start as u64) << 2,
        }
    }
}

/// The random numbers of one prompt.
#[derive(Clone, Copy, Debug)]
pub struct Randomness {
    /// The run's seed.
    pub seed: u64,
    /// The prompt, repeats told apart.
    pub prompt: u64,
}

impl Randomness {
    /// The key of one draw. `position` counts emitted tokens from 0.
    pub fn key(self, position: usize, purpose: Purpose) -> Key {
        let mut seed = [0; 32];
        for (part, value) in
            seed.chunks_exact_mut(8).zip([self.seed, self.prompt, position as u64, purpose.code()])
        {
            part.copy_from_slice(&value.to_le_bytes());
        }
        Key(ChaCha8Rng::from_seed(seed).next_u64())
    }
}

/// Names one draw; gives as many independent numbers as there are ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u64);

impl Key {
    /// A number in (0, 1).
    pub fn uniform(self) -> f64 {
        unit(self.bits(u32::MAX))
    }

    /// The number in (0, 1) that belongs to the candidate at `index`; the first is
    /// [`Self::uniform`].
    pub fn uniform_of(self, index: usize) -> f64 {
        unit(self.bits(u32::MAX - index as u32))
    }

    /// The key of the place at `index` among several that are drawn at under one name; the first is this
    /// one.
    #[must_use]
    pub fn place(self, index: usize) -> Self {
        if index == 0 { self } else { Self(self.bits(u32::MAX - index as u32)) }
    }

    /// Random bits that belong to `id` (the output function of `SplitMix64`).
    pub fn bits(self, id: u32) -> u64 {
        let mut bits = self.0.wrapping_add((u64::from(id) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// Draws an id with probability proportional to `exp(weight)`; ids of weight −∞ are never
    /// drawn. `None` where no id has a finite weight.
    ///
    /// The largest of weight + Gumbel noise wins (Gumbel 1954), each id with noise of its own: a
    /// change of the weights in the last digits changes the draw only where two ids are nearly
    /// tied, which a walk along the cumulative law does not give.
    pub fn draw(self, weights: impl Iterator<Item = (u32, f64)>) -> Option<u32> {
        let (mut best, mut winner) = (f64::NEG_INFINITY, None);
        for (id, weight) in weights {
            let bits = self.bits(id);
            // −ln(−ln(1−v)) ≤ −ln v, and v has at most this many leading zero bits.
            let bound = weight + f64::from(bits.leading_zeros() + 1) * std::f64::consts::LN_2;
            if bound > best {
                let value = weight - (-(-unit(bits)).ln_1p()).ln();
                if value > best {
                    (best, winner) = (value, Some(id));
                }
            }
        }
        winner
    }
}

impl Key {
    /// Draws different ids one after the other, each as [`Self::draw`] would without those before it
    /// (Kool et al., "Stochastic Beams", 1903.06059): the largest sums of weight and noise, in order.
    pub fn draw_many(self, weights: impl Iterator<Item = (u32, f64)>, count: usize) -> Vec<u32> {
        let mut best: Vec<(f64, u32)> = Vec::with_capacity(count + 1);
        for (id, weight) in weights.filter(|(_, weight)| *weight > f64::NEG_INFINITY) {
            let value = weight - (-(-unit(self.bits(id))).ln_1p()).ln();
            let place = best.partition_point(|(other, _)| *other >= value);
            if place < count {
                best.insert(place, (value, id));
                best.truncate(count);
            }
        }
        best.into_iter().map(|(_, id)| id).collect()
    }
}

/// The upper 53 bits as a number in (0, 1).
fn unit(bits: u64) -> f64 {
    ((bits >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{ChiSquared, ContinuousCDF};

    const RUN: Randomness = Randomness { seed: 7, prompt: 3 };

    #[test]
    fn keys_differ_in_every_part() {
        let keys = [
            RUN.key(0, Purpose::Target),
            RUN.key(1, Purpose::Target),
            RUN.key(1, Purpose::Draft(0)),
            RUN.key(1, Purpose::Draft(1)),
            RUN.key(1, Purpose::Accept(1)),
            RUN.key(1, Purpose::Residual(1)),
            Randomness { seed: 8, ..RUN }.key(0, Purpose::Target),
            Randomness { prompt: 4, ..RUN }.key(0, Purpose::Target),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key));
        }
    }

    #[test]
    fn draws_follow_the_law() {
        let law = [0.5, 0.0, 0.3, 0.15, 0.05];
        let draws = 100_000;
        let mut counts = [0u32; 5];
        for position in 0..draws {
            let weights = law.iter().enumerate().map(|(id, p): (_, &f64)| (id as u32, p.ln()));
            let id = RUN.key(position, Purpose::Target).draw(weights).unwrap();
            counts[id as usize] += 1;
        }
        assert_eq!(counts[1], 0);
        let statistic: f64 = law
            .iter()
            .zip(counts)
            .filter(|(p, _)| **p > 0.0)
            .map(|(p, count)| {
                let expected = p * draws as f64;
                (f64::from(count) - expected).powi(2) / expected
            })
            .sum();
        let p_value = 1.0 - ChiSquared::new(3.0).unwrap().cdf(statistic);
        assert!(p_value > 1e-6, "chi-square {statistic}, p = {p_value}");
    }

    #[test]
    fn nothing_to_draw_is_none() {
        assert_eq!(RUN.key(0, Purpose::Target).draw([(0, f64::NEG_INFINITY)].into_iter()), None);
    }
}
