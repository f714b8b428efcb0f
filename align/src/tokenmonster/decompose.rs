//! Stream-safe canonical decomposition (NFD) of bytes that need not be UTF-8.
//!
//! Knows the 30 non-starters after which a joiner comes in between, and keeps the raw offset of
//! every byte it writes. It does not know capcode.

use unicode_normalization::char::{canonical_combining_class, decompose_canonical};

use super::normalize::{Source, Tape};
use super::scalar::{self, First};
use super::swar;

/// The most non-starters that may follow one another.
const LONGEST_RUN: usize = 30;
/// What comes in between where more would follow.
const JOINER: &str = "\u{34F}";

/// Where the first scalar stands that decomposition could change or reorder, if any does.
pub(super) fn first_active(text: &[u8]) -> Option<usize> {
    next_active(text, 0)
}

fn next_active(text: &[u8], mut at: usize) -> Option<usize> {
    while at < text.len() {
        at += swar::ascii_len(&text[at..]);
        if at == text.len() {
            return None;
        }
        match scalar::first(&text[at..]) {
            First::Whole(scalar, _) if !is_inert(scalar) => return Some(at),
            First::Whole(_, width) => at += width,
            First::Broken | First::Unfinished => at += 1,
        }
    }
    None
}

fn is_inert(scalar: char) -> bool {
    // No scalar below has a decomposition or combines, and this much of Latin-1 and of the
    // general punctuation is most of what prose has beside ASCII.
    if scalar < '\u{C0}' || ('\u{2010}'..='\u{203F}').contains(&scalar) {
        return true;
    }
    let mut unchanged = true;
    decompose_canonical(scalar, |part| unchanged &= part == scalar);
    unchanged && canonical_combining_class(scalar) == 0
}

/// Decomposes `text`, whose first `inert` bytes are known to stay as they are.
pub(super) fn decompose<const MAPPED: bool>(text: &[u8], inert: usize) -> Tape<MAPPED> {
    let raw = Source { bytes: text, ends: None };
    let mut tape = Tape::with_capacity(text.len() + text.len() / 4 + 16);
    tape.copy(raw, 0..inert);
    let mut writer = Writer { tape, waiting: Vec::new(), run: 0 };
    let mut parts = Vec::new();
    let mut at = inert;
    while at < text.len() {
        let active = next_active(text, at).unwrap_or(text.len());
        if active > at {
            writer.settle();
            writer.run = 0;
            writer.tape.copy(raw, at..active);
            at = active;
        }
        if let First::Whole(scalar, width) = scalar::first(&text[at..]) {
            parts.clear();
            decompose_canonical(scalar, |part| {
                parts.push((part, canonical_combining_class(part)));
            });
            writer.scalar(&parts, scalar, at as u32, (at + width) as u32);
            at += width;
        }
    }
    writer.settle();
    writer.tape
}

/// A non-starter that waits for its place among its neighbours.
struct Waiting {
    scalar: char,
    class: u8,
    start: u32,
    end: u32,
    /// Whether its bytes are those of the raw text.
    exact: bool,
}

struct Writer<const MAPPED: bool> {
    tape: Tape<MAPPED>,
    waiting: Vec<Waiting>,
    run: usize,
}

impl<const MAPPED: bool> Writer<MAPPED> {
    /// One raw scalar at `start..end` with its parts and their combining classes.
    fn scalar(&mut self, parts: &[(char, u8)], raw: char, start: u32, end: u32) {
        let lead = parts.iter().take_while(|part| part.1 != 0).count();
        let trail = parts.iter().rev().take_while(|part| part.1 != 0).count();
        if self.run + lead > LONGEST_RUN {
            self.settle();
            self.tape.insert(JOINER.as_bytes());
            self.run = 0;
        }
        self.run = if lead < parts.len() { trail } else { self.run + lead };
        let exact = matches!(parts, [(only, _)] if *only == raw);
        for (place, &(scalar, class)) in parts.iter().enumerate() {
            let last = place + 1 == parts.len();
            let part = Waiting { scalar, class, start, end: if last { end } else { start }, exact };
            if class == 0 {
                self.settle();
                self.write(&part);
            } else {
                self.waiting.push(part);
            }
        }
    }

    /// Writes out the non-starters that wait, in canonical order.
    fn settle(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        if waiting.is_sorted_by_key(|part| part.class) {
            for part in &waiting {
                self.write(part);
            }
        } else {
            let end = waiting.iter().map(|part| part.end).max().unwrap_or(0);
            waiting.sort_by_key(|part| part.class);
            // Once the order changes no offset inside the group is true of the bytes before it,
            // so the group counts as read only at its last byte.
            let text: String = waiting.iter().map(|part| part.scalar).collect();
            self.tape.replace(text.as_bytes(), end);
        }
        waiting.clear();
        self.waiting = waiting;
    }

    fn write(&mut self, part: &Waiting) {
        let mut buffer = [0; 4];
        let bytes = part.scalar.encode_utf8(&mut buffer).as_bytes();
        if part.exact {
            for (place, byte) in bytes.iter().enumerate() {
                self.tape.replace(&[*byte], part.start + place as u32 + 1);
            }
        } else {
            self.tape.replace(bytes, part.end);
        }
    }
}
