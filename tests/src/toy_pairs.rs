//! Pairs of small vocabularies that disagree in every way that real ones do, with models whose laws are
//! tables.

use align::Tokenizer;
use align::tokenmonster::Capcode;
use target::Side;

use crate::tokenizers::{bpe, tokenmonster};
use crate::toy::ToyModel;

pub const TARGET_SEED: u64 = 11;
pub const DRAFT_SEED: u64 = 12;

/// A pair of vocabularies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    Same,
    /// The target's tokens cross the draft's, words included.
    Crossing,
    /// A draft of single characters.
    Characters,
    /// A TokenMonster draft with delete markers.
    Monster,
    /// One with case markers too.
    Capcode,
}

#[must_use]
pub fn target_tokenizer(pair: Pair) -> Tokenizer {
    match pair {
        Pair::Capcode => bpe("abA ", &[("a", "b"), ("A", "b"), (" ", "a")]),
        _ => bpe("ab ", &[("a", "b"), ("b", " "), ("b ", "a"), (" ", "ab")]),
    }
}

#[must_use]
pub fn draft_tokenizer(pair: Pair) -> Tokenizer {
    match pair {
        Pair::Same => target_tokenizer(pair),
        Pair::Crossing => bpe("ab ", &[("b", "a"), ("a", " "), ("ba", "b")]),
        Pair::Characters => bpe("ab ", &[]),
        Pair::Monster => tokenmonster(
            &[b" ", b"a", b"b", b"\x7f", b" a", b"ab", b" ab", b"b\x7f"],
            Capcode::Delete,
        ),
        Pair::Capcode => {
            tokenmonster(&[b" ", b"a", b"b", b"C", b"W", b"D", b" a", b"ab", b"bC"], Capcode::Full)
        }
    }
}

#[must_use]
pub fn side(tokenizer: Tokenizer, seed: u64) -> Side {
    let rows = tokenizer.vocabulary().rows();
    let eos = tokenizer.eos().into_iter().collect();
    Side::new(tokenizer, ToyModel::new(rows, seed).with_context(256).session(), eos)
}
