//! Pearson's chi-square test of counted outcomes against a law. Knows numbers only.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Outcomes that are expected to be rarer than this are pooled.
pub const FEWEST_EXPECTED: f64 = 5.0;

/// How well counts fit a law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChiSquare {
    /// Outcomes that were compared, all rare ones together counting as one.
    pub cells: usize,
    /// Σ (seen − expected)² / expected.
    pub statistic: f64,
    /// The probability of such a statistic or a larger one, where the law is that of the counts: of
    /// chi-square with one degree of freedom less than cells. 1 for a single cell, and 0 for an
    /// outcome that the law excludes.
    pub p_value: f64,
}

/// Tests counts of outcomes against their probabilities, which sum to 1; outcomes that are not
/// mentioned have none.
pub fn chi_square<T: Eq + Hash, S: BuildHasher>(
    counts: &HashMap<T, u64, S>,
    law: impl IntoIterator<Item = (T, f64)>,
) -> ChiSquare {
    let total: u64 = counts.values().sum();
    let (mut statistic, mut cells, mut known) = (0.0, 0, 0);
    let (mut rare_expected, mut rare_seen) = (0.0, 0);
    let mut add = |expected: f64, seen: u64| {
        statistic += (seen as f64 - expected).powi(2) / expected;
        cells += 1;
    };
    for (outcome, p) in law.into_iter().filter(|(_, p)| *p > 0.0) {
        let (expected, seen) = (p * total as f64, counts.get(&outcome).copied().unwrap_or(0));
        known += seen;
        if expected < FEWEST_EXPECTED {
            rare_expected += expected;
            rare_seen += seen;
        } else {
            add(expected, seen);
        }
    }
    if rare_expected > 0.0 {
        add(rare_expected, rare_seen);
    }
    let p_value = match ChiSquared::new(cells as f64 - 1.0) {
        _ if known < total => 0.0,
        Ok(law) => law.sf(statistic),
        Err(_) => 1.0,
    };
    ChiSquare { cells, statistic, p_value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(counts: &[(u32, u64)], law: &[(u32, f64)]) -> ChiSquare {
        chi_square(&counts.iter().copied().collect::<HashMap<_, _>>(), law.iter().copied())
    }

    /// `scipy.stats.chisquare([30, 50, 20], [25, 50, 25])` gives (2.0, 0.36787944117144233).
    #[test]
    fn as_scipy_has_it() {
        let own = found(&[(0, 30), (1, 50), (2, 20)], &[(0, 0.25), (1, 0.5), (2, 0.25)]);
        assert_eq!((own.cells, own.statistic), (3, 2.0));
        assert!((own.p_value - (-1.0f64).exp()).abs() < 1e-12);
    }

    #[test]
    fn rare_outcomes_are_pooled_and_excluded_ones_are_found() {
        let law = [(0, 0.96), (1, 0.02), (2, 0.02)];
        let own = found(&[(0, 94), (1, 6)], &law);
        // 4 of 100 are expected to be 1 or 2.
        assert_eq!(own.cells, 2);
        assert!((own.statistic - (4.0 / 96.0 + 4.0 / 4.0)).abs() < 1e-12);
        assert_eq!(found(&[(0, 94), (3, 6)], &law).p_value, 0.0);
        assert_eq!(found(&[(0, 100)], &[(0, 1.0), (1, 0.0)]).p_value, 1.0);
    }
}
