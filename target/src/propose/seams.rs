//! Which tokens the target's tokenizer puts side by side. A model that learnt from its tokenizer's text has
//! hardly seen others, so that a draft's bytes which the tokenizer would read together with the token
//! before are hardly ever what the target goes on with. Knows one tokenizer, and no model.

use std::collections::HashMap;

use align::{Tokenizer, Vocabulary};
use draft::Law;

/// Tokens of less mass are not looked at.
const LEAST: f64 = 1e-3;

/// How many pairs are remembered.
const KNOWN: usize = 1 << 16;

/// What has been found out about pairs of tokens.
#[derive(Debug)]
pub(super) struct Seams {
    known: HashMap<(u32, u32), bool>,
    /// Whether no token holds a space behind a visible character, so that one in front always splits.
    spaces_split: bool,
}

impl Seams {
    /// Nothing is known of a vocabulary's pairs yet.
    pub(super) fn new(vocabulary: &Vocabulary) -> Self {
        let holds = |token: &[u8]| token.windows(2).any(|pair| pair[0] > b' ' && pair[1] == b' ');
        let spaces_split = !vocabulary.clean_tokens().iter().any(|(token, _)| holds(token));
        Self { known: HashMap::new(), spaces_split }
    }

    /// The law behind a token without what does not stand behind it; as it was where nothing would be left.
    pub(super) fn keep(&mut self, law: Law, before: Option<u32>, tokenizer: &Tokenizer) -> Law {
        let Some(before) = before else { return law };
        let likely = law.at_least(LEAST).into_iter();
        let merged: Vec<(u32, f64)> =
            likely.filter(|&(token, _)| !self.stands(tokenizer, before, token)).collect();
        let whole = merged.iter().map(|(_, mass)| mass).sum::<f64>();
        let merged: Vec<u32> = merged.into_iter().map(|(token, _)| token).collect();
        if merged.is_empty() || whole > 1.0 - LEAST { law } else { law.without(&merged) }
    }

    /// Whether the tokenizer puts the second behind the first; true where it cannot be told.
    fn stands(&mut self, tokenizer: &Tokenizer, first: u32, second: u32) -> bool {
        if let Some(&known) = self.known.get(&(first, second)) {
            return known;
        }
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        let found = self.read_apart(tokenizer, first, second);
        self.known.insert((first, second), found);
        found
    }

    fn read_apart(&self, tokenizer: &Tokenizer, first: u32, second: u32) -> bool {
        let vocabulary = tokenizer.vocabulary();
        if !vocabulary.is_token(first) || !vocabulary.is_token(second) {
            return true;
        }
        let (before, behind) = (vocabulary.decode(&[first]), vocabulary.decode(&[second]));
        let splits =
            behind.first() == Some(&b' ') && before.last().is_some_and(|last| *last > b' ');
        if self.spaces_split && splits {
            return true;
        }
        let reads = |bytes: &[u8], ids: &[u32]| {
            tokenizer.encode_continuation(bytes).is_ok_and(|read| read.ids == ids)
        };
        reads(&[&before[..], &behind].concat(), &[first, second]) || !reads(&before, &[first])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `a`, `b`, a space, `ab`, ` a` and `aba`, each by merges of those before.
    fn tokenizer() -> Tokenizer {
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": false});
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
            "model": {"type": "BPE", "dropout": null, "unk_token": null,
                "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
                "byte_fallback": false, "ignore_merges": false,
                "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġa": 4, "aba": 5},
                "merges": [["a", "b"], ["Ġ", "a"], ["ab", "a"]]}
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, file.to_string()).unwrap();
        Tokenizer::load(&path).unwrap()
    }

    #[test]
    fn what_would_be_read_together_does_not_stand_apart() {
        let tokenizer = tokenizer();
        let mut seams = Seams::new(tokenizer.vocabulary());
        assert!(seams.spaces_split);
        let mut stands = |first, second| seams.stands(&tokenizer, first, second);
        assert!(!stands(0, 1), "a b is ab");
        assert!(stands(1, 0) && stands(1, 4) && stands(1, 1));
        assert!(!stands(3, 0), "ab a is aba");
        assert!(stands(0, 4), "a space splits");
    }

    #[test]
    fn a_law_keeps_what_stands() {
        let tokenizer = tokenizer();
        let mut seams = Seams::new(tokenizer.vocabulary());
        let law = |masses: [f64; 5]| Law::dense(masses.map(f64::ln).to_vec());
        let kept = seams.keep(law([0.2, 0.5, 0.1, 0.1, 0.1]), Some(0), &tokenizer);
        assert_eq!(kept.probability(1), 0.0);
        assert!((kept.probability(0) - 0.4).abs() < 1e-12);
        // Where nothing else is left, the law stays.
        let only = Law::sparse(vec![(1, 0.0)]);
        assert_eq!(seams.keep(only.clone(), Some(0), &tokenizer).probability(1), 1.0);
        assert_eq!(seams.keep(only, None, &tokenizer).probability(1), 1.0);
    }
}
