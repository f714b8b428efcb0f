//! Two tasks of SuperGLUE (Wang et al., 1905.00537): BoolQ, questions about a passage, and COPA, causes
//! and effects.

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::item::Label;
use super::python::is_space;
use super::{HubData, Item, Measure, QuestionSuite, row};

const fn data(configuration: &'static str) -> HubData {
    let configuration = Some(configuration);
    HubData { dataset: "aps/super_glue", configuration, split: "validation" }
}

/// BoolQ (Clark et al., 1905.10044).
pub(super) static BOOLQ: QuestionSuite = QuestionSuite {
    name: "boolq",
    about: "yes or no about a passage",
    data: data("boolq"),
    form: "a row of BoolQ has `passage`, `question` and `label`, as in aps/super_glue, or `answer` for \
           the latter",
    measure: Measure::Accuracy,
    item: passage,
};

/// COPA (Roemmele et al., 2011).
pub(super) static COPA: QuestionSuite = QuestionSuite {
    name: "copa",
    about: "what caused a thing, or what it causes",
    data: data("copa"),
    form: "a row of COPA has `premise`, `choice1`, `choice2`, `question` (\"cause\" or \"effect\") and \
           `label`, as in aps/super_glue",
    measure: Measure::Accuracy,
    item: premise,
};

#[derive(Deserialize)]
struct Reading {
    passage: String,
    question: String,
    #[serde(alias = "answer")]
    label: Label,
}

fn passage(value: Value) -> Result<Item> {
    let Reading { passage, question, label } = row(value)?;
    let context = format!("{passage}\nQuestion: {question}?\nAnswer:");
    Item::choices(context, &["no", "yes"], label.place(0)?)
}

#[derive(Deserialize)]
struct Event {
    premise: String,
    choice1: String,
    choice2: String,
    question: Relation,
    label: Label,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Relation {
    Cause,
    Effect,
}

/// The period goes, and the connective comes. The answers have two spaces before them, one of which is
/// theirs.
fn premise(value: Value) -> Result<Item> {
    let Event { premise, choice1, choice2, question, label } = row(value)?;
    let mut context = premise.trim_matches(is_space).to_owned();
    context.pop();
    context += match question {
        Relation::Cause => " because",
        Relation::Effect => " therefore",
    };
    let choices = [choice1, choice2].map(|choice| {
        let mut rest = choice.chars();
        let first: String = rest.next().into_iter().flat_map(char::to_lowercase).collect();
        format!(" {first}{}", rest.as_str())
    });
    Item::choices(context, &choices, label.place(0)?)
}
