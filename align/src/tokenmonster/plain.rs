//! The encoder as its rules read, without tables and look-ahead: what the fast one is held against.
//!
//! Every search tries all lengths, every candidate is weighed when its turn comes, and markers are
//! put in scalar by scalar.

use std::collections::HashMap;

use super::capcode::{Capcode, DELETE};
use super::format::{Record, Vocab};
use super::matcher::flag;
use super::scalar::{self, Class, First};

/// A vocabulary to look tokens up in.
pub(super) struct Plain<'a> {
    vocab: &'a Vocab,
    records: HashMap<&'a [u8], usize>,
}

/// A record that stands at a place, not yet emitted.
#[derive(Clone, Copy)]
struct Current<'a> {
    record: &'a Record,
    /// Its first space is not in the text, a delete marker having been emitted.
    spaced: bool,
}

impl Current<'_> {
    fn covers(self) -> usize {
        self.record.bytes.len() - usize::from(self.spaced)
    }
}

/// The best pair so far.
struct Best<'a> {
    score: i32,
    first: Current<'a>,
    second: Current<'a>,
}

impl<'a> Plain<'a> {
    pub(super) fn new(vocab: &'a Vocab) -> Self {
        let named = vocab.records.iter().enumerate();
        Self { vocab, records: named.map(|(index, record)| (&record.bytes[..], index)).collect() }
    }

    /// The ids of normalised text, each with where it ends; `None` for a byte without a token.
    pub(super) fn encode(&self, text: &[u8]) -> Vec<(Option<u32>, usize)> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let Some(record) = self.longest(&text[at..]) else {
                at += 1;
                out.push((self.vocab.unk_id, at));
                continue;
            };
            let mut current = Current { record, spaced: false };
            while let Some(best) = self.best_pair(text, at, current) {
                at += best.first.covers();
                out.push((Some(best.first.record.id), at));
                if best.second.spaced {
                    out.push((self.vocab.delete_id, at));
                }
                current = best.second;
            }
            at += current.covers();
            out.push((Some(current.record.id), at));
        }
        out
    }

    fn longest(&self, text: &[u8]) -> Option<&'a Record> {
        let lens = 1..=text.len().min(usize::from(self.vocab.max_len));
        let index = lens.rev().find_map(|len| self.records.get(&text[..len]))?;
        Some(&self.vocab.records[*index])
    }

    /// The class of the byte at a place, 0 behind the text.
    fn class(&self, text: &[u8], at: usize) -> u8 {
        self.vocab.cls[usize::from(text.get(at).copied().unwrap_or(0))]
    }

    fn best_pair(&self, text: &[u8], at: usize, current: Current<'a>) -> Option<Best<'a>> {
        let behind = at + current.covers();
        let one_word = current.record.flags & flag::ONE_WORD != 0;
        if behind >= text.len() || one_word && self.class(text, behind) == 12 {
            return None;
        }
        let mut best: Option<Best> = None;
        let mut offers = Vec::new();
        let Record { alt1, alt2, .. } = current.record;
        let alternatives = [*alt1, *alt2].into_iter().flatten();
        let alternatives = alternatives.map(|index| &self.vocab.records[index as usize]);
        for record in std::iter::once(current.record).chain(alternatives) {
            let first = Current { record, ..current };
            let rest = &text[at + first.covers()..];
            let Some(record) = self.longest(rest) else { continue };
            let second = Current { record, spaced: false };
            offers.push((first, second));
            let inside_word = record.flags & flag::BEGINS_WITH_LETTER != 0 && record.n_words == 0;
            let letter_follows = self.class(rest, record.bytes.len()) == 1;
            if inside_word
                && letter_follows
                && self.vocab.delete_id.is_some()
                && let Some(record) = self.longest(&[b" ", rest].concat())
                && record.bytes.len() > second.covers() + 1
            {
                offers.push((first, Current { record, spaced: true }));
            }
        }
        // Pairs without a space put in win over those with one, and then the first.
        offers.sort_by_key(|(_, second)| second.spaced);
        for (first, second) in offers {
            let score = self.score(text, at, current, first, second);
            if best.as_ref().is_none_or(|best| best.score < score) {
                best = Some(Best { score, first, second });
            }
        }
        best
    }

    fn score(
        &self,
        text: &[u8],
        at: usize,
        current: Current<'_>,
        first: Current<'_>,
        second: Current<'_>,
    ) -> i32 {
        let worth = |record: &Record| {
            let words = i32::from(record.n_words);
            100 * words + (words - 1).max(0) + i32::from(record.flags & flag::ONE_KIND != 0)
        };
        let covers = first.covers() + second.covers();
        let mut score = covers as i32 + worth(first.record) + worth(second.record);
        let has = |record: &Record, bit: u8| record.flags & bit != 0;
        if first.spaced {
            score -= if first.record.n_words >= 2 { 101 } else { 100 };
        }
        let behind = self.class(text, at + covers);
        score += i32::from(behind == 12) + if behind >= 8 { 100 } else { 0 };
        if has(second.record, flag::ENDS_WITH_LETTER) && behind == 1 {
            score -= 3;
        }
        if has(first.record, flag::ENDS_WITH_MARKER) && has(second.record, flag::BEGINS_WITH_MARKER)
        {
            score -= 100;
        }
        let letter = second.spaced || has(second.record, flag::BEGINS_WITH_LETTER);
        if has(first.record, flag::ENDS_WITH_LETTER) && letter {
            score -= 103;
        }
        if second.spaced {
            score -= 1;
        } else if has(second.record, flag::BEGINS_WITH_SPACE) {
            score += 1;
        }
        if first.record.bytes != current.record.bytes {
            score -= match covers.cmp(&current.covers()) {
                std::cmp::Ordering::Less => 100,
                std::cmp::Ordering::Equal => 10_000,
                std::cmp::Ordering::Greater => 0,
            };
        }
        score
    }
}

/// Text with delete markers, as the rule reads; the text is NFD.
pub(super) fn with_delete_markers(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut previous, mut before_previous) = (Class::Other, Class::Other);
    let mut at = 0;
    while at < text.len() {
        let (class, width) = match scalar::first(&text[at..]) {
            First::Whole(scalar, width) => (scalar::class(scalar), width),
            First::Broken | First::Unfinished => (Class::Other, 1),
        };
        let joins = previous.is_letter()
            || matches!(previous, Class::Space | Class::Mark)
            || previous == Class::Apostrophe && before_previous.is_letter();
        let wanted = class.is_letter() && !joins
            || class == Class::Number && !matches!(previous, Class::Space | Class::Number);
        if wanted {
            out.extend([DELETE, b' ']);
        }
        match text[at] {
            DELETE => out.push(0x14),
            _ => out.extend(&text[at..at + width]),
        }
        (before_previous, previous) = (previous, class);
        at += width;
    }
    out
}

/// Whether the text needs no decomposition, so that [`with_delete_markers`] says what it becomes.
pub(super) fn is_settled(vocab: &Vocab, text: &[u8]) -> bool {
    vocab.capcode == Capcode::Delete
        && (!vocab.decomposes() || super::decompose::first_active(text).is_none())
}
