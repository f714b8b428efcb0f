//! ARC (Clark et al., 1803.05457) and OpenBookQA (Mihaylov et al., 1809.02789): questions of school
//! science, with labelled answers.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::item::Prompt;
use super::python::is_space;
use super::{HubData, Item, Measure, QuestionSuite, row};

const ARC: &str = "a row of ARC has `question`, `choices` with `text` and `label`, and `answerKey`, as in \
                   allenai/ai2_arc; or `query` (\"Question: …\"), `choices` and `gold`";

const fn arc(name: &'static str, about: &'static str, part: &'static str) -> QuestionSuite {
    let data = HubData { dataset: "allenai/ai2_arc", configuration: Some(part), split: "test" };
    let measure = Measure::AccuracyAndNormed;
    QuestionSuite { name, about, data, form: ARC, measure, item: question }
}

/// The easy part of ARC.
pub(super) static ARC_EASY: QuestionSuite =
    arc("arc-easy", "questions of school science", "ARC-Easy");

/// The part that word statistics do not answer.
pub(super) static ARC_CHALLENGE: QuestionSuite =
    arc("arc-challenge", "harder questions of school science", "ARC-Challenge");

/// OpenBookQA without its book.
pub(super) static OPENBOOKQA: QuestionSuite = QuestionSuite {
    name: "openbookqa",
    about: "sentences of school science to be ended",
    data: HubData { dataset: "allenai/openbookqa", configuration: Some("main"), split: "test" },
    form: "a row of OpenBookQA has `question_stem`, `choices` with `text` and `label`, and `answerKey`, \
           as in allenai/openbookqa; or `query`, `choices` and `gold`",
    measure: Measure::AccuracyAndNormed,
    item: stem,
};

#[derive(Deserialize)]
struct Row {
    #[serde(alias = "question_stem")]
    question: String,
    choices: Choices,
    #[serde(rename = "answerKey")]
    answer: String,
}

#[derive(Deserialize)]
struct Choices {
    text: Vec<String>,
    label: Vec<String>,
}

impl Row {
    fn item(self, context: impl Fn(&str) -> String) -> Result<Item> {
        let answer = self.answer.trim_start_matches(is_space);
        let gold = self.choices.label.iter().position(|label| label == answer);
        let gold = gold.with_context(|| {
            format!("no answer is labelled \"{answer}\"; a split without answers cannot be scored")
        })?;
        Item::choices(context(&self.question), &self.choices.text, gold)
    }
}

fn question(value: Value) -> Result<Item> {
    let context = |question: &str| format!("Question: {question}\nAnswer:");
    if value.get("query").is_some() {
        let Prompt { query, choices, gold } = row(value)?;
        let question =
            query.strip_prefix("Question: ").context("`query` asks no \"Question: …\"")?;
        return Item::choices(context(question), &choices, gold);
    }
    row::<Row>(value)?.item(context)
}

fn stem(value: Value) -> Result<Item> {
    if value.get("query").is_some() {
        let Prompt { query, choices, gold } = row(value)?;
        return Item::choices(query, &choices, gold);
    }
    row::<Row>(value)?.item(str::to_owned)
}
