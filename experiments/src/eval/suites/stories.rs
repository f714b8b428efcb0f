//! HellaSwag (Zellers et al., 1905.07830) and SWAG (1808.05326): how a scene goes on.

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::item::{Label, Prompt};
use super::python::{capitalized, is_space, without_brackets};
use super::{HubData, Item, Measure, QuestionSuite, row};

/// HellaSwag.
pub(super) static HELLASWAG: QuestionSuite = QuestionSuite {
    name: "hellaswag",
    about: "how a scene or a set of instructions goes on",
    data: HubData { dataset: "Rowan/hellaswag", configuration: None, split: "validation" },
    form: "a row of HellaSwag has `activity_label`, `ctx_a`, `ctx_b`, `endings` and `label`, as in \
           Rowan/hellaswag; or `query`, `choices` and `gold`, cleaned up already",
    measure: Measure::AccuracyAndNormed,
    item: scene,
};

/// SWAG.
pub(super) static SWAG: QuestionSuite = QuestionSuite {
    name: "swag",
    about: "how a scene goes on",
    data: HubData { dataset: "allenai/swag", configuration: Some("regular"), split: "validation" },
    form: "a row of SWAG has `startphrase`, `ending0` to `ending3` and `label`, as in allenai/swag",
    measure: Measure::AccuracyAndNormed,
    item: phrase,
};

#[derive(Deserialize)]
struct Scene {
    activity_label: String,
    ctx_a: String,
    ctx_b: String,
    endings: Vec<String>,
    label: Label,
}

fn scene(value: Value) -> Result<Item> {
    if value.get("query").is_some() {
        let Prompt { query, choices, gold } = row(value)?;
        return Item::choices(query, &choices, gold);
    }
    let Scene { activity_label, ctx_a, ctx_b, endings, label } = row(value)?;
    let context = clean(&format!("{activity_label}: {ctx_a} {}", capitalized(&ctx_b)));
    let endings: Vec<String> = endings.iter().map(|ending| clean(ending)).collect();
    Item::choices(context, &endings, label.place(0)?)
}

/// Without the marks of the texts of WikiHow.
fn clean(text: &str) -> String {
    let text = text.trim_matches(is_space).replace(" [title]", ". ");
    without_brackets(&text).replace("  ", " ")
}

#[derive(Deserialize)]
struct Phrase {
    startphrase: String,
    ending0: String,
    ending1: String,
    ending2: String,
    ending3: String,
    label: Label,
}

fn phrase(value: Value) -> Result<Item> {
    let Phrase { startphrase, ending0, ending1, ending2, ending3, label } = row(value)?;
    Item::choices(startphrase, &[ending0, ending1, ending2, ending3], label.place(0)?)
}
