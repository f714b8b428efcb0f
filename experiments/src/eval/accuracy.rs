//! Shares of right answers and their standard errors, as lm-evaluation-harness computes them. Pure
//! arithmetic; knows no question.

use serde::Serialize;

/// Right answers among some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers.
    pub count: usize,
    /// Right ones.
    pub correct: usize,
}

/// A share and its standard error, where there are enough answers to tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Between 0 and 1.
    pub value: f64,
    /// Of the value.
    pub standard_error: Option<f64>,
}

impl Tally {
    /// Counts an answer.
    pub fn add(&mut self, correct: bool) {
        self.count += 1;
        self.correct += usize::from(correct);
    }

    /// The share of right answers p, with √(p (1 − p) / (n − 1)).
    pub fn share(self) -> Share {
        let count = self.count as f64;
        let value = self.correct as f64 / count.max(1.0);
        let error = (value * (1.0 - value) / (count - 1.0)).sqrt();
        Share { value, standard_error: (self.count > 1).then_some(error) }
    }
}

/// The mean of shares that count alike, with √(Σ s²) / k.
pub fn mean(tallies: &[Tally]) -> Share {
    let count = tallies.len().max(1) as f64;
    let shares: Vec<Share> = tallies.iter().map(|tally| tally.share()).collect();
    let squares = shares.iter().map(|share| share.standard_error.map(|error| error * error));
    let squares: Option<f64> = squares.sum();
    Share {
        value: shares.iter().map(|share| share.value).sum::<f64>() / count,
        standard_error: squares.map(|squares| squares.sqrt() / count),
    }
}

/// The share of right answers of all tallies together, with the pooled standard error
/// √(Σ (n − 1) n s² / (N − k) / N).
pub fn pooled(tallies: &[Tally]) -> Share {
    let sum = |part: fn(&Tally) -> usize| tallies.iter().map(part).sum::<usize>() as f64;
    let (all, correct) = (sum(|tally| tally.count), sum(|tally| tally.correct));
    let squares = tallies.iter().map(|tally| {
        let count = tally.count as f64;
        tally.share().standard_error.map(|error| (count - 1.0) * count * error * error)
    });
    let squares: Option<f64> = squares.sum();
    Share {
        value: correct / all.max(1.0),
        standard_error: squares
            .map(|squares| (squares / (all - tallies.len() as f64) / all).sqrt()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALLIES: [Tally; 2] = [Tally { count: 5, correct: 4 }, Tally { count: 11, correct: 3 }];

    fn near(found: Share, value: f64, error: f64) {
        assert!((found.value - value).abs() < 1e-12, "{found:?}");
        assert!((found.standard_error.unwrap() - error).abs() < 1e-12, "{found:?}");
    }

    /// By lm-eval 0.4.13: `mean_stderr`, `unweighted_mean_stderr`, `pooled_sample_stderr`.
    #[test]
    fn errors_are_those_of_the_harness() {
        near(TALLIES[0].share(), 0.8, 0.2);
        near(mean(&TALLIES), 0.4 + 1.5 / 11.0, 0.122_305_673_155_215_54);
        near(pooled(&TALLIES), 7.0 / 16.0, 0.115_376_290_075_943_72);
    }

    #[test]
    fn one_answer_tells_no_error() {
        let one = Tally { count: 1, correct: 1 };
        assert_eq!(one.share(), Share { value: 1.0, standard_error: None });
        assert_eq!(mean(&[one, TALLIES[0]]).standard_error, None);
        assert_eq!(pooled(&[one, TALLIES[0]]).standard_error, None);
    }
}
