//! How varied texts are, in ids: distinct-n (Li et al., 1510.03055) and the share of repeated 4-grams
//! (Welleck et al., 1908.04319), of each text and pooled over those of a temperature with intervals over
//! texts. Knows no model.

use std::collections::HashSet;

use serde::Serialize;

use super::Sample;
use crate::bench::figures::Estimate;
use crate::statistics::{Clusters, Quotient, Resampling, intervals};

/// Lengths of the n-grams that are counted, the last of which counts for repetition.
const LENGTHS: [usize; 4] = [1, 2, 3, 4];

/// n-grams of a text: those that differ, and all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Grams {
    distinct: usize,
    all: usize,
}

impl Grams {
    fn of(ids: &[u32], length: usize) -> Self {
        let distinct: HashSet<&[u32]> = ids.windows(length).collect();
        Self { distinct: distinct.len(), all: ids.windows(length).count() }
    }

    fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.distinct as f64 / self.all as f64)
    }
}

/// How varied one text is. What is too short to tell is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Variety {
    /// Ids that differ / ids.
    pub distinct_1: Option<f64>,
    /// Pairs of ids that differ / pairs.
    pub distinct_2: Option<f64>,
    /// The same of three in a row.
    pub distinct_3: Option<f64>,
    /// Sequences of four ids that came before / sequences of four.
    pub repetition: Option<f64>,
}

impl Variety {
    /// Of ids.
    pub fn of(ids: &[u32]) -> Self {
        let [one, two, three, four] = LENGTHS.map(|length| Grams::of(ids, length).share());
        Self {
            distinct_1: one,
            distinct_2: two,
            distinct_3: three,
            repetition: four.map(|own| 1.0 - own),
        }
    }
}

/// Figures of a temperature: sums over its texts, with 95 % intervals over texts where there are five or
/// more and they differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// As in [`Variety`], n-grams counted within each text.
    pub distinct_1: Estimate,
    /// As in [`Variety`].
    pub distinct_2: Estimate,
    /// As in [`Variety`].
    pub distinct_3: Estimate,
    /// As in [`Variety`].
    pub repetition: Estimate,
    /// Mean natural log-probability of an id by the model's own law.
    pub mean_logprob: Estimate,
    /// Ids of a text.
    pub tokens: Estimate,
    /// Share of texts that ended with an end of text.
    pub ended: f64,
}

impl Figures {
    /// Of texts, and the log-probability of all ids of each.
    pub fn new(samples: &[Sample], logprobs: &[f64], seed: u64) -> Self {
        let rows: Vec<(String, Vec<f64>)> = (samples.iter().zip(logprobs))
            .map(|(own, &logprob)| (String::new(), row(&own.ids, logprob)))
            .collect();
        let quotients: Vec<Quotient> = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 1), (1, 9)]
            .map(|(a, b)| Quotient::ratio(a, b))
            .into();
        let clusters = Clusters::new(rows);
        let totals = clusters.totals();
        let found = intervals(&clusters, &quotients, Resampling::full(seed), "sweep");
        let estimate = |index: usize| {
            let value = quotients[index].value(&totals).filter(|value| value.is_finite());
            // Texts that are all alike show nothing of how texts vary.
            let limits = found[index].filter(|own| value.is_some() && own.low < own.high);
            Estimate { value, low: limits.map(|own| own.low), high: limits.map(|own| own.high) }
        };
        let ended = samples.iter().filter(|own| own.finish == draft::generate::Finish::Eos).count();
        Self {
            distinct_1: estimate(0),
            distinct_2: estimate(1),
            distinct_3: estimate(2),
            repetition: estimate(3),
            mean_logprob: estimate(4),
            tokens: estimate(5),
            ended: ended as f64 / samples.len().max(1) as f64,
        }
    }
}

/// Distinct and all n-grams of each length, repeated ones of the last, the log-probability, and 1.
fn row(ids: &[u32], logprob: f64) -> Vec<f64> {
    let [one, two, three, four] = LENGTHS.map(|length| Grams::of(ids, length));
    let mut row: Vec<f64> =
        [one, two, three].iter().flat_map(|own| [own.distinct as f64, own.all as f64]).collect();
    row.extend([(four.all - four.distinct) as f64, four.all as f64, logprob, 1.0]);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use draft::generate::Finish;

    #[test]
    fn variety_by_hand() {
        let own = Variety::of(&[1, 2, 1, 2, 1, 2]);
        assert_eq!(own.distinct_1, Some(2.0 / 6.0));
        assert_eq!(own.distinct_2, Some(2.0 / 5.0));
        assert_eq!(own.distinct_3, Some(2.0 / 4.0));
        assert!((own.repetition.unwrap() - 1.0 / 3.0).abs() < 1e-12);
        let short = Variety::of(&[1, 2, 3]);
        assert_eq!((short.distinct_3, short.repetition), (Some(1.0), None));
        assert_eq!(Variety::of(&[]).distinct_1, None);
    }

    fn sample(ids: &[u32]) -> Sample {
        Sample {
            sample: 0,
            ids: ids.to_vec(),
            bytes_b64: String::new(),
            text: String::new(),
            finish: if ids.len() == 1 { Finish::Eos } else { Finish::MaxNew },
            tokens: ids.len(),
            seconds: 0.0,
            mean_logprob: None,
            variety: Variety::of(ids),
        }
    }

    #[test]
    fn figures_are_quotients_of_sums() {
        let samples = [sample(&[1, 1, 1, 1, 1, 1]), sample(&[1]), sample(&[1, 2, 3, 4, 5])];
        let found = Figures::new(&samples, &[-6.0, -2.0, -4.0], 1);
        assert_eq!(found.distinct_1.value, Some(7.0 / 12.0));
        assert_eq!(found.repetition.value, Some(2.0 / 5.0));
        assert_eq!(found.mean_logprob.value, Some(-1.0));
        assert_eq!(found.tokens.value, Some(4.0));
        assert_eq!(found.ended, 1.0 / 3.0);
        assert_eq!(found.distinct_1.low, None, "three texts are too few for an interval");
        let many: Vec<Sample> = (0..6).flat_map(|_| samples.clone()).collect();
        let found = Figures::new(&many, &[-1.0; 18], 1);
        let Estimate { value, low, high } = found.distinct_1;
        assert!(low < value && value < high, "{low:?} {value:?} {high:?}");
        let alike = vec![sample(&[1, 2]); 6];
        assert_eq!(Figures::new(&alike, &[-1.0; 6], 1).tokens.low, None);
        let none = Figures::new(&[sample(&[1])], &[f64::NEG_INFINITY], 1);
        assert_eq!((none.distinct_2.value, none.mean_logprob.value), (None, None));
    }
}
