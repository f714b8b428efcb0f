//! Goodness of fit of counted outcomes to an enumerated law.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Cells that are expected to be rarer than this are pooled.
const FEWEST_EXPECTED: f64 = 5.0;

/// The p-value of `counts` under `law`. An outcome that the law excludes gives 0.
pub fn p_value<T: Eq + Hash, S: BuildHasher>(
    counts: &HashMap<T, u64, S>,
    law: &HashMap<T, f64, S>,
) -> f64 {
    if counts.keys().any(|outcome| law.get(outcome).is_none_or(|&p| p <= 0.0)) {
        return 0.0;
    }
    let total: u64 = counts.values().sum();
    let (mut statistic, mut cells) = (0.0, 0);
    let (mut rare_expected, mut rare_seen) = (0.0, 0.0);
    let mut add = |expected: f64, seen: f64| {
        statistic += (seen - expected).powi(2) / expected;
        cells += 1;
    };
    for (outcome, p) in law {
        let (expected, seen) = (p * total as f64, counts.get(outcome).copied().unwrap_or(0) as f64);
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
    let freedom = f64::from(cells - 1).max(1.0);
    ChiSquared::new(freedom).unwrap().sf(statistic)
}
