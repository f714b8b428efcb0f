//! PIQA (Bisk et al., 1911.11641): which of two ways to do a thing works.

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::item::Label;
use super::{HubData, Item, Measure, QuestionSuite, row};

/// PIQA.
pub(super) static PIQA: QuestionSuite = QuestionSuite {
    name: "piqa",
    about: "which of two ways to do a thing works",
    data: HubData { dataset: "baber/piqa", configuration: None, split: "validation" },
    form: "a row of PIQA has `goal`, `sol1`, `sol2` and `label`, as in baber/piqa",
    measure: Measure::AccuracyAndNormed,
    item,
};

#[derive(Deserialize)]
struct Row {
    goal: String,
    sol1: String,
    sol2: String,
    label: Label,
}

fn item(value: Value) -> Result<Item> {
    let Row { goal, sol1, sol2, label } = row(value)?;
    Item::choices(format!("Question: {goal}\nAnswer:"), &[sol1, sol2], label.place(0)?)
}
