//! A question as it is asked of a model, whatever its data looked like.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::python::is_space;
use crate::eval::request::Request;

/// A question: contexts and continuations, of which either is one for all answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// Where it stands in the data.
    pub place: String,
    /// One, or one for each answer.
    pub contexts: Vec<String>,
    /// One for each answer, or one. With what stands between it and the context.
    pub continuations: Vec<String>,
    /// Characters of the answers, by which log-likelihoods may be divided.
    pub lengths: Vec<usize>,
    /// The place of the right answer.
    pub gold: usize,
    /// The part of the suite that it belongs to, where there are several.
    pub group: Option<&'static str>,
}

impl Item {
    /// A context with several continuations, each behind a space.
    pub fn choices(context: String, choices: &[impl AsRef<str>], gold: usize) -> Result<Self> {
        check(gold, choices.len())?;
        Ok(Self {
            contexts: vec![context],
            continuations: choices.iter().map(|own| format!(" {}", own.as_ref())).collect(),
            lengths: choices.iter().map(|own| own.as_ref().chars().count()).collect(),
            gold,
            ..Self::default()
        })
    }

    /// Several contexts of one continuation, behind a space.
    pub fn contexts(contexts: Vec<String>, continuation: &str, gold: usize) -> Result<Self> {
        check(gold, contexts.len())?;
        let lengths = contexts.iter().map(|own| own.chars().count()).collect();
        let continuations = vec![format!(" {continuation}")];
        Ok(Self { contexts, continuations, lengths, gold, ..Self::default() })
    }

    /// How many answers there are.
    pub fn count(&self) -> usize {
        self.contexts.len().max(self.continuations.len())
    }

    /// What a model is asked, one request for each answer.
    pub fn requests(&self) -> Vec<Request> {
        let pick = |texts: &[String], answer: usize| texts[answer.min(texts.len() - 1)].clone();
        let request = |answer| Request {
            context: pick(&self.contexts, answer),
            continuation: pick(&self.continuations, answer),
        };
        (0..self.count()).map(request).collect()
    }
}

fn check(gold: usize, count: usize) -> Result<()> {
    if gold >= count {
        bail!("the right answer is number {gold}, counted from 0, of {count}");
    }
    Ok(())
}

/// How data says which answer is right.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Label {
    /// A number.
    Number(i64),
    /// A number as text.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

impl Label {
    /// The place of the right answer, counted from `first`.
    pub(super) fn place(&self, first: i64) -> Result<usize> {
        let number = match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim_matches(is_space).parse().ok(),
            Self::Flag(flag) => Some(i64::from(*flag)),
        };
        let place = number.and_then(|number| usize::try_from(number - first).ok());
        place.with_context(|| {
            format!("{self} is no right answer; a split without answers cannot be scored")
        })
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(own) => write!(formatter, "{own}"),
            Self::Text(own) => write!(formatter, "\"{own}\""),
            Self::Flag(own) => write!(formatter, "{own}"),
        }
    }
}

/// A question that is a prompt already: some collections keep data in this form.
#[derive(Debug, Deserialize)]
pub(super) struct Prompt {
    pub(super) query: String,
    pub(super) choices: Vec<String>,
    pub(super) gold: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_side_may_be_one_for_all() {
        let item = Item::choices("a".into(), &["b", "çd"], 1).unwrap();
        let texts = |item: &Item| {
            let pair = |own: Request| (own.context, own.continuation);
            item.requests().into_iter().map(pair).collect::<Vec<_>>()
        };
        assert_eq!(texts(&item), [("a".into(), " b".into()), ("a".into(), " çd".into())]);
        assert_eq!((item.lengths.clone(), item.gold), (vec![1, 2], 1));
        let item = Item::contexts(vec!["a".into(), "b".into()], "c", 0).unwrap();
        assert_eq!(texts(&item), [("a".into(), " c".into()), ("b".into(), " c".into())]);
        assert!(Item::choices("a".into(), &["b"], 1).is_err());
    }

    #[test]
    fn labels_are_numbers_of_many_kinds() {
        let label = |text: &str| serde_json::from_str::<Label>(text).unwrap();
        assert_eq!(label("3").place(0).unwrap(), 3);
        assert_eq!(label("\" 2\"").place(1).unwrap(), 1);
        assert_eq!(label("true").place(0).unwrap(), 1);
        for none in ["-1", "\"\"", "\"0\""] {
            let error = label(none).place(i64::from(none == "\"0\"")).unwrap_err().to_string();
            assert!(error.contains("no right answer"), "{error}");
        }
    }
}
