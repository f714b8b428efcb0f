//! What is counted of answered questions: accuracy, the same by log-likelihoods a character, perplexity
//! of a last word, and their errors. Standard errors are those of lm-evaluation-harness; intervals are
//! those of Clopper and Pearson and of the bootstrap. Knows no question.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::accuracy::{Share, Tally, mean};
use super::suites::Measure;
use crate::report::markdown::grid;
use crate::report::whole;
use crate::statistics::{Clusters, Interval, Quotient, Resampling, clopper_pearson, intervals};

/// Questions times resamples, at most, as long as a thousand resamples are left.
const DRAWS: usize = 100_000_000;

/// A question as it was answered.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The part of the suite.
    pub group: Option<&'static str>,
    /// Answers to choose from.
    pub answers: usize,
    /// Whether it is right.
    pub acc: bool,
    /// Whether it is right where log-likelihoods are divided by characters.
    pub acc_norm: Option<bool>,
    /// Answers that were encoded alone.
    pub encoded_alone: usize,
    /// Of the first answer.
    pub log_likelihood: f64,
}

/// A figure with its standard error and its 95 % interval, where there are enough questions to tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// Of the value.
    pub standard_error: Option<f64>,
    /// Where the interval begins.
    pub low: Option<f64>,
    /// Where it ends.
    pub high: Option<f64>,
}

/// Questions that belong together.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// How many questions.
    pub questions: usize,
    /// The share of right answers.
    pub acc: Figure,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// How many questions.
    pub questions: usize,
    /// The share of right answers.
    pub acc: Figure,
    /// The same by log-likelihoods a character.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acc_norm: Option<Figure>,
    /// Of the continuations, each as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<Figure>,
    /// The share that guessing gets; none where there is nothing to choose from.
    pub chance: Option<f64>,
    /// Answers without ids of their own behind their contexts, which were encoded alone; the harness would
    /// stop at them.
    pub encoded_alone: usize,
    /// Parts, in the order of the questions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
}

impl Figures {
    /// Of answered questions.
    pub fn of(outcomes: &[Outcome], measure: Measure, seed: u64) -> Self {
        let count = outcomes.len().max(1) as f64;
        let chances = outcomes.iter().map(|own| 1.0 / own.answers as f64);
        let normed: Option<Vec<bool>> = outcomes.iter().map(|own| own.acc_norm).collect();
        let logs: Vec<f64> = outcomes.iter().map(|own| own.log_likelihood).collect();
        let groups = groups(outcomes);
        let mut acc = Figure::share(tally(outcomes.iter().map(|own| own.acc)));
        if groups.len() > 1 {
            acc = Figure::mean(outcomes, &groups, seed);
        }
        Self {
            questions: outcomes.len(),
            acc,
            acc_norm: normed.map(|normed| Figure::share(tally(normed))),
            perplexity: (measure == Measure::Word).then(|| Figure::perplexity(&logs, seed)),
            chance: (measure != Measure::Word).then(|| chances.sum::<f64>() / count),
            encoded_alone: outcomes.iter().map(|own| own.encoded_alone).sum(),
            groups: groups.into_iter().map(Group::from).collect(),
        }
    }
}

fn tally(answers: impl IntoIterator<Item = bool>) -> Tally {
    let mut tally = Tally::default();
    answers.into_iter().for_each(|is_right| tally.add(is_right));
    tally
}

fn groups(outcomes: &[Outcome]) -> Vec<(&'static str, Tally)> {
    let mut groups: Vec<(&'static str, Tally)> = Vec::new();
    for outcome in outcomes {
        let Some(name) = outcome.group else { continue };
        match groups.iter_mut().find(|(own, _)| *own == name) {
            Some((_, tally)) => tally.add(outcome.acc),
            None => groups.push((name, tally([outcome.acc]))),
        }
    }
    groups
}

impl From<(&'static str, Tally)> for Group {
    fn from((name, tally): (&'static str, Tally)) -> Self {
        Self { name, questions: tally.count, acc: Figure::share(tally) }
    }
}

impl Figure {
    fn new(share: Share, interval: Option<Interval>) -> Self {
        Self {
            value: share.value,
            standard_error: share.standard_error,
            low: interval.map(|own| own.low),
            high: interval.map(|own| own.high),
        }
    }

    fn share(tally: Tally) -> Self {
        let interval = clopper_pearson(tally.correct as u64, tally.count as u64);
        Self::new(tally.share(), interval)
    }

    /// The mean over groups, which count alike.
    fn mean(outcomes: &[Outcome], groups: &[(&'static str, Tally)], seed: u64) -> Self {
        let tallies: Vec<Tally> = groups.iter().map(|(_, tally)| *tally).collect();
        let size = |name: Option<&str>| {
            let own = groups.iter().find(|(own, _)| Some(*own) == name);
            own.map_or(1, |(_, tally)| tally.count)
        };
        // Each question weighs so much that all groups count alike.
        let row = |own: &Outcome| {
            let weight = 1.0 / size(own.group) as f64;
            (own.group.unwrap_or_default().to_owned(), vec![f64::from(own.acc) * weight, weight])
        };
        Self::new(mean(&tallies), bootstrap(outcomes.iter().map(row), outcomes.len(), seed))
    }

    /// exp(−mean of log-likelihoods). Its standard error is the deviation over resamples.
    fn perplexity(logs: &[f64], seed: u64) -> Self {
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        let interval =
            bootstrap(logs.iter().map(|&log| (String::new(), vec![log, 1.0])), logs.len(), seed);
        // A larger log-likelihood is a smaller perplexity.
        let interval =
            interval.map(|own| Interval { low: (-own.high).exp(), high: (-own.low).exp() });
        Self::new(Share { value: (-mean).exp(), standard_error: deviation(logs, seed) }, interval)
    }
}

fn resamples(count: usize) -> usize {
    (DRAWS / count.max(1)).clamp(1_000, 10_000)
}

/// The interval of the ratio of two columns' sums.
fn bootstrap(
    rows: impl Iterator<Item = (String, Vec<f64>)>,
    count: usize,
    seed: u64,
) -> Option<Interval> {
    let resampling = Resampling { resamples: resamples(count), seed };
    let clusters = Clusters::new(rows);
    intervals(&clusters, &[Quotient::ratio(0, 1)], resampling, "questions").into_iter().next()?
}

/// The standard deviation of the perplexity over resamples of the questions.
fn deviation(logs: &[f64], seed: u64) -> Option<f64> {
    if logs.len() < 2 {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut resample = || {
        let draw = |_| logs[((u64::from(random.next_u32()) * logs.len() as u64) >> 32) as usize];
        (-(0..logs.len()).map(draw).sum::<f64>() / logs.len() as f64).exp()
    };
    let values: Vec<f64> = (0..resamples(logs.len())).map(|_| resample()).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// A row of a table of figures.
pub(super) fn cells(name: &str, count: usize, figure: Figure, is_share: bool) -> [String; 5] {
    let scale = if is_share { 100.0 } else { 1.0 };
    let number = |value: f64| format!("{:.2}", scale * value);
    let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
    let interval = match (figure.low, figure.high) {
        (Some(low), Some(high)) => format!("[{}, {}]", number(low), number(high)),
        _ => "-".to_owned(),
    };
    let value = number(figure.value) + if is_share { " %" } else { "" };
    [name.to_owned(), whole(count as u64), value, optional(figure.standard_error), interval]
}

impl Figures {
    /// Its figures by name, and whether each is a share.
    pub fn rows(&self) -> Vec<(&'static str, Figure, bool)> {
        let normed = self.acc_norm.map(|own| ("acc_norm", own, true));
        let perplexity = self.perplexity.map(|own| ("perplexity", own, false));
        [Some(("acc", self.acc, true)), normed, perplexity].into_iter().flatten().collect()
    }

    /// As Markdown tables.
    pub fn tables(&self) -> Vec<String> {
        let own = |(name, figure, is_share)| cells(name, self.questions, figure, is_share);
        let mut rows: Vec<[String; 5]> = self.rows().into_iter().map(own).collect();
        rows.extend(self.groups.iter().map(|own| cells(own.name, own.questions, own.acc, true)));
        let names = ["", "questions", "value", "standard error", "95 %"];
        let mut lines = grid(&names, &[false, true, true, true, true], rows);
        if let Some(chance) = self.chance {
            lines.extend([String::new(), format!("Guessing gets {:.2} %.", 100.0 * chance)]);
        }
        if self.encoded_alone > 0 {
            let count = whole(self.encoded_alone as u64);
            let text =
                "answers have no ids of their own behind their contexts, and were encoded alone.";
            lines.extend([String::new(), format!("{count} {text}")]);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(group: Option<&'static str>, acc: bool, log_likelihood: f64) -> Outcome {
        Outcome { group, answers: 4, acc, acc_norm: Some(!acc), encoded_alone: 0, log_likelihood }
    }

    #[test]
    fn a_perplexity_has_the_error_of_its_bootstrap() {
        let outcomes: Vec<Outcome> =
            (0..40).map(|own| outcome(None, own % 4 == 0, -f64::from(own % 7) / 3.0)).collect();
        let figures = Figures::of(&outcomes, Measure::Word, 0);
        let logs: Vec<f64> = outcomes.iter().map(|own| own.log_likelihood).collect();
        let mean = logs.iter().sum::<f64>() / 40.0;
        let spread = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / 39.0;
        let found = figures.perplexity.unwrap();
        assert!((found.value - (-mean).exp()).abs() < 1e-12);
        // To first order, exp(-mean) times the error of the mean.
        let expected = (-mean).exp() * (spread / 40.0).sqrt();
        assert!((found.standard_error.unwrap() / expected - 1.0).abs() < 0.05, "{found:?}");
        assert!(found.low.unwrap() < found.value && found.value < found.high.unwrap());
        assert_eq!((figures.acc.value, figures.acc_norm.unwrap().value), (0.25, 0.75));
        assert_eq!(figures.chance, None);
    }

    #[test]
    fn groups_count_alike() {
        let outcomes: Vec<Outcome> = (0..60)
            .map(|own| {
                outcome(Some(if own < 20 { "a" } else { "b" }), own % 2 == 0 || own < 20, 0.0)
            })
            .collect();
        let figures = Figures::of(&outcomes, Measure::Accuracy, 0);
        assert!((figures.acc.value - 0.75).abs() < 1e-12 && figures.groups.len() == 2);
        assert!(figures.acc.low.unwrap() < 0.75 && 0.75 < figures.acc.high.unwrap());
        assert_eq!(figures.chance, Some(0.25));
        assert!(figures.tables().iter().any(|line| line.starts_with("| b | 40 | 50.00 % |")));
    }
}
