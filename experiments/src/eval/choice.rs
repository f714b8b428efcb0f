//! Questions with several answers: each answer is a request, and the most probable one is chosen, as
//! lm-evaluation-harness does in its `multiple_choice` tasks. Knows no suite.

use anyhow::{Context, Result};
use draft::model::{Passage, Score};
use rayon::prelude::*;

use super::request::{Encoded, Encoder, Request};
use super::scorer::Scorer;
use crate::printer::Printer;

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// What it is called in messages.
    pub name: String,
    /// One for each answer.
    pub requests: Vec<Request>,
    /// Characters of each answer, where log-likelihoods are also divided by these; else empty.
    pub lengths: Vec<usize>,
    /// The place of the right answer.
    pub gold: usize,
}

/// What a model answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The score of each answer.
    pub scores: Vec<Score>,
    /// How many ids of each were scored.
    pub tokens: Vec<usize>,
    /// The most probable one.
    pub chosen: usize,
    /// The one with the greatest log-likelihood a character, where lengths are given.
    pub chosen_normed: Option<usize>,
    /// Whether the most probable one is right.
    pub correct: bool,
    /// How many answers were encoded alone ([`Encoded::is_apart`]).
    pub apart: usize,
}

/// Lets a model answer.
pub fn answer(
    questions: &[Question],
    encoder: &Encoder<'_>,
    scorer: &mut Scorer,
    printer: &Printer,
) -> Result<Vec<Answer>> {
    let encoded: Vec<Encoded> = questions
        .par_iter()
        .flat_map_iter(|question| question.requests.iter().map(move |own| (question, own)))
        .map(|(question, own)| encoder.encode(own).with_context(|| question.name.clone()))
        .collect::<Result<_>>()?;
    let passages: Vec<Passage<'_>> = encoded.iter().map(Encoded::passage).collect();
    let mut bar = printer.progress(passages.len() as u64, "scoring");
    let scores = scorer.score(&passages, &mut |count| bar.advance_by(count))?;
    bar.finish();
    let mut scored = scores.iter().zip(&passages);
    let mut encoded = encoded.iter();
    let answers = questions.iter().map(|question| {
        let count = question.requests.len();
        let own: Vec<(&Score, &Passage<'_>)> = scored.by_ref().take(count).collect();
        let apart = encoded.by_ref().take(count).filter(|own| own.is_apart).count();
        let logs: Vec<f64> = own.iter().map(|(score, _)| score.log_likelihood).collect();
        let lengths = question.lengths.iter();
        let normed: Vec<f64> =
            logs.iter().zip(lengths).map(|(log, &own)| log / own as f64).collect();
        let chosen = best(&logs).unwrap_or_default();
        Answer {
            scores: own.iter().map(|(score, _)| **score).collect(),
            tokens: own.iter().map(|(_, passage)| passage.scored().len()).collect(),
            chosen,
            chosen_normed: best(&normed),
            correct: chosen == question.gold,
            apart,
        }
    });
    Ok(answers.collect())
}

/// The place of the greatest number, the first of equals, as numpy's `argmax`.
fn best(values: &[f64]) -> Option<usize> {
    let first_greatest = |best: usize, (place, value): (usize, &f64)| {
        if *value > values[best] { place } else { best }
    };
    (!values.is_empty()).then(|| values.iter().enumerate().fold(0, first_greatest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_best() {
        assert_eq!(best(&[-3.0, -1.0, -1.0]), Some(1));
        assert_eq!(best(&[-1.0, -1.0]), Some(0));
        assert_eq!(best(&[]), None);
    }
}
