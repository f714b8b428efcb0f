//! The ids that a draft may well go on with, from its logits: those above some probability, with their
//! probabilities. What is drawn later is drawn from laws made of these numbers, which are handed to the
//! verifier, so that fast arithmetic costs no losslessness. Knows numbers only.

use draft::Logits;

/// Lanes that are summed apart.
const LANES: usize = 16;

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

/// 2 to the power of `x`, for -126 < x ≤ 0, to about 1e-7 of it; without branches, so that compilers make
/// vectors of it.
fn exp2(x: f32) -> f32 {
    /// Adding it rounds to the nearest whole number, which its last bits then hold.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x + ROUND;
    let rest = (x - (shifted - ROUND)) * std::f32::consts::LN_2;
    let series = [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = series.into_iter().fold(1.0 / 720.0, |sum, factor| sum * rest + factor);
    let whole = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    f32::from_bits(power.to_bits().wrapping_add(whole << 23))
}

/// The largest of some numbers.
fn largest(numbers: &[f32]) -> f32 {
    let (lanes, rest) = numbers.as_chunks::<LANES>();
    let mut tops = [f32::NEG_INFINITY; LANES];
    for chunk in lanes {
        for (top, &number) in tops.iter_mut().zip(chunk) {
            *top = if number > *top { number } else { *top };
        }
    }
    tops.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, f32::max)
}

/// Whether any of some numbers is above a bound; without branches, so that compilers make vectors of it.
fn exceeds(numbers: &[f32], bound: f32) -> bool {
    numbers.iter().fold(0, |any, &number| any | u32::from(number > bound)) != 0
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
        let mut sums = [0.0f32; LANES];
        let (lanes, rest) = logits.as_chunks::<LANES>();
        for chunk in lanes {
            for (sum, &logit) in sums.iter_mut().zip(chunk) {
                *sum += row.weight(logit);
            }
        }
        let rest: f32 = rest.iter().map(|&logit| row.weight(logit)).sum();
        let barred = self.barred.iter().map(|&id| row.weight(logits[id as usize]));
        row.total = f64::from(sums.iter().sum::<f32>() + rest - barred.sum::<f32>());
        row
    }

    /// The largest logit that may be drafted.
    fn top(&self, logits: &[f32]) -> f32 {
        let top = largest(logits);
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
        let mut likely = Vec::new();
        for (index, chunk) in row.logits.chunks(LANES).enumerate() {
            let first = (index * LANES) as u32;
            let has_also = also.is_some_and(|id| id / LANES as u32 == index as u32);
            if !has_also && !exceeds(chunk, bound) {
                continue;
            }
            for (id, &logit) in (first..).zip(chunk) {
                let is_likely = logit > bound || Some(id) == also;
                if is_likely && self.draftable[id as usize] {
                    likely.push((id, row.probability(id)));
                }
            }
        }
        likely
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
        exp2(((logit - self.top) * self.scale).clamp(-125.0, 0.0))
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

    #[test]
    fn powers_of_two_are_near() {
        for step in 0..12_500 {
            let x = -f64::from(step) / 100.0;
            let error = f64::from(exp2(x as f32)) / f64::from(x as f32).exp2() - 1.0;
            assert!(error.abs() < 3e-7, "{x}: {error}");
        }
    }

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
