//! Pieces of text as the draft reads them, with the places that count: every id of it, or the places
//! where both models have read the same bytes, so that their laws are of the same thing. Knows no
//! probabilities.

use align::{DecodeState, Overlap, Tokenizer};
use anyhow::Result;

/// A piece of text for one or both models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// Draft ids.
    pub ids: Vec<u32>,
    /// Places in `ids` behind which something is to be learnt.
    pub places: Vec<usize>,
    /// Target ids; empty where only the draft reads.
    pub target_ids: Vec<u32>,
    /// The places in `target_ids` behind which the target has read the same bytes, one for each of
    /// `places`.
    pub target_places: Vec<usize>,
}

/// A piece of text, and from which byte on it is to be learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Bytes at its beginning that are only read.
    pub given: usize,
    /// Whether the text ends there.
    pub ends: bool,
}

/// A tokenizer and the ids that end its texts.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Ids that end a text; the first stands for the others.
    pub ends: &'a [u32],
    /// Ids that its model can read.
    pub context: usize,
}

/// Pairs `(draft id, target id)` of the tokens that both have, by bytes and in the clean state, ends
/// of text among them.
pub fn shared(draft: Reader<'_>, target: Reader<'_>, target_rows: usize) -> Vec<(u32, u32)> {
    let mut overlap = Overlap::new(draft.tokenizer.vocabulary(), target.tokenizer.vocabulary());
    if let (Some(&ours), Some(&theirs)) = (draft.ends.first(), target.ends.first()) {
        overlap = overlap.with_pair(ours, theirs);
    }
    overlap.pairs.retain(|&(_, theirs)| (theirs as usize) < target_rows);
    overlap.pairs
}

/// The ids of a piece, and at how many of its bytes each of them ends; the prefix ends at 0.
fn read(reader: Reader<'_>, text: &str) -> Result<(Vec<u32>, Vec<usize>)> {
    let mut ids = reader.tokenizer.prefix().to_vec();
    let mut ends = vec![0; ids.len()];
    let encoding = reader.tokenizer.encode(text.as_bytes())?;
    ids.extend(encoding.ids);
    ends.extend(encoding.ends);
    ids.truncate(reader.context);
    ends.truncate(reader.context);
    Ok((ids, ends))
}

/// A piece whose own ids are to be learnt.
pub fn of_ids(piece: &Piece, draft: Reader<'_>) -> Result<Example> {
    let (mut ids, mut ends) = read(draft, &piece.text)?;
    if let (true, Some(&end)) = (piece.ends && ids.len() < draft.context, draft.ends.first()) {
        ids.push(end);
        ends.push(piece.text.len() + 1);
    }
    let places = (1..ids.len()).filter(|&at| ends[at] > piece.given).map(|at| at - 1).collect();
    Ok(Example { ids, places, ..Example::default() })
}

/// A piece with the places where both models have read the same bytes.
pub fn of_laws(piece: &Piece, draft: Reader<'_>, target: Reader<'_>) -> Result<Example> {
    let (ids, ends) = read(draft, &piece.text)?;
    let (target_ids, target_ends) = read(target, &piece.text)?;
    let vocabulary = draft.tokenizer.vocabulary();
    let mut example = Example { ids, target_ids, ..Example::default() };
    let (mut state, mut other) = (DecodeState::default(), 0);
    for (place, &end) in ends.iter().enumerate() {
        vocabulary.advance(&mut state, example.ids[place], &mut Vec::new());
        while other < target_ends.len() && target_ends[other] < end {
            other += 1;
        }
        // Of several ids that end at one byte, the last has read all of it.
        let is_last = ends.get(place + 1).is_none_or(|&next| next > end);
        if !is_last || end < piece.given || !state.is_clean() || other >= target_ends.len() {
            continue;
        }
        let there = target_ends[other..].iter().take_while(|&&at| at == end).count();
        if there > 0 {
            example.places.push(place);
            example.target_places.push(other + there - 1);
        }
    }
    Ok(example)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, given: usize) -> Piece {
        Piece { text: text.to_owned(), given, ends: true }
    }

    /// Tokens by a `tokenizer.json` of whole words with their spaces, longest first.
    fn tokenizer(folder: &std::path::Path, tokens: &[&str]) -> Tokenizer {
        let vocabulary: serde_json::Map<String, serde_json::Value> =
            tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), id.into())).collect();
        let merges: Vec<[&str; 2]> = tokens
            .iter()
            .filter(|token| token.chars().count() == 2)
            .map(|token| token.split_at(token.char_indices().nth(1).unwrap().0))
            .map(|(left, right)| [left, right])
            .collect();
        let file = serde_json::json!({
            "version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": false},
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": false},
            "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
        });
        let path = folder.join("tokenizer.json");
        std::fs::write(&path, file.to_string()).unwrap();
        Tokenizer::load(&path).unwrap()
    }

    #[test]
    fn laws_are_compared_where_both_have_read_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let ours = tokenizer(folder.path(), &["a", "b", "c", "d", "ab"]);
        let theirs = tokenizer(folder.path(), &["a", "b", "c", "d", "bc", "cd"]);
        let draft = Reader { tokenizer: &ours, ends: &[4], context: 100 };
        let target = Reader { tokenizer: &theirs, ends: &[], context: 100 };
        // ab|c|d and a|bc|d: both have read 3 and 4 bytes.
        let example = of_laws(&piece("abcd", 0), draft, target).unwrap();
        assert_eq!(
            (example.ids.as_slice(), example.target_ids.as_slice()),
            (&[4, 2, 3][..], &[0, 4, 3][..])
        );
        assert_eq!((example.places, example.target_places), (vec![1, 2], vec![1, 2]));
        let example = of_laws(&piece("abcd", 4), draft, target).unwrap();
        assert_eq!(example.places, [2], "what is given is not learnt");
        assert_eq!(shared(draft, target, 6), [(0, 0), (1, 1), (2, 2), (3, 3)]);
        let short = Reader { context: 2, ..target };
        let example = of_laws(&piece("abcd", 0), draft, short).unwrap();
        assert_eq!((example.places, example.target_places), (vec![1], vec![1]));
    }

    #[test]
    fn ids_are_learnt_behind_what_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let ours = tokenizer(folder.path(), &["a", "b", "c", "d", "ab"]);
        let draft = Reader { tokenizer: &ours, ends: &[9], context: 100 };
        let example = of_ids(&piece("abcd", 2), draft).unwrap();
        assert_eq!((example.ids, example.places), (vec![4, 2, 3, 9], vec![0, 1, 2]));
        let example = of_ids(&piece("abcd", 3), Reader { context: 3, ..draft }).unwrap();
        assert_eq!((example.ids, example.places), (vec![4, 2, 3], vec![1]));
    }
}
