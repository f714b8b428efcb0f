//! The bytes of one side's token written in the other side's ids. Knows one tokenizer and bytes; whose
//! bytes they are is for the caller to say.

use crate::error::AlignError;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::Vocabulary;

/// Ids that say certain bytes wherever a text stands in the clean state, and leave it clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// The ids.
    pub ids: Vec<u32>,
    /// Whether the tokenizer itself cuts the bytes like this; else they are the fewest tokens there
    /// are.
    pub canonical: bool,
}

impl Spelling {
    /// Spells bytes as the tokenizer reads them in the middle of a text, or where that does not say
    /// exactly these bytes (a normaliser changes them, a marker is left pending) in the fewest tokens.
    /// `None` where no ids say them, and for no bytes.
    pub fn of(tokenizer: &Tokenizer, bytes: &[u8]) -> Result<Option<Self>, AlignError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let vocabulary = tokenizer.vocabulary();
        let ids = tokenizer.encode_continuation(bytes)?.ids;
        if vocabulary.decode(&ids) == bytes
            && vocabulary.state_after(&ids).is_clean()
            && ids.iter().all(|&id| vocabulary.is_token(id))
        {
            return Ok(Some(Self { ids, canonical: true }));
        }
        Ok(fewest(vocabulary, bytes).map(|ids| Self { ids, canonical: false }))
    }
}

/// The fewest tokens that say `bytes` one after the other, from the front the longest among equals.
fn fewest(vocabulary: &Vocabulary, bytes: &[u8]) -> Option<Vec<u32>> {
    // For each place, how many tokens there are from there on, the first of them, and where that ends.
    let mut best: Vec<Option<(usize, u32, usize)>> = vec![None; bytes.len() + 1];
    best[bytes.len()] = Some((0, 0, bytes.len()));
    for start in (0..bytes.len()).rev() {
        for end in (start + 1..=bytes.len()).rev() {
            let Some((rest, ..)) = best[end] else { continue };
            if best[start].is_none_or(|(count, ..)| rest + 1 < count)
                && let Some(id) = vocabulary.find(&bytes[start..end])
            {
                best[start] = Some((rest + 1, id, end));
            }
        }
    }
    let (mut ids, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (_, id, end) = best[at]?;
        ids.push(id);
        at = end;
    }
    Some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenmonster::{Capcode, Vocab};
    use crate::vocabulary::Entry;
    use proptest::prelude::*;

    fn plain(tokens: &[&str]) -> Vocabulary {
        Vocabulary::plain(tokens.iter().map(|t| Entry::Token(t.as_bytes().into())).collect())
    }

    fn monster(tokens: &[&str], capcode: Capcode) -> Tokenizer {
        let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| token.as_bytes().into()).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.vocab");
        let vocab = Vocab::from_tokens(&tokens, capcode, 4).unwrap();
        std::fs::write(&path, vocab.to_bytes()).unwrap();
        Tokenizer::load(&path).unwrap()
    }

    #[test]
    fn the_fewest_tokens_are_not_those_of_greed() {
        let vocabulary = plain(&["ab", "a", "bcd", "abc", "e", "de"]);
        assert_eq!(fewest(&vocabulary, b"abcd"), Some(vec![1, 2]));
        assert_eq!(fewest(&vocabulary, b"abcde"), Some(vec![3, 5]), "greed takes abc, too");
        assert_eq!(fewest(&vocabulary, b"abd"), None);
    }

    #[test]
    fn a_capital_is_spelled_with_its_marker() {
        let tokenizer = monster(&["a", "b", " ", "C", "D", "W", "ab"], Capcode::Full);
        let says = |bytes: &[u8]| {
            let spelling = Spelling::of(&tokenizer, bytes).unwrap()?;
            let vocabulary = tokenizer.vocabulary();
            assert_eq!(vocabulary.decode(&spelling.ids), bytes);
            assert!(vocabulary.state_after(&spelling.ids).is_clean());
            Some(spelling)
        };
        assert!(says(b"Ab").unwrap().ids.len() >= 2);
        assert!(says(b"ab").unwrap().canonical);
        assert_eq!(says(b"z"), None);
        assert_eq!(says(b""), None);
    }

    /// The tokenizer decomposes é, and the ids that it gives say other bytes; two tokens of one byte
    /// each say it exactly.
    #[test]
    fn bytes_that_a_normaliser_changes_are_spelled_byte_by_byte() {
        let tokens: Vec<Vec<u8>> = vec![b"e".to_vec(), vec![0xC3], vec![0xA9], vec![0xCC, 0x81]];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.vocab");
        let vocab = Vocab::from_tokens(&tokens, Capcode::Delete, 4).unwrap();
        std::fs::write(&path, vocab.to_bytes()).unwrap();
        let tokenizer = Tokenizer::load(&path).unwrap();
        assert!(tokenizer.decomposes());
        let spelling = Spelling::of(&tokenizer, "é".as_bytes()).unwrap().unwrap();
        assert!(!spelling.canonical);
        assert_eq!((spelling.ids.len(), tokenizer.decode(&spelling.ids)), (2, "é".into()));
        let decomposed = Spelling::of(&tokenizer, "e\u{301}".as_bytes()).unwrap().unwrap();
        assert!(decomposed.canonical);
    }

    proptest! {
        #[test]
        fn a_spelling_says_its_bytes(
            tokens in prop::collection::vec("[abc]{1,3}", 1..8), text in "[abc]{1,9}",
        ) {
            let vocabulary = plain(&tokens.iter().map(String::as_str).collect::<Vec<_>>());
            if let Some(ids) = fewest(&vocabulary, text.as_bytes()) {
                prop_assert_eq!(vocabulary.decode(&ids), text.as_bytes());
            } else {
                // Then the letters alone do not suffice either.
                let lacks = |letter: &u8| vocabulary.byte(*letter).is_none();
                prop_assert!(text.as_bytes().iter().any(lacks));
            }
        }

        #[test]
        fn a_capcode_spelling_says_its_bytes(text in "[abAB ]{1,8}") {
            let tokenizer =
                monster(&["a", "b", " ", "C", "D", "W", " a", "ab", "bC", "aW"], Capcode::Full);
            if let Some(Spelling { ids, .. }) = Spelling::of(&tokenizer, text.as_bytes()).unwrap() {
                let vocabulary = tokenizer.vocabulary();
                prop_assert_eq!(vocabulary.decode(&ids), text.as_bytes());
                prop_assert!(vocabulary.state_after(&ids).is_clean());
            }
        }
    }
}
