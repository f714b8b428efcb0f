//! How much of a text the tokens that two vocabularies share can say: ids counted over a text, those
//! of them that both sides have, and those that only one has. Knows ids, bytes and decoder states;
//! knows no model, and not where a text comes from.

use std::collections::{HashMap, HashSet};

use crate::overlap::Overlap;
use crate::vocabulary::{DecodeState, Vocabulary};

/// How often each id stands in a text, by the decoder state before it. A vocabulary without markers
/// has one state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occurrences {
    by_state: HashMap<DecodeState, HashMap<u32, u64>>,
}

impl Occurrences {
    /// Counts the ids of one more text, which begins in the clean state.
    pub fn add(&mut self, vocabulary: &Vocabulary, ids: &[u32]) {
        let (mut state, mut bytes) = (DecodeState::default(), Vec::new());
        for &id in ids {
            *self.by_state.entry(state).or_default().entry(id).or_default() += 1;
            vocabulary.advance(&mut state, id, &mut bytes);
            bytes.clear();
        }
    }

    /// Ids in all.
    pub fn total(&self) -> u64 {
        self.by_state.values().flat_map(HashMap::values).sum()
    }

    /// How often each id occurs, whatever stands before it.
    pub fn counts(&self) -> HashMap<u32, u64> {
        let mut counts = HashMap::new();
        for (&id, count) in self.by_state.values().flatten() {
            *counts.entry(id).or_default() += count;
        }
        counts
    }

    /// How many of these ids of a *draft* stand where they are in the intersection with `target`: the
    /// one of the decoder state before them ([`Overlap::after`]), from which token-level methods draw
    /// there.
    pub fn shared_of_draft(&self, draft: &Vocabulary, target: &Vocabulary) -> u64 {
        let shared = |(&state, counts): (&DecodeState, &HashMap<u32, u64>)| {
            let pairs = Overlap::after(state, draft, target).pairs;
            let sum = |(id, _): (u32, u32)| counts.get(&id).copied().unwrap_or(0);
            pairs.into_iter().map(sum).sum::<u64>()
        };
        self.by_state.iter().map(shared).sum()
    }

    /// How many of these ids of a *target* have a draft id in `overlap`.
    pub fn shared_of_target(&self, overlap: &Overlap) -> u64 {
        self.total() - self.unreachable(overlap).iter().map(|(_, count)| count).sum::<u64>()
    }

    /// The ids of a *target* that have no draft id in `overlap`, with their counts: the most frequent
    /// first, of equals the lower id.
    pub fn unreachable(&self, overlap: &Overlap) -> Vec<(u32, u64)> {
        let reachable: HashSet<u32> = overlap.pairs.iter().map(|&(_, target)| target).collect();
        let mut missing: Vec<(u32, u64)> =
            self.counts().into_iter().filter(|(id, _)| !reachable.contains(id)).collect();
        missing.sort_unstable_by_key(|&(id, count)| (std::cmp::Reverse(count), id));
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenmonster::Capcode;
    use crate::vocabulary::Entry;
    use proptest::prelude::*;

    fn vocabulary(tokens: &[&str], capcode: Capcode) -> Vocabulary {
        let entries = tokens.iter().map(|token| Entry::Token(token.as_bytes().into())).collect();
        Vocabulary::new(entries, capcode)
    }

    #[test]
    fn counts_by_hand() {
        let draft = vocabulary(&["a", "b", "ab", "x"], Capcode::None);
        let target = vocabulary(&["b", "a", "abc", "c", "cc"], Capcode::None);
        let overlap = Overlap::new(&draft, &target);
        assert_eq!(overlap.pairs, [(0, 1), (1, 0)]);
        let mut text = Occurrences::default();
        text.add(&target, &[2, 0, 3, 4, 4, 2, 2]);
        text.add(&target, &[1, 3]);
        assert_eq!((text.total(), text.shared_of_target(&overlap)), (9, 2));
        assert_eq!(text.unreachable(&overlap), [(2, 3), (3, 2), (4, 2)]);
        let mut text = Occurrences::default();
        text.add(&draft, &[2, 0, 0, 3, 1]);
        assert_eq!(text.shared_of_draft(&draft, &target), 3);
    }

    /// Behind a delete marker ` a` says `a` and is in the intersection as that; in the clean state it
    /// says ` a`, which this target lacks.
    #[test]
    fn markers_change_what_is_shared() {
        let draft = vocabulary(&["a", " a", "\u{7f}", "b"], Capcode::Delete);
        let target = vocabulary(&["a", "b"], Capcode::None);
        assert_eq!(Overlap::new(&draft, &target).pairs, [(0, 0), (3, 1)]);
        let mut text = Occurrences::default();
        // `b`, a marker, `a` behind it, ` a`, `a`.
        text.add(&draft, &[3, 2, 1, 1, 0]);
        assert_eq!(draft.decode(&[3, 2, 1, 1, 0]), b"ba aa");
        assert_eq!((text.total(), text.shared_of_draft(&draft, &target)), (5, 3));
        assert_eq!(text.counts()[&1], 2);
    }

    proptest! {
        /// One by one, each id is shared where its bytes, at its place, are a token of the target that
        /// the id stands for there.
        #[test]
        fn shares_are_those_of_single_places(
            tokens in prop::collection::vec("[abC ]{1,3}", 1..8),
            others in prop::collection::vec("[abAB ]{1,3}", 1..8),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
            let others: Vec<&str> = others.iter().map(String::as_str).collect();
            let draft = vocabulary(&tokens, Capcode::Full);
            let target = vocabulary(&others, Capcode::None);
            let ids: Vec<u32> = picks.iter().map(|pick| pick.index(tokens.len()) as u32).collect();
            let mut text = Occurrences::default();
            text.add(&draft, &ids);
            let at_its_place = |index: &usize| {
                let state = draft.state_after(&ids[..*index]);
                Overlap::after(state, &draft, &target).pairs.iter().any(|&(id, _)| id == ids[*index])
            };
            let expected = (0..ids.len()).filter(at_its_place).count() as u64;
            prop_assert_eq!(text.shared_of_draft(&draft, &target), expected);
            prop_assert_eq!(text.total(), ids.len() as u64);
        }
    }
}
