//! LAMBADA (Paperno et al., 1606.06031) in OpenAI's form: the last word of a passage.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::{HubData, Item, Measure, QuestionSuite, row};

/// LAMBADA.
pub(super) static LAMBADA: QuestionSuite = QuestionSuite {
    name: "lambada",
    about: "the last word of a passage, and its perplexity",
    data: HubData {
        dataset: "EleutherAI/lambada_openai",
        configuration: Some("default"),
        split: "test",
    },
    form: "a row of LAMBADA has `text`, as in EleutherAI/lambada_openai; or `context` and `continuation`",
    measure: Measure::Word,
    item,
};

#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    Whole { text: String },
    Parts { context: String, continuation: String },
}

fn item(value: Value) -> Result<Item> {
    let text = match row(value).context("neither `text` nor `context` and `continuation`")? {
        Row::Whole { text } => text,
        Row::Parts { context, continuation } => format!("{context} {continuation}"),
    };
    let (context, word) = text.rsplit_once(' ').unwrap_or(("", &text));
    Item::choices(context.to_owned(), &[word], 0)
}
