//! Suites of questions with the answers to choose from, each by its name: where its data is on the Hub,
//! how a row of it is asked, and what is counted. One file a family of like data; asking and scoring are
//! done in one place for all of them ([`super::questions`]). Prompts, continuations and splits are those
//! of the tasks of lm-evaluation-harness 0.4 without examples before them.

mod ai2;
pub mod arithmark;
pub mod files;
mod item;
mod lambada;
mod piqa;
pub(super) mod python;
mod sciq;
mod stories;
mod super_glue;
mod winogrande;

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use item::Item;

/// A suite of questions.
#[derive(Debug)]
pub struct QuestionSuite {
    /// What users type and read.
    pub name: &'static str,
    /// What is asked, in a few words.
    pub about: &'static str,
    /// Where its data is on the Hub.
    pub data: HubData,
    /// What a row of the data is, for messages.
    pub form: &'static str,
    /// What is counted.
    pub measure: Measure,
    /// How a row is asked.
    pub item: fn(Value) -> Result<Item>,
}

/// Data of the Hub.
#[derive(Clone, Copy, Debug)]
pub struct HubData {
    /// Organisation and name.
    pub dataset: &'static str,
    /// The configuration, where a dataset has several.
    pub configuration: Option<&'static str>,
    /// The split that is asked: the test split, where its answers are public.
    pub split: &'static str,
}

/// What is counted of a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// How often the right continuation is the most probable one.
    Accuracy,
    /// Also how often it is where log-likelihoods are divided by the characters of the answers.
    AccuracyAndNormed,
    /// How often the one continuation is the most probable text, and its perplexity.
    Word,
}

/// All suites whose questions are data, by name.
pub static SUITES: [&QuestionSuite; 11] = [
    &ai2::ARC_CHALLENGE,
    &ai2::ARC_EASY,
    &super_glue::BOOLQ,
    &super_glue::COPA,
    &stories::HELLASWAG,
    &lambada::LAMBADA,
    &ai2::OPENBOOKQA,
    &piqa::PIQA,
    &sciq::SCIQ,
    &stories::SWAG,
    &winogrande::WINOGRANDE,
];

/// A row in the form of a family.
fn row<T: DeserializeOwned>(value: Value) -> Result<T> {
    Ok(serde_json::from_value(value)?)
}
