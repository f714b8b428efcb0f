//! Intervals for measured shares, means and ratios (the `BCa` bootstrap over clusters and the
//! Clopper–Pearson interval), how many clusters they need, and Pearson's chi-square test. Pure arithmetic on plain numbers. It knows nothing of prompts, records
//! or tokens; which sums make a metric is for the caller to say.

mod bootstrap;
mod chi_square;
mod power;
mod proportion;
mod statistic;

pub use bootstrap::{Clusters, FEWEST_CLUSTERS, Resampling, acceleration, bca, intervals};
pub use chi_square::{ChiSquare, FEWEST_EXPECTED, chi_square};
pub use power::{MOST_CLUSTERS, Spread};
pub use proportion::clopper_pearson;
pub use statistic::{Difference, Quotient, Statistic};

/// The confidence of every interval in this project.
pub const CONFIDENCE: f64 = 0.95;

/// A two-sided interval of confidence [`CONFIDENCE`], in the unit of its statistic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower limit.
    pub low: f64,
    /// Upper limit.
    pub high: f64,
}

#[cfg(test)]
pub(crate) mod tests {
    //! Coverage by simulation, on data like those of a run: prompts of six categories, each with an
    //! acceptance rate of its own (logistic-normal about the category's), answers of uneven length
    //! cut at 128 tokens, fewer steps where more is accepted, and noisy times.

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    pub(super) const CENTRES: [f64; 6] = [-1.4, -1.0, -0.6, -0.2, 0.2, 0.6];

    fn uniform(random: &mut ChaCha8Rng) -> f64 {
        (f64::from(random.next_u32()) + 0.5) / 4_294_967_296.0
    }

    fn normal(random: &mut ChaCha8Rng) -> f64 {
        let radius = (-2.0 * uniform(random).ln()).sqrt();
        radius * (std::f64::consts::TAU * uniform(random)).cos()
    }

    /// Accepted, drafted, emitted, seconds, plain seconds of one prompt.
    fn prompt(centre: f64, random: &mut ChaCha8Rng) -> Vec<f64> {
        let rate = 1.0 / (1.0 + (-centre - 0.5 * normal(random)).exp());
        let emitted = (90.0 * (0.8 * normal(random)).exp() + 4.0).min(128.0).floor();
        let steps = (emitted / (1.0 + 3.0 * rate)).ceil();
        let drafted = 4.0 * steps;
        let noise = (rate * (1.0 - rate) / drafted).sqrt() * normal(random);
        let accepted = (drafted * (rate + noise)).round().clamp(0.0, drafted);
        let machine = (0.05 * normal(random)).exp();
        let seconds = 0.03 * steps * machine * (0.05 * normal(random)).exp();
        let plain = 0.02 * emitted * machine * (0.05 * normal(random)).exp();
        vec![accepted, drafted, emitted, seconds, plain]
    }

    fn sample(each: usize, random: &mut ChaCha8Rng) -> Clusters {
        let mut rows = Vec::new();
        for (stratum, centre) in CENTRES.iter().enumerate() {
            for _ in 0..each {
                rows.push((stratum.to_string(), prompt(*centre, random)));
            }
        }
        Clusters::new(rows)
    }

    fn coverage(each: usize, simulations: usize, resamples: usize) -> Vec<f64> {
        let quotients = [
            Quotient::ratio(0, 1),
            Quotient::ratio(2, 3),
            Quotient { over: vec![2, 4], under: vec![3, 2] },
        ];
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let population = sample(100_000, &mut random).totals();
        let truths: Vec<f64> =
            quotients.iter().filter_map(|quotient| quotient.value(&population)).collect();
        let mut covered = [0_usize; 3];
        for seed in 0..simulations {
            let clusters = sample(each, &mut random);
            let resampling = Resampling { resamples, seed: seed as u64 };
            let found = intervals(&clusters, &quotients, resampling, "coverage");
            for ((interval, truth), covered) in found.iter().zip(&truths).zip(&mut covered) {
                let interval = interval.expect("36 clusters give an interval");
                *covered += usize::from((interval.low..=interval.high).contains(truth));
            }
        }
        covered.iter().map(|count| *count as f64 / simulations as f64).collect()
    }

    #[test]
    fn intervals_of_36_clusters_in_6_strata_cover_the_truth() {
        let simulations = match std::env::var("SPEC_COVERAGE_SIMULATIONS") {
            Ok(text) => text.parse().expect("SPEC_COVERAGE_SIMULATIONS is a number"),
            Err(_) => 400,
        };
        let shares = coverage(6, simulations, 1_000);
        for share in &shares {
            assert!((0.93..=0.985).contains(share), "coverage {shares:?}");
        }
    }

    /// Accepted and drafted of one prompt by two drafts, the second better by so many logits.
    pub(super) fn both((centre, better): (f64, f64), random: &mut ChaCha8Rng) -> Vec<f64> {
        let own = -centre - 0.5 * normal(random);
        let mut sums = Vec::new();
        for gain in [0.0, better] {
            let rate = 1.0 / (1.0 + (own - gain - 0.2 * normal(random)).exp());
            let drafted = (120.0 * (0.3 * normal(random)).exp() / (1.0 + 3.0 * rate)).ceil();
            let noise = (rate * (1.0 - rate) / drafted).sqrt() * normal(random);
            sums.extend([(drafted * (rate + noise)).round().clamp(0.0, drafted), drafted]);
        }
        sums
    }

    #[test]
    fn paired_differences_of_36_clusters_are_covered() {
        let sample = |each: usize, random: &mut ChaCha8Rng| {
            let rows = CENTRES.iter().enumerate().flat_map(|(stratum, centre)| {
                std::iter::repeat_n((stratum.to_string(), *centre), each)
            });
            let rows: Vec<_> = rows.collect();
            Clusters::new(
                rows.into_iter().map(|(stratum, centre)| (stratum, both((centre, 0.4), random))),
            )
        };
        let difference = Difference { from: Quotient::ratio(0, 1), to: Quotient::ratio(2, 3) };
        let mut random = ChaCha8Rng::seed_from_u64(12);
        let truth = difference.value(&sample(100_000, &mut random).totals()).unwrap();
        assert!(truth > 0.02, "{truth}");
        let (simulations, mut covered, mut shown) = (400, 0, 0);
        for seed in 0..simulations {
            let resampling = Resampling { resamples: 1_000, seed };
            let clusters = sample(6, &mut random);
            let found = intervals(&clusters, std::slice::from_ref(&difference), resampling, "d");
            let interval = found[0].expect("36 clusters give an interval");
            covered += u32::from((interval.low..=interval.high).contains(&truth));
            shown += u32::from(interval.low > 0.0);
        }
        let share = f64::from(covered) / simulations as f64;
        assert!((0.93..=0.985).contains(&share), "coverage {share}");
        assert!(shown > 300, "36 pairs mostly show such a difference");
    }
}
