//! SciQ (Welbl et al., 1707.06209): questions of science behind a text that mostly answers them.

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::python::is_space;
use super::{HubData, Item, Measure, QuestionSuite, row};

/// SciQ.
pub(super) static SCIQ: QuestionSuite = QuestionSuite {
    name: "sciq",
    about: "questions of science behind a text",
    data: HubData { dataset: "allenai/sciq", configuration: None, split: "test" },
    form: "a row of SciQ has `support`, `question`, `distractor1` to `distractor3` and \
           `correct_answer`, as in allenai/sciq",
    measure: Measure::AccuracyAndNormed,
    item,
};

#[derive(Deserialize)]
struct Row {
    support: String,
    question: String,
    distractor1: String,
    distractor2: String,
    distractor3: String,
    correct_answer: String,
}

fn item(value: Value) -> Result<Item> {
    let own: Row = row(value)?;
    let support = own.support.trim_start_matches(is_space);
    let context = format!("{support}\nQuestion: {}\nAnswer:", own.question);
    let choices = [own.distractor1, own.distractor2, own.distractor3, own.correct_answer];
    Item::choices(context, &choices, 3)
}
