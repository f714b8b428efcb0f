//! The ids that a draft may well go on with, from its logits: those above some probability, with their
//! probabilities. What is drawn later is drawn from laws made of these numbers, which are handed to the
//! verifier, so that fast arithmetic costs no losslessness. Knows numbers only.

use draft::Logits;
use draft::engine::scan;

/// Turns rows of logits into probabilities.
#[derive(Clone, Debug)]
pub(super) struct Likely {
    /// Whether an id may be drafted.
    draftable: Vec<bool>,
    /// Ids that are never drafted.
    barred: Vec<u32>,
    scale: f32,
}

/// A row with what its probabilities are taken from.
pub(super) struct Row<'a> {
    logits: &'a [f32],
    top: f32,
    total: f64,
    scale: f32,
}

impl Likely {
    /// For a model of so many rows, at a temperature; at 0 by the draft's own law.
    pub(super) fn new(ids: &[u32], rows: usize, temperature: f64) -> Self {
        let temperature = if temperature > 0.0 { temperature } else { 1.0 };
        let scale = (std::f64::consts::LOG2_E / temperature) as f32;
        let mut draftable = vec![false; rows];
        for &id in ids {
            draftable[id as usize] = true;
        }
        let barred = (0..rows as u32).filter(|&id| !draftable[id as usize]).collect();
        Self { draftable, barred, scale }
    }

    /// Reads a row.
    pub(super) fn row<'a>(&self, logits: &'a [f32]) -> Row<'a> {
        let top = self.top(logits);
        let mut row = Row { logits, top, total: 0.0, scale: self.scale };
        let all = scan::softmax_sum(logits, top, self.scale);
        let barred = self.barred.iter().map(|&id| row.weight(logits[id as usize]));
        row.total = f64::from(all - barred.sum::<f32>());
        row
    }

    /// The largest logit that may be drafted.
    fn top(&self, logits: &[f32]) -> f32 {
        let top = scan::largest(logits);
        // Above it there may be one that may not.
        if self.barred.iter().all(|&id| logits[id as usize] < top) {
            return top;
        }
        let both = logits.iter().zip(&self.draftable);
        both.filter(|(_, may)| **may).map(|(logit, _)| *logit).fold(f32::NEG_INFINITY, f32::max)
    }

    /// The ids of a row that have more than `least` of the mass, and `also`, ids ascending.
    pub(super) fn above(&self, row: &Row<'_>, least: f64, also: Option<u32>) -> Vec<(u32, f64)> {
        let bound = row.logit_of(least);
        let mut ids = scan::above(row.logits, bound);
        if let Some(also) = also
            && let Err(place) = ids.binary_search(&also)
        {
            ids.insert(place, also);
        }
        ids.retain(|&id| self.draftable[id as usize]);
        ids.into_iter().map(|id| (id, row.probability(id))).collect()
    }

    /// The laws before each of some ids, and behind the last: what has more than `least` of the mass that
    /// the ids from there on have.
    pub(super) fn laws(&self, logits: &Logits, ids: &[u32], least: f64) -> Vec<Vec<(u32, f64)>> {
        let (mut laws, mut mass) = (Vec::new(), 1.0);
        for index in (0..logits.rows()).rev() {
            let row = self.row(logits.row(index));
            let also = ids.get(index).copied();
            mass *= also.map_or(1.0, |id| row.probability(id));
            laws.push(self.above(&row, least * mass, also));
        }
        laws.reverse();
        laws
    }
}

impl Row<'_> {
    /// A logit's weight; those above the largest one that may be drafted count as that.
    fn weight(&self, logit: f32) -> f32 {
        scan::weight(logit, self.top, self.scale)
    }

    /// The logit at which an id has so much of the mass.
    fn logit_of(&self, mass: f64) -> f32 {
        let log = (mass * self.total).log2() as f32;
        if log.is_finite() { self.top + log / self.scale } else { f32::NEG_INFINITY }
    }

    /// The probability of an id that may be drafted.
    pub(super) fn probability(&self, id: u32) -> f64 {
        f64::from(self.weight(self.logits[id as usize])) / self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_likely_has_its_probability(
            logits in prop::collection::vec(-30.0f32..30.0, 2..90),
            temperature in 0.3f64..2.0,
            least in 0.0f64..0.3,
        ) {
            let draftable: Vec<u32> = (0..logits.len() as u32).filter(|id| id % 7 != 3).collect();
            let likely = Likely::new(&draftable, logits.len(), temperature);
            let top = draftable.iter().map(|&id| logits[id as usize]).fold(f32::MIN, f32::max);
            let weight = |id: u32| (f64::from(logits[id as usize] - top) / temperature).exp();
            let total: f64 = draftable.iter().map(|&id| weight(id)).sum();
            let found = likely.above(&likely.row(&logits), least, Some(draftable[0]));
            for &id in &draftable {
                let exact = weight(id) / total;
                match found.iter().find(|(own, _)| *own == id) {
                    Some((_, mass)) => prop_assert!((mass - exact).abs() < 1e-5),
                    None => prop_assert!(exact <= least + 1e-5 && id != draftable[0]),
                }
            }
            prop_assert!(found.iter().all(|(id, _)| draftable.contains(id)));
        }
    }
}
