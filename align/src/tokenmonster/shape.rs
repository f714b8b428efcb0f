//! What a token's bytes say of it: the flags and the word count that a record stores.
//!
//! Knows one token at a time; how tokens stand to one another is in `assemble`.

use super::capcode::Capcode;
use super::matcher::flag;
use super::scalar::{self, Class, First};

/// What a scalar is inside a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Space,
    /// A letter or mark.
    Letter,
    Number,
    Marker,
    Other,
}

impl Kind {
    pub(super) fn of(scalar: Option<char>, capcode: Capcode) -> Self {
        let Some(scalar) = scalar else { return Self::Other };
        let marker = match capcode {
            Capcode::None => false,
            Capcode::Delete => scalar == '\u{7F}',
            Capcode::Full => matches!(scalar, 'C' | 'W' | 'D'),
        };
        if marker {
            return Self::Marker;
        }
        match scalar::class(scalar) {
            Class::Space => Self::Space,
            Class::Upper | Class::Lower | Class::Letter | Class::Mark => Self::Letter,
            Class::Number => Self::Number,
            Class::Apostrophe | Class::Other => Self::Other,
        }
    }

    /// Whether a space before it begins a word.
    pub(super) fn begins_word(self) -> bool {
        matches!(self, Self::Letter | Self::Number)
    }
}

/// The facts about one token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    pub(super) flags: u8,
    pub(super) n_words: u8,
    /// What the token begins with.
    pub(super) first: Kind,
}

impl Shape {
    pub(super) fn of(token: &[u8], capcode: Capcode) -> Self {
        let kinds = kinds(token, capcode);
        let first = kinds.first().copied().unwrap_or(Kind::Other);
        let last = Kind::of(scalar::last(token), capcode);
        let words = kinds.windows(2).filter(|pair| pair[0] == Kind::Space && pair[1].begins_word());
        let n_words = words.count() as u8;
        let only_letters = only(&kinds, Kind::Letter);
        let mut flags = match first {
            Kind::Space => flag::BEGINS_WITH_SPACE,
            Kind::Letter => flag::BEGINS_WITH_LETTER,
            Kind::Marker if matches!(token[0], b'C' | b'W') => {
                flag::BEGINS_WITH_SPACE | flag::BEGINS_WITH_MARKER
            }
            Kind::Marker => flag::BEGINS_WITH_MARKER,
            Kind::Number | Kind::Other => 0,
        };
        match last {
            Kind::Letter => flags |= flag::ENDS_WITH_LETTER,
            Kind::Marker => flags |= flag::ENDS_WITH_MARKER,
            Kind::Space | Kind::Number | Kind::Other => {}
        }
        let spaced = first == Kind::Space && kinds.get(1).is_some_and(|kind| kind.begins_word());
        if spaced && only_letters && last == Kind::Letter && n_words == 1 {
            flags |= flag::ONE_WORD;
        }
        let neither = !kinds.iter().any(|kind| kind.begins_word());
        if token.len() == 1 || only_letters || only(&kinds, Kind::Number) || neither {
            flags |= flag::ONE_KIND;
        }
        Self { flags, n_words, first }
    }
}

/// Whether all is of one kind or spaces. It is asked from the second scalar on, which must not be
/// a space: a single scalar, and a run of spaces, are neither letters nor numbers.
fn only(kinds: &[Kind], kind: Kind) -> bool {
    kinds.get(1) == Some(&kind) && kinds.iter().all(|other| *other == kind || *other == Kind::Space)
}

fn kinds(mut token: &[u8], capcode: Capcode) -> Vec<Kind> {
    let mut kinds = Vec::with_capacity(token.len());
    while !token.is_empty() {
        let (scalar, width) = match scalar::first(token) {
            First::Whole(scalar, width) => (Some(scalar), width),
            First::Broken | First::Unfinished => (None, 1),
        };
        kinds.push(Kind::of(scalar, capcode));
        token = &token[width..];
    }
    kinds
}
