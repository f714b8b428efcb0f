//! Normalised text cut into atoms: words and numbers, each with the one space in front of it, and
//! whatever stands between them. Tokens are parts of atoms or several whole ones.

use super::super::capcode::Capcode;
use super::super::scalar::{self, Class, First};
use super::super::shape::Kind;
use super::Mode;

/// What an atom is made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum AtomKind {
    /// Letters and marks, with apostrophes between them.
    Word,
    Number,
    /// Punctuation, white space, markers.
    Between,
}

/// A stretch of text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Atom {
    pub(super) kind: AtomKind,
    /// Whether its first byte is the space in front of a word or number.
    pub(super) spaced: bool,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Mode {
    /// Whether a token may begin with this atom and go on behind it.
    pub(super) fn may_begin(self, kind: AtomKind, spaced: bool) -> bool {
        match self {
            Self::Clean => true,
            Self::Strict => kind == AtomKind::Word && spaced,
        }
    }

    /// Whether a token that has come so far may go on with this atom.
    pub(super) fn may_follow(self, kind: AtomKind, spaced: bool) -> bool {
        self.may_begin(kind, spaced)
    }
}

/// Cuts a text into atoms.
pub(super) struct Atoms<'a> {
    text: &'a [u8],
    at: usize,
    capcode: Capcode,
}

impl<'a> Atoms<'a> {
    pub(super) fn new(text: &'a [u8], capcode: Capcode) -> Self {
        Self { text, at: 0, capcode }
    }

    fn kind(&self, at: usize) -> (Kind, usize) {
        match scalar::first(&self.text[at..]) {
            First::Whole(scalar, width) => (Kind::of(Some(scalar), self.capcode), width),
            First::Broken | First::Unfinished => (Kind::Other, 1),
        }
    }

    /// Whether the space in front of a word or number stands here.
    fn is_space_in_front(&self, at: usize) -> bool {
        self.text[at] == b' ' && at + 1 < self.text.len() && self.kind(at + 1).0.begins_word()
    }

    fn end_of_word(&self, mut at: usize) -> usize {
        while at < self.text.len() {
            let (kind, width) = self.kind(at);
            let joins = kind == Kind::Letter
                || scalar::classify(&self.text[at..]).0 == Class::Apostrophe
                    && at + width < self.text.len()
                    && self.kind(at + width).0 == Kind::Letter;
            if !joins {
                break;
            }
            at += width;
        }
        at
    }

    fn end_of_number(&self, mut at: usize) -> usize {
        while at < self.text.len()
            && let (Kind::Number, width) = self.kind(at)
        {
            at += width;
        }
        at
    }

    fn end_between(&self, mut at: usize) -> usize {
        while at < self.text.len() {
            let (kind, width) = self.kind(at);
            if kind.begins_word() || self.is_space_in_front(at) {
                break;
            }
            at += width;
        }
        at
    }
}

impl Iterator for Atoms<'_> {
    type Item = Atom;

    fn next(&mut self) -> Option<Atom> {
        let start = self.at;
        if start >= self.text.len() {
            return None;
        }
        let spaced = self.is_space_in_front(start);
        let first = start + usize::from(spaced);
        let (kind, end) = match self.kind(first).0 {
            Kind::Letter => (AtomKind::Word, self.end_of_word(first)),
            Kind::Number => (AtomKind::Number, self.end_of_number(first)),
            Kind::Space | Kind::Marker | Kind::Other => {
                (AtomKind::Between, self.end_between(first))
            }
        };
        self.at = end;
        Some(Atom { kind, spaced, start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_space_and_their_apostrophe() {
        let text = "\u{7F} Don't say  \"\u{7F} yes\u{301}\", 12\u{7F} th.\n";
        let atoms = Atoms::new(text.as_bytes(), Capcode::Delete);
        let cut: Vec<_> = atoms.map(|atom| (&text[atom.start..atom.end], atom.kind)).collect();
        let (word, number, between) = (AtomKind::Word, AtomKind::Number, AtomKind::Between);
        assert_eq!(
            cut,
            [
                ("\u{7F}", between),
                (" Don't", word),
                (" say", word),
                ("  \"\u{7F}", between),
                (" yes\u{301}", word),
                ("\",", between),
                (" 12", number),
                ("\u{7F}", between),
                (" th", word),
                (".\n", between),
            ]
        );
    }

    #[test]
    fn capitals_markers_are_no_letters() {
        let text = b"DC theW catC's";
        let atoms = Atoms::new(text, Capcode::Full);
        let cut: Vec<_> = atoms.map(|atom| &text[atom.start..atom.end]).collect();
        assert_eq!(cut, [&b"DC"[..], b" the", b"W", b" cat", b"C'", b"s"]);
    }
}
