//! Asking: the questions of any suite become requests, a model answers them, and the answers become
//! records and figures. Knows no suite and no file of data.

use anyhow::{Result, bail};
use serde::Serialize;

use super::choice::{Answer, Question, answer};
use super::request::Encoder;
use super::score_table::{Figures, Outcome};
use super::scorer::Scorer;
use super::suites::{Item, Measure, QuestionSuite, arithmark};
use super::{Found, Records, Text};
use crate::data::objects;
use crate::data::source::Source;
use crate::printer::Printer;
use crate::source::Described;

/// A line of `records.jsonl`.
#[derive(Debug, Serialize)]
struct Record<'a> {
    suite: &'static str,
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'static str>,
    /// One, or one for each answer.
    contexts: &'a [String],
    /// One for each answer, or one.
    continuations: &'a [String],
    /// Of each answer.
    log_likelihoods: Vec<f64>,
    /// How many ids of each answer were scored.
    tokens: &'a [usize],
    /// Whether each answer is what greedy decoding gives.
    greedy: Vec<bool>,
    gold: usize,
    answer: usize,
    acc: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_norm: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acc_norm: Option<bool>,
    /// How many answers were encoded alone, for they have no ids of their own behind the context.
    encoded_alone: usize,
}

/// Questions to be asked, and what is counted.
#[derive(Debug)]
pub struct Asked {
    suite: &'static str,
    measure: Measure,
    items: Vec<Item>,
}

impl Asked {
    /// The questions of a suite's data.
    pub fn read(
        suite: &'static QuestionSuite,
        data: &Source,
        limit: Option<usize>,
    ) -> Result<Self> {
        let mut items: Vec<Item> = Vec::new();
        let limit = limit.unwrap_or(usize::MAX);
        for file in &data.files {
            if items.len() < limit {
                let make = |place: &str, value| {
                    (suite.item)(value).map(|item| Item { place: place.to_owned(), ..item })
                };
                items.extend(objects::read_with(file, suite.form, make)?);
            }
        }
        items.truncate(limit);
        if items.is_empty() {
            bail!("the data {} holds no question; {}", data.name, suite.form);
        }
        Ok(Self { suite: suite.name, measure: suite.measure, items })
    }

    /// Sums that are made from a seed; the limit is of those of each number of operations.
    pub fn sums(seed: u64, limit: Option<usize>) -> Self {
        let each = limit.unwrap_or(arithmark::EACH).min(arithmark::EACH);
        let items = arithmark::items(seed, each);
        Self { suite: arithmark::NAME, measure: Measure::Accuracy, items }
    }

    /// Lets a model answer.
    pub fn evaluate(
        &self,
        model: &Described,
        scorer: &mut Scorer,
        seed: u64,
        printer: &Printer,
    ) -> Result<Found> {
        let encoder = Encoder::new(model, Scorer::context_of(&model.config.shape))?;
        let questions: Vec<Question> = self.items.iter().map(|item| self.question(item)).collect();
        let answers = answer(&questions, &encoder, scorer, printer)?;
        let (mut records, mut text) = (Records::default(), Text::default());
        let mut outcomes = Vec::new();
        for (index, (item, answer)) in self.items.iter().zip(&answers).enumerate() {
            let record = self.record(index, item, answer);
            records.add(&record)?;
            outcomes.push(Outcome {
                group: item.group,
                answers: item.count(),
                acc: record.acc,
                acc_norm: record.acc_norm,
                encoded_alone: record.encoded_alone,
                log_likelihood: answer.scores.first().map_or(0.0, |score| score.log_likelihood),
            });
            item.contexts.iter().chain(&item.continuations).for_each(|own| text.add(own));
        }
        let figures = Figures::of(&outcomes, self.measure, seed);
        Ok(Found { figures: super::Figures::Questions(figures), records, text })
    }

    fn question(&self, item: &Item) -> Question {
        let is_normed = self.measure == Measure::AccuracyAndNormed;
        Question {
            name: item.place.clone(),
            requests: item.requests(),
            lengths: if is_normed { item.lengths.clone() } else { Vec::new() },
            gold: item.gold,
        }
    }

    fn record<'a>(&self, index: usize, item: &'a Item, answer: &'a Answer) -> Record<'a> {
        let is_right = match self.measure {
            Measure::Word => answer.scores.iter().all(|score| score.greedy),
            Measure::Accuracy | Measure::AccuracyAndNormed => answer.correct,
        };
        Record {
            suite: self.suite,
            index,
            group: item.group,
            contexts: &item.contexts,
            continuations: &item.continuations,
            log_likelihoods: answer.scores.iter().map(|score| score.log_likelihood).collect(),
            tokens: &answer.tokens,
            greedy: answer.scores.iter().map(|score| score.greedy).collect(),
            gold: item.gold,
            answer: answer.chosen,
            acc: is_right,
            answer_norm: answer.chosen_normed,
            acc_norm: answer.chosen_normed.map(|chosen| chosen == item.gold),
            encoded_alone: answer.apart,
        }
    }
}
