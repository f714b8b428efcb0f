//! Prompt files: Spec-Bench's `question.jsonl`, `{"prompt": …}` JSONL, or plain text with a prompt
//! a line. Knows no tokenizer; which prompts fit is decided where they are encoded.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::questions;

/// The project's own prompts, used where no file is named.
const OWN: &str = include_str!("../prompts/default.jsonl");

/// One prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Place in the file, from 0.
    pub index: usize,
    /// Its name in the file, or its place.
    pub id: String,
    /// Its category; `all` where the file has none.
    pub category: String,
    /// The text, or the user's first message.
    pub text: String,
    /// The user's later messages.
    pub later: Vec<String>,
    /// Whether it is a message of a conversation, which a chat template may render.
    pub is_chat: bool,
}

/// The prompts of a file.
#[derive(Clone, Debug)]
pub struct PromptFile {
    /// Where they come from.
    pub source: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The prompts, in the order of the file.
    pub prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    SpecBench { question_id: Id, category: Option<String>, turns: Vec<String> },
    Prompt { prompt: String, id: Option<Id>, category: Option<String> },
    Question { question: String, id: Option<Id>, category: Option<String> },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Text(String),
}

impl Id {
    fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl PromptFile {
    /// Reads a prompt file, or the project's own prompts.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let (source, text) = match path {
            None => ("the project's own prompts".to_owned(), OWN.to_owned()),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the prompts {}", path.display()))?;
                (path.display().to_string(), text)
            }
        };
        let prompts = parse(&text).with_context(|| format!("cannot use the prompts {source}"))?;
        if prompts.is_empty() {
            bail!("{source} holds no prompt");
        }
        let sha256 = hex(&Sha256::digest(text.as_bytes()));
        // Known by what it is, wherever it is.
        let source = if sha256 == questions::SHA256 { questions::TITLE.to_owned() } else { source };
        Ok(Self { source, sha256, prompts })
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse(text: &str) -> Result<Vec<Prompt>> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let is_json = lines.first().is_some_and(|line| line.trim_start().starts_with('{'));
    lines
        .into_iter()
        .enumerate()
        .map(|(index, line)| {
            if is_json {
                parse_line(index, line).with_context(|| format!("line {}", index + 1))
            } else {
                Ok(prompt(index, None, None, line.to_owned(), false))
            }
        })
        .collect()
}

fn parse_line(index: usize, line: &str) -> Result<Prompt> {
    let parsed: Line = serde_json::from_str(line).map_err(|_| {
        anyhow::anyhow!(
            "not a prompt: expected {{\"prompt\": …}}, {{\"question\": …}}, or Spec-Bench's \
             {{\"question_id\", \"category\", \"turns\"}}"
        )
    })?;
    Ok(match parsed {
        Line::SpecBench { question_id, category, turns } => {
            let mut turns = turns.into_iter();
            let Some(first) = turns.next() else { bail!("`turns` is empty") };
            let own = prompt(index, Some(question_id), category, first, true);
            Prompt { later: turns.collect(), ..own }
        }
        Line::Prompt { prompt: text, id, category }
        | Line::Question { question: text, id, category } => {
            prompt(index, id, category, text, false)
        }
    })
}

fn prompt(
    index: usize,
    id: Option<Id>,
    category: Option<String>,
    text: String,
    is_chat: bool,
) -> Prompt {
    let id = id.map_or_else(|| index.to_string(), Id::into_text);
    let category = category.unwrap_or_else(|| "all".to_owned());
    Prompt { index, id, category, text, later: Vec::new(), is_chat }
}

/// Takes `limit` items evenly from the categories, in the order of the file.
pub fn take_evenly<T>(items: Vec<T>, limit: usize, category: impl Fn(&T) -> String) -> Vec<T> {
    let mut queues: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut seen: Vec<String> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let name = category(item);
        let place = seen.iter().position(|other| *other == name).unwrap_or_else(|| {
            seen.push(name);
            seen.len() - 1
        });
        queues.entry(place).or_default().push(index);
    }
    let longest = queues.values().map(Vec::len).max().unwrap_or(0);
    let mut chosen: Vec<usize> = (0..longest)
        .flat_map(|round| queues.values().filter_map(move |queue| queue.get(round).copied()))
        .take(limit)
        .collect();
    chosen.sort_unstable();
    let mut chosen = chosen.into_iter().peekable();
    items
        .into_iter()
        .enumerate()
        .filter(|(index, _)| chosen.next_if_eq(index).is_some())
        .map(|(_, item)| item)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_file_is_read() {
        let spec_bench = r#"{"question_id": 81, "category": "writing", "turns": ["a", "b"]}"#;
        let parsed = parse(spec_bench).unwrap();
        assert_eq!((parsed[0].id.as_str(), parsed[0].text.as_str()), ("81", "a"));
        assert!(parsed[0].is_chat && parsed[0].later == ["b"]);
        let plain = parse("first\n\nsecond\n").unwrap();
        assert_eq!(plain[1].text, "second");
        let json =
            parse("{\"prompt\": \"x\", \"category\": \"c\"}\n{\"question\": \"y\"}").unwrap();
        assert_eq!((json[0].category.as_str(), json[1].category.as_str()), ("c", "all"));
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = parse("{\"prompt\": \"x\"}\n{\"other\": 1}").unwrap_err();
        assert!(format!("{error:#}").starts_with("line 2: not a prompt"));
    }

    #[test]
    fn a_limit_takes_evenly() {
        let items = vec!["a1", "a2", "a3", "b1", "c1", "c2"];
        let taken = take_evenly(items, 4, |item| item[..1].to_owned());
        assert_eq!(taken, ["a1", "a2", "b1", "c1"]);
    }

    #[test]
    fn the_projects_own_prompts_are_six_in_each_of_six_categories() {
        let own = PromptFile::read(None).unwrap();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for prompt in &own.prompts {
            *counts.entry(&prompt.category).or_default() += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|&count| count == 6));
    }
}
