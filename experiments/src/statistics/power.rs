//! How many clusters an interval needs: from the spread of a statistic in a pilot to the half-width of
//! its interval and the power of a comparison with other numbers of clusters, all strata growing alike.
//! Knows nothing of what a cluster is.
//!
//! The variance is the stratified jackknife's, which is that of the statistic's linearisation (Davison and
//! Hinkley, Bootstrap Methods, 1997, section 3.2), and goes down as 1/n. Quantiles are those of Student's t
//! with as many degrees of freedom as clusters less strata, as the bootstrap's intervals have them.

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal, StudentsT};

use super::{CONFIDENCE, Clusters, FEWEST_CLUSTERS, Statistic};

/// No more clusters are looked for.
pub const MOST_CLUSTERS: usize = 100_000_000;

/// Degrees of freedom above which Student's law is the normal one, to four digits.
const NORMAL: f64 = 10_000.0;

/// How a statistic spreads in a pilot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Clusters of the pilot.
    pub clusters: usize,
    /// Its strata.
    pub strata: usize,
    /// The variance of the statistic, times the number of clusters.
    pub variance: f64,
}

impl Spread {
    /// That of a statistic; `None` where fewer than [`FEWEST_CLUSTERS`] inform it.
    pub fn of(clusters: &Clusters, statistic: &impl Statistic) -> Option<Self> {
        if clusters.informative(statistic) < FEWEST_CLUSTERS {
            return None;
        }
        let of_stratum = |values: &Vec<f64>| {
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            (count - 1.0) / count * values.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
        };
        let jackknife = clusters.jackknife(statistic);
        let count = clusters.count();
        let variance = count as f64 * jackknife.iter().map(of_stratum).sum::<f64>();
        let spread = Self { clusters: count, strata: jackknife.len(), variance };
        variance.is_finite().then_some(spread)
    }

    /// The standard error with so many clusters.
    pub fn standard_error(&self, clusters: usize) -> f64 {
        (self.variance / clusters as f64).sqrt()
    }

    /// Half the width of the interval with so many clusters.
    pub fn half_width(&self, clusters: usize) -> f64 {
        self.quantile(f64::midpoint(1.0, CONFIDENCE), clusters) * self.standard_error(clusters)
    }

    /// The smallest true value that is told from zero with this probability.
    pub fn smallest_shown(&self, clusters: usize, power: f64) -> f64 {
        self.half_width(clusters) + self.quantile(power, clusters) * self.standard_error(clusters)
    }

    /// Clusters with which a true value of this size is told from zero with this probability; `None` where
    /// [`MOST_CLUSTERS`] are too few.
    pub fn clusters_for(&self, size: f64, power: f64) -> Option<usize> {
        self.fewest(|clusters| self.smallest_shown(clusters, power) <= size)
    }

    /// Clusters that make the interval as narrow as this on each side of the value.
    pub fn clusters_for_half_width(&self, half_width: f64) -> Option<usize> {
        self.fewest(|clusters| self.half_width(clusters) <= half_width)
    }

    /// The limits between which the variance lies, as far as a pilot of so many clusters can tell: those of
    /// the variance of a normal law.
    pub fn limits(&self) -> Option<[Self; 2]> {
        let freedom = (self.clusters - self.strata) as f64;
        let law = ChiSquared::new(freedom).ok()?;
        let tail = f64::midpoint(1.0, -CONFIDENCE);
        let at =
            |level| Self { variance: self.variance * freedom / law.inverse_cdf(level), ..*self };
        Some([at(1.0 - tail), at(tail)])
    }

    fn quantile(&self, level: f64, clusters: usize) -> f64 {
        let freedom = clusters.saturating_sub(self.strata).max(1) as f64;
        if freedom > NORMAL {
            return Normal::standard().inverse_cdf(level);
        }
        StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |law| law.inverse_cdf(level))
    }

    /// The smallest number for which something holds that holds for all larger ones.
    fn fewest(&self, holds: impl Fn(usize) -> bool) -> Option<usize> {
        let mut low = FEWEST_CLUSTERS.max(self.strata + 1);
        if holds(low) {
            return Some(low);
        }
        let mut high = 2 * low;
        while !holds(high) {
            (low, high) = (high, 2 * high);
            if low > MOST_CLUSTERS {
                return None;
            }
        }
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            if holds(middle) { high = middle } else { low = middle }
        }
        Some(high)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::statistics::tests::{CENTRES, both};
    use crate::statistics::{Difference, Quotient, Resampling, intervals};

    const DIFFERENCE: fn() -> Difference =
        || Difference { from: Quotient::ratio(0, 1), to: Quotient::ratio(2, 3) };

    /// Prompts of six categories, as two drafts did them.
    fn sample(each: usize, random: &mut ChaCha8Rng) -> Clusters {
        let mut rows = Vec::new();
        for (stratum, centre) in CENTRES.iter().enumerate() {
            rows.extend((0..each).map(|_| (stratum.to_string(), both((*centre, 0.15), random))));
        }
        Clusters::new(rows)
    }

    #[test]
    fn of_a_mean_it_is_that_of_the_textbook() {
        // 1 to 9: s² = 7.5.
        let rows = (1..10).map(|value| (String::new(), vec![f64::from(value), 1.0]));
        let spread = Spread::of(&Clusters::new(rows), &Quotient::ratio(0, 1)).unwrap();
        assert!((spread.variance - 7.5).abs() < 1e-12, "{spread:?}");
        // t of 8 degrees of freedom at 0.975 is 2.306.
        let by_hand = 2.306_004 * (7.5_f64 / 9.0).sqrt();
        assert!((spread.half_width(9) - by_hand).abs() < 1e-5);
        // For s = √7.5 and a difference of 1: (1.96 + 0.8416)² × 7.5 = 58.9 by the normal law, and two
        // more by Student's.
        assert_eq!(spread.clusters_for(1.0, 0.8), Some(61));
        let few = Clusters::new((1..5).map(|value| (String::new(), vec![f64::from(value), 1.0])));
        assert_eq!(Spread::of(&few, &Quotient::ratio(0, 1)), None);
    }

    #[test]
    fn the_foretold_number_has_the_foretold_power_and_width() {
        let mut random = ChaCha8Rng::seed_from_u64(31);
        let pilot = sample(500, &mut random);
        let truth = DIFFERENCE().value(&pilot.totals()).unwrap();
        let spread = Spread::of(&pilot, &DIFFERENCE()).unwrap();
        for power in [0.5, 0.8] {
            let each = spread.clusters_for(truth, power).unwrap().div_ceil(6);
            let (simulations, mut shown, mut width) = (600, 0, 0.0);
            for seed in 0..simulations {
                let resampling = Resampling { resamples: 400, seed };
                let clusters = sample(each, &mut random);
                let found = intervals(&clusters, &[DIFFERENCE()], resampling, "power");
                let interval = found[0].unwrap();
                shown += u32::from(interval.low > 0.0);
                width += (interval.high - interval.low) / 2.0 / simulations as f64;
            }
            let share = f64::from(shown) / simulations as f64;
            // Rounding up to all six strata adds up to five clusters.
            let most = spread_power(&spread, 6 * each, truth) + 0.05;
            assert!(share > power - 0.05 && share < most, "{share} of {power} with 6 × {each}");
            let foretold = spread.half_width(6 * each);
            assert!((width / foretold - 1.0).abs() < 0.08, "± {width}, foretold ± {foretold}");
        }
    }

    fn spread_power(spread: &Spread, clusters: usize, truth: f64) -> f64 {
        let law = StudentsT::new(0.0, 1.0, (clusters - spread.strata) as f64).unwrap();
        law.cdf((truth - spread.half_width(clusters)) / spread.standard_error(clusters))
    }

    #[test]
    fn a_small_pilot_foretells_the_same_on_average_and_says_how_unsure_it_is() {
        let mut random = ChaCha8Rng::seed_from_u64(32);
        let truth = Spread::of(&sample(2_000, &mut random), &DIFFERENCE()).unwrap().variance;
        let (mut mean, mut inside) = (0.0, 0);
        for _ in 0..400 {
            let spread = Spread::of(&sample(6, &mut random), &DIFFERENCE()).unwrap();
            mean += spread.variance / truth / 400.0;
            let [low, high] = spread.limits().unwrap();
            inside += u32::from(low.variance < truth && truth < high.variance);
        }
        assert!((mean - 1.0).abs() < 0.08, "{mean}");
        assert!(inside > 340, "{inside} of 400");
    }

    #[test]
    fn what_cannot_be_reached_is_none() {
        let spread = Spread { clusters: 20, strata: 1, variance: 1.0 };
        assert_eq!(spread.clusters_for(1e-6, 0.8), None);
        let certain = Spread { variance: 0.0, ..spread };
        assert_eq!(certain.clusters_for(0.1, 0.8), Some(FEWEST_CLUSTERS));
        let numbers: Vec<_> =
            [0.1, 0.2, 0.4].map(|size| spread.clusters_for(size, 0.8).unwrap()).into();
        assert!(numbers.is_sorted_by(|a, b| a > b), "{numbers:?}");
        for clusters in numbers {
            assert!(clusters > 5 && spread.smallest_shown(clusters, 0.8) <= 0.4);
        }
    }
}
