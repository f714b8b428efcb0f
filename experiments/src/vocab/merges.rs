//! The merges of a BPE vocabulary, and how each of its tokens comes about by them. Knows tokens as
//! written in `tokenizer.json`; which bytes they stand for is not its business.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Result, anyhow, bail};
use serde_json::Value;

/// A vocabulary with its merges.
#[derive(Clone, Debug, Default)]
pub struct Merges {
    ids: HashMap<String, u32>,
    /// For a pair of ids, its rank and what becomes of it.
    pairs: HashMap<(u32, u32), (usize, u32)>,
    /// Whether a word that is a token is not merged at all.
    whole_words: bool,
}

impl Merges {
    /// Reads the `model` of a `tokenizer.json`.
    pub fn read(model: &Value) -> Result<Self> {
        if model["type"] != "BPE" {
            bail!(
                "its model is {}, not BPE; only vocabularies with merges can be trimmed",
                model["type"]
            );
        }
        let vocab = model["vocab"].as_object().ok_or_else(|| anyhow!("its model has no vocab"))?;
        let id = |(token, id): (&String, &Value)| Some((token.clone(), id.as_u64()? as u32));
        let mut merges = Self {
            ids: vocab.iter().filter_map(id).collect(),
            whole_words: model["ignore_merges"].as_bool() == Some(true),
            ..Self::default()
        };
        let rules = model["merges"].as_array().ok_or_else(|| anyhow!("its model has no merges"))?;
        for (rank, rule) in rules.iter().enumerate() {
            let found = pair(rule).and_then(|(left, right)| merges.resolve(left, right));
            let (pair, made) =
                found.ok_or_else(|| anyhow!("its merge {rule} is of no two tokens"))?;
            merges.pairs.entry(pair).or_insert((rank, made));
        }
        Ok(merges)
    }

    fn resolve(&self, left: &str, right: &str) -> Option<((u32, u32), u32)> {
        let made = self.ids.get(&format!("{left}{right}"))?;
        Some(((*self.ids.get(left)?, *self.ids.get(right)?), *made))
    }

    /// Tokens as written, with their ids.
    pub fn ids(&self) -> &HashMap<String, u32> {
        &self.ids
    }

    /// The ids that must be there so that merging makes `token` as it does now, itself included.
    /// `None` for a token that no text is ever merged into.
    pub fn path(&self, token: &str) -> Option<BTreeSet<u32>> {
        let own = *self.ids.get(token)?;
        let path = self.merge(token).filter(|(_, last)| last == &[own]);
        match path {
            Some((made, _)) => Some(made),
            None => self.whole_words.then(|| BTreeSet::from([own])),
        }
    }

    /// All ids that merging a word goes through, and those that it ends with; nothing where a
    /// character has no token.
    fn merge(&self, word: &str) -> Option<(BTreeSet<u32>, Vec<u32>)> {
        let mut buffer = [0; 4];
        let mut ids = word
            .chars()
            .map(|character| self.ids.get(character.encode_utf8(&mut buffer) as &str).copied())
            .collect::<Option<Vec<u32>>>()?;
        let mut made: BTreeSet<u32> = ids.iter().copied().collect();
        loop {
            let known = |at: usize| {
                self.pairs.get(&(ids[at], ids[at + 1])).map(|&(rank, id)| (rank, at, id))
            };
            let Some((_, at, id)) = (0..ids.len().saturating_sub(1)).filter_map(known).min() else {
                return Some((made, ids));
            };
            ids.splice(at..at + 2, [id]);
            made.insert(id);
        }
    }
}

/// The two sides of a merge, in either way of writing it.
pub fn pair(rule: &Value) -> Option<(&str, &str)> {
    match rule {
        Value::String(text) => text.split_once(' '),
        Value::Array(sides) => match &sides[..] {
            [Value::String(left), Value::String(right)] => Some((left, right)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merges(whole_words: bool) -> Merges {
        Merges::read(&json!({
            "type": "BPE",
            "ignore_merges": whole_words,
            "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5, "cab": 6, "abcab": 7},
            "merges": ["a b", ["b", "c"], "ab c", "a bc", "c ab"],
        }))
        .unwrap()
    }

    #[test]
    fn a_path_is_what_merging_goes_through() {
        let path =
            |token: &str| merges(false).path(token).map(|ids| ids.into_iter().collect::<Vec<_>>());
        assert_eq!(path("a"), Some(vec![0]));
        assert_eq!(path("bc"), Some(vec![1, 2, 4]));
        assert_eq!(path("abc"), Some(vec![0, 1, 2, 3, 5]), "not by way of bc");
        assert_eq!(path("cab"), Some(vec![0, 1, 2, 3, 6]));
        assert_eq!(path("abcab"), None, "no merge makes it");
        assert_eq!(path("x"), None);
        assert_eq!(merges(true).path("abcab"), Some(BTreeSet::from([7])));
    }

    #[test]
    fn what_is_no_bpe_is_refused() {
        let refuse = |model: Value| format!("{:#}", Merges::read(&model).unwrap_err());
        assert!(refuse(json!({"type": "Unigram", "vocab": []})).contains("not BPE"));
        let lost = json!({"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]});
        assert!(refuse(lost).contains("\"a b\" is of no two tokens"));
    }
}
