//! What a draft's belief in a candidate is worth: the share of candidates accepted, by the probability that
//! the draft gave them and by their rank among their siblings, learnt while a run goes on. Acceptance may
//! only rise with belief (isotonic regression by pooling neighbours, Ayer et al., 1955). Knows numbers only.

/// Beliefs are told apart by half powers of two.
const STEPS_PER_OCTAVE: f64 = 2.0;

/// Beliefs below this step are taken together.
const BINS: usize = 24;

/// Ranks from this one on are taken together.
const RANKS: usize = 4;

/// How many observations what was believed before any is worth, in each bin.
const PRIOR: f64 = 4.0;

/// Candidates of one rank.
#[derive(Clone, Debug)]
struct Curve {
    /// By bin, the smallest beliefs first.
    hits: [f64; BINS],
    trials: [f64; BINS],
    fitted: [f64; BINS],
}

/// Acceptance by belief and rank.
#[derive(Clone, Debug)]
pub struct Calibration {
    ranks: Vec<Curve>,
}

/// The belief in the middle of a bin.
fn middle(bin: usize) -> f64 {
    (-((BINS - 1 - bin) as f64) / STEPS_PER_OCTAVE).exp2()
}

/// Where a belief stands between the middles of two bins: the lower one, and the share of the upper one.
fn place(belief: f64) -> (usize, f64) {
    let top = (BINS - 1) as f64;
    let at = (top + STEPS_PER_OCTAVE * belief.max(f64::MIN_POSITIVE).log2()).clamp(0.0, top);
    let low = (at.floor() as usize).min(BINS - 2);
    (low, at - low as f64)
}

/// The rising curve nearest to the means, by squares weighed by trials.
fn isotonic(hits: &[f64; BINS], trials: &[f64; BINS]) -> [f64; BINS] {
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(BINS);
    for (&hits, &trials) in hits.iter().zip(trials) {
        blocks.push((hits, trials, 1));
        while let [.., low, high] = &blocks[..] {
            if low.0 * high.1 <= high.0 * low.1 {
                break;
            }
            let merged = (low.0 + high.0, low.1 + high.1, low.2 + high.2);
            blocks.truncate(blocks.len() - 2);
            blocks.push(merged);
        }
    }
    let means =
        blocks.iter().flat_map(|&(hits, trials, size)| std::iter::repeat_n(hits / trials, size));
    let mut fitted = [0.0; BINS];
    fitted.iter_mut().zip(means).for_each(|(own, mean)| *own = mean);
    fitted
}

impl Curve {
    fn believing(prior: impl Fn(f64) -> f64) -> Self {
        let hits = std::array::from_fn(|bin| PRIOR * prior(middle(bin)));
        let trials = [PRIOR; BINS];
        Self { hits, trials, fitted: isotonic(&hits, &trials) }
    }

    fn add(&mut self, belief: f64, accepted: bool) {
        let (low, share) = place(belief);
        let bin = low + usize::from(share >= 0.5);
        self.trials[bin] += 1.0;
        self.hits[bin] += f64::from(u8::from(accepted));
        self.fitted = isotonic(&self.hits, &self.trials);
    }

    fn at(&self, belief: f64) -> f64 {
        let (low, share) = place(belief);
        self.fitted[low] + (self.fitted[low + 1] - self.fitted[low]) * share
    }
}

impl Calibration {
    /// A calibration that knows nothing yet, and expects `prior(rank, belief)`, which must not fall with
    /// belief.
    pub fn expecting(prior: impl Fn(usize, f64) -> f64) -> Self {
        let curve = |rank| Curve::believing(|belief| prior(rank, belief));
        Self { ranks: (0..RANKS).map(curve).collect() }
    }

    /// Hears of a candidate whose parent was accepted: its rank among its siblings from 0 on, what the draft
    /// believed, and whether it was accepted.
    pub fn see(&mut self, rank: usize, belief: f64, accepted: bool) {
        self.ranks[rank.min(RANKS - 1)].add(belief, accepted);
    }

    /// The probability that a candidate is accepted whose parent is.
    pub fn chance(&self, rank: usize, belief: f64) -> f64 {
        self.ranks[rank.min(RANKS - 1)].at(belief)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_seen_often_is_believed() {
        let mut calibration = Calibration::expecting(|_, belief| belief);
        assert!((calibration.chance(0, 0.25) - 0.25).abs() < 1e-12);
        for count in 0..4000 {
            calibration.see(0, 0.25, count % 4 != 0);
            calibration.see(1, 0.25, count % 10 == 0);
        }
        assert!((calibration.chance(0, 0.25) - 0.75).abs() < 0.01);
        assert!((calibration.chance(1, 0.25) - 0.1).abs() < 0.01);
        assert!(calibration.chance(0, 0.5) > 0.7, "more belief is never worth less");
        assert!(calibration.chance(0, 0.01) < 0.1);
    }

    proptest! {
        /// The pooled curve rises, keeps the sum, and no rising curve of a grid is nearer.
        #[test]
        fn the_fit_is_the_nearest_rising_curve(
            pairs in prop::collection::vec((0.0f64..1.0, 0.5f64..9.0), BINS),
            other in prop::collection::vec(0.0f64..1.0, BINS),
        ) {
            let trials: [f64; BINS] = std::array::from_fn(|bin| pairs[bin].1);
            let hits: [f64; BINS] = std::array::from_fn(|bin| pairs[bin].0 * pairs[bin].1);
            let fitted = isotonic(&hits, &trials);
            prop_assert!(fitted.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
            let distance = |curve: &[f64]| -> f64 {
                (0..BINS).map(|bin| trials[bin] * (hits[bin] / trials[bin] - curve[bin]).powi(2)).sum()
            };
            let mut rising = other.clone();
            rising.sort_by(f64::total_cmp);
            for share in [0.01, 0.1, 1.0] {
                let mixed: Vec<f64> =
                    fitted.iter().zip(&rising).map(|(a, b)| a + share * (b - a)).collect();
                prop_assert!(distance(&fitted) <= distance(&mixed) + 1e-9);
            }
        }

        #[test]
        fn chances_rise_with_belief(a in 1e-9f64..1.0, b in 1e-9f64..1.0, seen in prop::collection::vec((0usize..5, 1e-6f64..1.0, any::<bool>()), 0..80)) {
            let mut calibration = Calibration::expecting(|rank, belief| belief / (rank + 1) as f64);
            for (rank, belief, accepted) in seen {
                calibration.see(rank, belief, accepted);
            }
            for rank in 0..5 {
                let (low, high) = (calibration.chance(rank, a.min(b)), calibration.chance(rank, a.max(b)));
                prop_assert!(low <= high + 1e-12 && (0.0..=1.0).contains(&low));
            }
        }
    }
}
