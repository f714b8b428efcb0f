//! Text to the normalised bytes that tokens are made of, with a map back to the raw text.
//!
//! Knows how the map is kept; the rules that write the bytes are in `decompose`, `capcode`
//! and `capitals`.
//! The map gives, for each normalised byte, the raw offset up to which the text is accounted for.

use std::ops::Range;

use super::capcode::{self, Capcode};
use super::capitals;
use super::decompose;
use super::format::Vocab;

/// Normalised bytes and where each of them ends in the raw text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Normalized {
    /// The bytes that tokens are matched against.
    pub bytes: Vec<u8>,
    /// For each byte, the raw offset that is reached once it is consumed; never decreases.
    pub raw_end: Vec<u32>,
}

impl Vocab {
    /// Normalises `text` for this vocabulary.
    pub fn normalize(&self, text: &[u8]) -> Normalized {
        let tape = run::<true>(self.capcode, self.norm, text);
        Normalized { bytes: tape.bytes, raw_end: tape.raw_end }
    }

    pub(super) fn normalize_unmapped(&self, text: &[u8]) -> Vec<u8> {
        run::<false>(self.capcode, self.norm, text).bytes
    }
}

/// The one bit of `norm` that is supported.
pub(super) const NFD: u8 = 1;

/// Normalises `text` for a vocabulary that is yet to be made.
pub(super) fn normalized(text: &[u8], capcode: Capcode) -> Vec<u8> {
    run::<false>(capcode, NFD, text).bytes
}

fn run<const MAPPED: bool>(capcode: Capcode, norm: u8, text: &[u8]) -> Tape<MAPPED> {
    let active = if norm == NFD { decompose::first_active(text) } else { None };
    let decomposed = active.map(|from| decompose::decompose::<MAPPED>(text, from));
    let source = match &decomposed {
        Some(decomposed) => decomposed.source(),
        None => Source { bytes: text, ends: None },
    };
    let mut tape = Tape::with_capacity(source.bytes.len() + source.bytes.len() / 8 + 16);
    match capcode {
        Capcode::None => tape.copy(source, 0..source.bytes.len()),
        Capcode::Delete => capcode::encode_delete(source, &mut tape),
        Capcode::Full => capitals::encode_full(source, &mut tape),
    }
    tape
}

/// Bytes to be written on, with the raw offset that each of them reaches.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) bytes: &'a [u8],
    /// Absent for the raw text itself.
    pub(super) ends: Option<&'a [u32]>,
}

impl Source<'_> {
    pub(super) fn end(&self, at: usize) -> u32 {
        self.ends.map_or(at as u32 + 1, |ends| ends[at])
    }
}

/// Bytes as they are written, with their map unless nobody asked for it.
pub(super) struct Tape<const MAPPED: bool> {
    pub(super) bytes: Vec<u8>,
    pub(super) raw_end: Vec<u32>,
}

impl<const MAPPED: bool> Tape<MAPPED> {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mapped = if MAPPED { bytes } else { 0 };
        Self { bytes: Vec::with_capacity(bytes), raw_end: Vec::with_capacity(mapped) }
    }

    pub(super) fn source(&self) -> Source<'_> {
        Source { bytes: &self.bytes, ends: MAPPED.then_some(&self.raw_end) }
    }

    /// Copies bytes that keep their offsets.
    pub(super) fn copy(&mut self, source: Source<'_>, range: Range<usize>) {
        if MAPPED {
            match source.ends {
                Some(ends) => self.raw_end.extend_from_slice(&ends[range.clone()]),
                None => self.raw_end.extend(range.start as u32 + 1..=range.end as u32),
            }
        }
        self.bytes.extend_from_slice(&source.bytes[range]);
    }

    /// Appends bytes that stand for no text.
    pub(super) fn insert(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if MAPPED {
            let reached = self.reached();
            self.raw_end.resize(self.bytes.len(), reached);
        }
    }

    /// Appends bytes that stand, as a whole, for the text up to `end`.
    pub(super) fn replace(&mut self, bytes: &[u8], end: u32) {
        self.insert(bytes);
        if MAPPED && let Some(last) = self.raw_end.last_mut() {
            *last = end;
        }
    }

    /// Puts `marker` before the space that stands last.
    pub(super) fn mark_last_space(&mut self, marker: u8) {
        self.bytes.pop();
        let end = self.raw_end.pop().unwrap_or(0);
        self.insert(&[marker]);
        self.replace(b" ", end);
    }

    /// Takes the bytes from `at` on off this tape.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let bytes = self.bytes.split_off(at);
        let raw_end = if MAPPED { self.raw_end.split_off(at) } else { Vec::new() };
        Self { bytes, raw_end }
    }

    fn reached(&self) -> u32 {
        self.raw_end.last().copied().unwrap_or(0)
    }
}
