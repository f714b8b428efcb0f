//! Learning rates by step. Pure numbers.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate rises and falls. A factor of the highest rate, by the number of steps done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Linear warm-up, then half a cosine down to 0 at the end (Loshchilov & Hutter, 1608.03983).
    Cosine {
        /// Steps of warm-up.
        warmup: u64,
    },
    /// Linear warm-up, a plateau, and a linear decay down to 0 at the end (warm-up–stable–decay,
    /// 2404.06395).
    WarmupStableDecay {
        /// Steps of warm-up.
        warmup: u64,
        /// Steps of decay.
        decay: u64,
    },
    /// Linear warm-up, then no change.
    Constant {
        /// Steps of warm-up.
        warmup: u64,
    },
}

impl Schedule {
    /// The factor for the step behind `done` steps, of `total`. As in transformers, the first step
    /// of a warm-up has factor 0.
    pub fn factor(self, done: u64, total: u64) -> f64 {
        let warmup = match self {
            Self::Cosine { warmup }
            | Self::WarmupStableDecay { warmup, .. }
            | Self::Constant { warmup } => warmup,
        };
        if done < warmup {
            return done as f64 / warmup as f64;
        }
        match self {
            Self::Constant { .. } => 1.0,
            Self::Cosine { .. } => {
                let progress = (done - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
                (0.5 * (1.0 + (PI * progress.min(1.0)).cos())).max(0.0)
            }
            Self::WarmupStableDecay { decay, .. } => {
                let left = total.saturating_sub(done);
                if left >= decay { 1.0 } else { left as f64 / decay as f64 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_is_that_of_transformers() {
        // transformers' get_cosine_schedule_with_warmup(10 of 110 steps).
        let schedule = Schedule::Cosine { warmup: 10 };
        let at = |done| schedule.factor(done, 110);
        assert_eq!((at(0), at(5), at(10)), (0.0, 0.5, 1.0));
        assert!((at(60) - 0.5).abs() < 1e-12 && at(110).abs() < 1e-12 && at(200).abs() < 1e-12);
        assert!((at(35) - 0.853_553_390_593_273_8).abs() < 1e-12);
    }

    #[test]
    fn a_plateau_ends_in_a_straight_line() {
        let schedule = Schedule::WarmupStableDecay { warmup: 10, decay: 30 };
        let at = |done| schedule.factor(done, 100);
        assert_eq!((at(9), at(10), at(70)), (0.9, 1.0, 1.0));
        assert_eq!((at(85), at(100), at(120)), (0.5, 0.0, 0.0));
    }
}
