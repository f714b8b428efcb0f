//! The law of one next token as a ranking: who comes first, and how likely each is. Knows numbers
//! only.

use std::cmp::Ordering;

use draft::Sampling;

/// Ids that have mass with their natural log-probabilities, in no order.
#[derive(Clone, Debug)]
pub struct Ranking {
    entries: Vec<(u32, f64)>,
}

/// An id's place in a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// 1 for the most probable.
    pub rank: usize,
    /// Natural log-probability.
    pub logprob: f64,
}

impl Ranking {
    /// The model's own law, or the one that `shape` makes of it behind `context`.
    pub fn new(logits: &[f32], shape: Option<&Sampling>, context: &[u32]) -> Self {
        let entries = match shape {
            None => log_softmax(logits),
            Some(sampling) => sampling
                .law(logits, &[context])
                .entries()
                .filter(|&(_, probability)| probability > 0.0)
                .map(|(id, probability)| (id, probability.ln()))
                .collect(),
        };
        Self { entries }
    }

    /// The `count` most probable ids, or all where `count` is 0; the lower id first of equals.
    pub fn top(&self, count: usize) -> Vec<(u32, f64)> {
        let mut entries = self.entries.clone();
        if count > 0 && count < entries.len() {
            entries.select_nth_unstable_by(count - 1, order);
            entries.truncate(count);
        }
        entries.sort_unstable_by(order);
        entries
    }

    /// The place of `id`; `None` where it has no mass.
    pub fn place(&self, id: u32) -> Option<Place> {
        let &own = self.entries.iter().find(|entry| entry.0 == id)?;
        let before = self.entries.iter().filter(|other| order(other, &own).is_lt()).count();
        Some(Place { rank: before + 1, logprob: own.1 })
    }
}

fn order(a: &(u32, f64), b: &(u32, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// ln softmax(logits), summed in 64 bits.
fn log_softmax(logits: &[f32]) -> Vec<(u32, f64)> {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
    let log_total = largest + sum.ln();
    logits
        .iter()
        .enumerate()
        .map(|(id, &logit)| (id as u32, f64::from(logit) - log_total))
        .filter(|(_, logprob)| *logprob > f64::NEG_INFINITY)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 4] = [1.0, 3.0, f32::NEG_INFINITY, 3.0];

    #[test]
    fn the_most_probable_come_first_and_the_lower_id_of_equals() {
        let ranking = Ranking::new(&LOGITS, None, &[]);
        let ids = |count| ranking.top(count).iter().map(|&(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(0), [1, 3, 0], "an id without mass is left out");
        assert_eq!(ids(1), [1]);
        assert_eq!(ids(9), [1, 3, 0]);
        let sum: f64 = ranking.top(0).iter().map(|(_, logprob)| logprob.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_place_is_that_of_the_order() {
        let ranking = Ranking::new(&LOGITS, None, &[]);
        for (index, (id, logprob)) in ranking.top(0).into_iter().enumerate() {
            assert_eq!(ranking.place(id), Some(Place { rank: index + 1, logprob }));
        }
        assert_eq!(ranking.place(2), None);
    }

    #[test]
    fn a_shape_changes_the_law() {
        let shape = Sampling { repetition_penalty: 2.0, ..Sampling::at(0.5) };
        let ranking = Ranking::new(&LOGITS, Some(&shape), &[1]);
        let expected = shape.law(&LOGITS, &[&[1]]);
        assert_eq!(ranking.top(1)[0].0, 3);
        for (id, logprob) in ranking.top(0) {
            assert!((logprob.exp() - expected.probability(id)).abs() < 1e-15);
        }
    }
}
