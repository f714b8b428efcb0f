//! The token-level intersection of two vocabularies: which draft ids and target ids add the same
//! bytes. Knows bytes only; what is done with the map is a matter for the crates above.

use std::collections::HashMap;

use serde::Serialize;

use crate::vocabulary::{DecodeState, Entry, Vocabulary};

/// Draft ids paired with the target id of equal bytes. Each target id has at most one draft id, and
/// each draft id at most one target id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// `(draft id, target id)`, in the order of the draft ids.
    pub pairs: Vec<(u32, u32)>,
}

/// How much of each vocabulary the intersection covers.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Coverage {
    /// Text tokens of the draft.
    pub draft_tokens: usize,
    /// Text tokens of the target.
    pub target_tokens: usize,
    /// Pairs of equal bytes.
    pub shared: usize,
}

impl Overlap {
    /// The intersection after the draft's decoder state `state`: a draft token counts with the
    /// bytes that it adds there. Tokens that leave a marker pending (a state other than the clean
    /// one and `state` itself) are left out. Where several ids have the same bytes, ordinary tokens
    /// count before bytes that stand in, and then the lowest.
    pub fn after(state: DecodeState, draft: &Vocabulary, target: &Vocabulary) -> Self {
        let mut targets: HashMap<&[u8], u32> = HashMap::new();
        for (bytes, id) in target.clean_tokens() {
            targets.entry(bytes).or_insert(*id);
        }
        // Ordinary tokens choose before bytes that stand in.
        let (bytes, tokens): (Vec<u32>, Vec<u32>) =
            (0..draft.rows() as u32).partition(|&id| matches!(draft.entry(id), Entry::Byte(_)));
        let mut pairs: Vec<(u32, u32)> = tokens
            .into_iter()
            .chain(bytes)
            .filter_map(|id| {
                let (bytes, after) = draft.bytes_after(state, id)?;
                if bytes.is_empty() || !(after.is_clean() || after == state) {
                    return None;
                }
                targets.remove(&bytes[..]).map(|target_id| (id, target_id))
            })
            .collect();
        pairs.sort_unstable();
        Self { pairs }
    }

    /// The intersection in the clean state.
    pub fn new(draft: &Vocabulary, target: &Vocabulary) -> Self {
        Self::after(DecodeState::default(), draft, target)
    }

    /// Adds a pair of specials that mean the same, such as the two ends of text.
    #[must_use]
    pub fn with_pair(mut self, draft_id: u32, target_id: u32) -> Self {
        self.pairs.retain(|&(draft, target)| draft != draft_id && target != target_id);
        self.pairs.push((draft_id, target_id));
        self.pairs.sort_unstable();
        self
    }

    /// How much of both vocabularies the text tokens of the map cover.
    pub fn coverage(&self, draft: &Vocabulary, target: &Vocabulary) -> Coverage {
        Coverage {
            draft_tokens: draft.token_count(),
            target_tokens: target.token_count(),
            shared: self.pairs.iter().filter(|&&(id, _)| draft.is_token(id)).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(tokens: &[&str]) -> Vocabulary {
        Vocabulary::plain(tokens.iter().map(|t| Entry::Token(t.as_bytes().into())).collect())
    }

    #[test]
    fn equal_bytes_pair_once() {
        let draft = plain(&["a", "b", "a", "the"]);
        let target = plain(&["the", "x", "a"]);
        let overlap = Overlap::new(&draft, &target);
        assert_eq!(overlap.pairs, [(0, 2), (3, 0)]);
        let coverage = overlap.coverage(&draft, &target);
        assert_eq!((coverage.draft_tokens, coverage.target_tokens, coverage.shared), (4, 3, 2));
    }

    #[test]
    fn letters_pair_with_letters_and_not_with_bytes_that_stand_in() {
        let entries = |list: &[&str]| -> Vec<Entry> {
            [Entry::Byte(b'a'), Entry::Byte(b'b')]
                .into_iter()
                .chain(list.iter().map(|token| Entry::Token(token.as_bytes().into())))
                .collect()
        };
        let draft = Vocabulary::plain(entries(&["a"]));
        let target = Vocabulary::plain(entries(&["b", "a"]));
        // The draft has no letter b: its byte stands in for the target's letter.
        assert_eq!(Overlap::new(&draft, &target).pairs, [(1, 2), (2, 3)]);
        let characters = plain(&["a", "b"]);
        assert_eq!(Overlap::new(&characters, &target).pairs, [(0, 3), (1, 2)]);
    }

    #[test]
    fn a_special_pair_replaces_what_it_touches() {
        let overlap = Overlap { pairs: vec![(0, 2), (3, 0)] }.with_pair(3, 7);
        assert_eq!(overlap.pairs, [(0, 2), (3, 7)]);
    }
}
