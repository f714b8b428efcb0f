//! WinoGrande (Sakaguchi et al., 1907.10641): of whom a sentence speaks. Scored in part: the blank is
//! filled in, and the probability of what stands behind it decides.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::item::Label;
use super::python::is_space;
use super::{HubData, Item, Measure, QuestionSuite, row};

/// WinoGrande.
pub(super) static WINOGRANDE: QuestionSuite = QuestionSuite {
    name: "winogrande",
    about: "of which of two a sentence speaks",
    data: HubData {
        dataset: "allenai/winogrande",
        configuration: Some("winogrande_xl"),
        split: "validation",
    },
    form: "a row of WinoGrande has `sentence` with a `_`, `option1`, `option2` and `answer`, as in \
           allenai/winogrande",
    measure: Measure::Accuracy,
    item,
};

#[derive(Deserialize)]
struct Row {
    sentence: String,
    option1: String,
    option2: String,
    answer: Label,
}

fn item(value: Value) -> Result<Item> {
    let Row { sentence, option1, option2, answer } = row(value)?;
    let (before, behind) = sentence.split_once('_').context("`sentence` has no blank `_`")?;
    let contexts = [option1, option2].map(|option| format!("{before}{option}")).into();
    Item::contexts(contexts, behind.trim_matches(is_space), answer.place(1)?)
}
