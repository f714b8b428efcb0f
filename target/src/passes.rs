//! What passes of the target took in a run, by the number of candidates that they verified. Knows
//! numbers only.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Passes over one number of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PassTime {
    /// Candidates of each pass; 0 for a pass that reads the last token alone.
    pub candidates: usize,
    /// Passes.
    pub passes: u64,
    /// Seconds of all of them: reading, and deciding about the candidates.
    pub seconds: f64,
}

/// Passes by their number of candidates, ascending.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PassTimes(Vec<PassTime>);

impl PassTimes {
    /// Adds a pass.
    pub fn add(&mut self, candidates: usize, seconds: f64) {
        self.add_all(PassTime { candidates, passes: 1, seconds });
    }

    fn add_all(&mut self, time: PassTime) {
        match self.0.binary_search_by_key(&time.candidates, |own| own.candidates) {
            Ok(index) => {
                self.0[index].passes += time.passes;
                self.0[index].seconds += time.seconds;
            }
            Err(index) => self.0.insert(index, time),
        }
    }

    /// Number by number.
    pub fn times(&self) -> &[PassTime] {
        &self.0
    }

    /// Mean seconds of a pass over so many candidates: as measured, or else on the line between the
    /// measured numbers around it; beyond them that of the nearest.
    pub fn mean(&self, candidates: usize) -> Option<f64> {
        let mean = |time: &PassTime| time.seconds / time.passes as f64;
        let after = self.0.partition_point(|time| time.candidates < candidates);
        match (after.checked_sub(1).map(|index| &self.0[index]), self.0.get(after)) {
            (_, Some(own)) if own.candidates == candidates => Some(mean(own)),
            (Some(low), Some(high)) => {
                let share = (candidates - low.candidates) as f64
                    / (high.candidates - low.candidates) as f64;
                Some(mean(low) + (mean(high) - mean(low)) * share)
            }
            (Some(only), None) | (None, Some(only)) => Some(mean(only)),
            (None, None) => None,
        }
    }
}

impl AddAssign<&Self> for PassTimes {
    fn add_assign(&mut self, other: &Self) {
        other.0.iter().for_each(|&time| self.add_all(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_by_number_and_between_them() {
        let mut times = PassTimes::default();
        assert_eq!(times.mean(0), None);
        times.add(4, 0.5);
        times.add(0, 0.25);
        let mut sum = PassTimes::default();
        sum += &times;
        sum += &times;
        sum.add(4, 1.0);
        assert_eq!(sum.times().iter().map(|time| time.passes).collect::<Vec<_>>(), [2, 3]);
        assert!((sum.mean(4).unwrap() - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(times.mean(1), Some(0.3125));
        assert_eq!(times.mean(9), Some(0.5));
    }
}
