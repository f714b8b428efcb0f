//! The settings that turn logits into a law: repetition penalty, temperature, top-k, top-p, applied
//! in that order, as transformers does. Knows slices of numbers only.

use serde::{Deserialize, Serialize};

use crate::engine::scan;
use crate::law::Law;

/// How a model's logits become the law that tokens are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Divides the logits; 0 means the most probable token always.
    pub temperature: f64,
    /// Keep this many most probable tokens (and those tied with the last of them).
    pub top_k: Option<usize>,
    /// Keep the fewest most probable tokens whose probabilities reach this sum.
    pub top_p: Option<f64>,
    /// Divides positive and multiplies negative logits of tokens that the context holds
    /// (Keskar et al., 1909.05858); 1 changes nothing.
    pub repetition_penalty: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self::GREEDY
    }
}

impl Sampling {
    /// The most probable token always.
    pub const GREEDY: Self =
        Self { temperature: 0.0, top_k: None, top_p: None, repetition_penalty: 1.0 };

    /// The model's own law at a temperature.
    pub const fn at(temperature: f64) -> Self {
        Self { temperature, ..Self::GREEDY }
    }

    /// Whether every law is a single token.
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }

    /// Whether nothing but the temperature changes the model's own law.
    pub fn has_temperature_only(&self) -> bool {
        let cuts = self.top_k.is_some_and(|k| k > 0) || self.top_p.is_some_and(|p| p < 1.0);
        self.repetition_penalty == 1.0 && (self.is_greedy() || !cuts)
    }

    /// The law of the next token behind a context that holds the ids of `context` (in any order,
    /// repeats do not matter).
    pub fn law(&self, logits: &[f32], context: &[&[u32]]) -> Law {
        if self.repetition_penalty == 1.0 {
            return self.shape(logits);
        }
        let mut penalised = logits.to_vec();
        let penalty = self.repetition_penalty as f32;
        for &id in context.iter().copied().flatten() {
            let logit = logits[id as usize];
            penalised[id as usize] = if logit < 0.0 { logit * penalty } else { logit / penalty };
        }
        self.shape(&penalised)
    }

    fn shape(&self, logits: &[f32]) -> Law {
        if self.is_greedy() {
            return Law::Point(argmax(logits));
        }
        let scale = 1.0 / self.temperature;
        let top_k = self.top_k.filter(|&k| k > 0 && k < logits.len());
        let top_p = self.top_p.filter(|&p| p < 1.0);
        if top_k.is_none() && top_p.is_none() {
            let weights = logits.iter().map(|&logit| f64::from(logit) * scale).collect();
            return Law::dense(weights);
        }
        let mut kept: Vec<(u32, f64)> = match top_k {
            Some(k) => largest(logits, k, scale),
            None => logits
                .iter()
                .enumerate()
                .map(|(id, &l)| (id as u32, f64::from(l) * scale))
                .collect(),
        };
        if let Some(p) = top_p {
            keep_nucleus(&mut kept, p);
        }
        kept.sort_unstable_by_key(|&(id, _)| id);
        Law::sparse(kept)
    }
}

/// The first id with the largest logit; 0 where the first one is no number.
pub fn argmax(logits: &[f32]) -> u32 {
    if logits.first().is_none_or(|first| first.is_nan()) {
        return 0;
    }
    let top = scan::largest(logits);
    logits.iter().position(|&logit| logit == top).unwrap_or(0) as u32
}

/// Ids whose logit is at least the `k`-th largest, with their scaled logits.
fn largest(logits: &[f32], k: usize, scale: f64) -> Vec<(u32, f64)> {
    let mut sorted = logits.to_vec();
    let (_, &mut threshold, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    logits
        .iter()
        .enumerate()
        .filter(|&(_, &logit)| logit >= threshold)
        .map(|(id, &logit)| (id as u32, f64::from(logit) * scale))
        .collect()
}

/// Keeps the most probable entries up to and including the one with which their sum reaches `p`
/// (Holtzman et al., 1904.09751). Sorts no more of them than it needs to.
fn keep_nucleus(kept: &mut Vec<(u32, f64)>, p: f64) {
    let order = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let maximum = kept.iter().fold(f64::NEG_INFINITY, |best, &(_, weight)| best.max(weight));
    let total: f64 = kept.iter().map(|&(_, weight)| (weight - maximum).exp()).sum();
    let mut head = 256.min(kept.len());
    loop {
        if head < kept.len() {
            kept.select_nth_unstable_by(head - 1, order);
        }
        kept[..head].sort_unstable_by(order);
        let mut sum = 0.0;
        for index in 0..head {
            if sum >= p && index > 0 {
                kept.truncate(index);
                return;
            }
            sum += (kept[index].1 - maximum).exp() / total;
        }
        if head == kept.len() {
            return;
        }
        head = (head * 8).min(kept.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_of_the_largest_is_found(
            logits in prop::collection::vec(
                prop::sample::select(vec![-1f32, 0.0, 0.5, f32::NAN, f32::NEG_INFINITY]), 1..70,
            ),
        ) {
            let mut best = 0;
            for (id, logit) in logits.iter().enumerate() {
                if *logit > logits[best] {
                    best = id;
                }
            }
            prop_assert_eq!(argmax(&logits), best as u32);
        }
    }

    const LOGITS: [f32; 5] = [2.0, 1.0, 0.5, -1.0, 1.0];

    fn support(sampling: Sampling) -> Vec<u32> {
        let law = sampling.law(&LOGITS, &[]);
        (0..5).filter(|&id| law.probability(id) > 0.0).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_equals() {
        let law = Sampling::GREEDY.law(&[0.0, 3.0, 3.0], &[]);
        assert_eq!(law, Law::Point(1));
    }

    #[test]
    fn top_k_keeps_ties() {
        assert_eq!(support(Sampling { top_k: Some(2), ..Sampling::at(1.0) }), [0, 1, 4]);
        assert_eq!(support(Sampling { top_k: Some(9), ..Sampling::at(1.0) }), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn top_p_keeps_the_fewest_that_reach_it() {
        assert_eq!(support(Sampling { top_p: Some(0.01), ..Sampling::at(1.0) }), [0]);
        assert_eq!(support(Sampling { top_p: Some(0.6), ..Sampling::at(1.0) }), [0, 1]);
        assert_eq!(support(Sampling { top_p: Some(1.0), ..Sampling::at(1.0) }), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_penalty_counts_once_however_often_the_token_occurred() {
        let sampling = Sampling { repetition_penalty: 2.0, ..Sampling::at(1.0) };
        let once = sampling.law(&LOGITS, &[&[0, 3]]);
        let often = sampling.law(&LOGITS, &[&[0, 0], &[3, 0]]);
        for id in 0..5 {
            assert_eq!(once.probability(id), often.probability(id));
        }
        let plain = Sampling::at(1.0).law(&[1.0, 1.0, 0.5, -2.0, 1.0], &[]);
        assert!((once.probability(3) - plain.probability(3)).abs() < 1e-15);
    }
}
