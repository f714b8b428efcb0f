//! The exact interval of Clopper and Pearson for a share of independent items. It is for prompts
//! and test items only; tokens of one text depend on each other and need the bootstrap.

use statrs::distribution::{Beta, ContinuousCDF};

use super::{CONFIDENCE, Interval};

/// The interval of Clopper and Pearson (Biometrika 26, 1934) for `successes` among `trials`
/// independent items, or `None` without items or with more successes than items.
///
/// With confidence 1 − α, s successes of n: `low` is the α/2 quantile of Beta(s, n − s + 1) and
/// `high` the 1 − α/2 quantile of Beta(s + 1, n − s), 0 and 1 at the ends.
pub fn clopper_pearson(successes: u64, trials: u64) -> Option<Interval> {
    let failures = trials.checked_sub(successes)?;
    if trials == 0 {
        return None;
    }
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let (successes, failures) = (successes as f64, failures as f64);
    let low = match successes {
        0.0 => 0.0,
        _ => Beta::new(successes, failures + 1.0).ok()?.inverse_cdf(tail),
    };
    let high = match failures {
        0.0 => 1.0,
        _ => Beta::new(successes + 1.0, failures).ok()?.inverse_cdf(1.0 - tail),
    };
    Some(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// R 4: `binom.test(5, 10)$conf.int` is 0.1871 to 0.8129. The digits are of `scipy` 1.17.1:
    /// `scipy.stats.binomtest(s, n).proportion_ci(0.95, "exact")`.
    #[test]
    fn known_values() {
        let known = [
            (5, 10, 0.187_086_028_447, 0.812_913_971_553),
            (35, 36, 0.854_710_735_253, 0.999_296_974_794),
            (1, 7, 0.003_610_296_862, 0.578_723_197_043),
            (412, 480, 0.823_889_228_603, 0.888_282_130_324),
        ];
        for (successes, trials, low, high) in known {
            let found = clopper_pearson(successes, trials).expect("items");
            assert!((found.low - low).abs() < 1e-9, "{successes}/{trials}: {found:?}");
            assert!((found.high - high).abs() < 1e-9, "{successes}/{trials}: {found:?}");
        }
    }

    #[test]
    fn ends_are_exact() {
        let none = clopper_pearson(0, 20).expect("items");
        assert_eq!(none.low, 0.0);
        assert!((none.high - (1.0 - 0.025_f64.powf(1.0 / 20.0))).abs() < 1e-9);
        let all = clopper_pearson(36, 36).expect("items");
        assert!((all.low - 0.025_f64.powf(1.0 / 36.0)).abs() < 1e-9);
        assert_eq!(all.high, 1.0);
    }

    #[test]
    fn nothing_to_judge() {
        assert_eq!(clopper_pearson(0, 0), None);
        assert_eq!(clopper_pearson(3, 2), None);
    }

    proptest! {
        #[test]
        fn bounds_enclose_the_share(trials in 1_u64..2_000, part in 0.0..=1.0_f64) {
            let successes = (part * trials as f64).round() as u64;
            let share = successes as f64 / trials as f64;
            let found = clopper_pearson(successes, trials).expect("items");
            prop_assert!(0.0 <= found.low && found.low <= share);
            prop_assert!(share <= found.high && found.high <= 1.0);
        }
    }
}
