//! The records and the next-byte table in the form the encoder reads them in.
//!
//! Knows longest matches and how much of a score each record and byte contributes by itself; how
//! two records are weighed together is in `walk`.

use super::format::Record;
use super::trie::{DEAD, Search, Trie};

/// The bits of a record's flags.
pub(super) mod flag {
    pub(in super::super) const ENDS_WITH_LETTER: u8 = 1;
    pub(in super::super) const BEGINS_WITH_LETTER: u8 = 2;
    pub(in super::super) const BEGINS_WITH_SPACE: u8 = 4;
    pub(in super::super) const ENDS_WITH_MARKER: u8 = 8;
    pub(in super::super) const BEGINS_WITH_MARKER: u8 = 16;
    pub(in super::super) const ONE_WORD: u8 = 32;
    pub(in super::super) const ONE_KIND: u8 = 128;
}

/// A record + 1; 0 is none.
pub(super) type Handle = u32;

/// What the encoder asks of a record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    pub(super) id: u32,
    pub(super) len: u8,
    pub(super) flags: u8,
    pub(super) words: u8,
    /// What it adds to a score as either token of a pair.
    pub(super) worth: i16,
}

impl Entry {
    fn new(record: &Record) -> Self {
        let words = i16::from(record.n_words);
        let one_kind = i16::from(record.flags & flag::ONE_KIND != 0);
        Self {
            id: record.id,
            len: record.bytes.len() as u8,
            flags: record.flags,
            words: record.n_words,
            worth: one_kind + (words - 1).max(0) + 100 * words,
        }
    }

    pub(super) fn has(self, bit: u8) -> bool {
        self.flags & bit != 0
    }
}

/// A shorter record that a record may give way to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alternative {
    /// 0 where there is none.
    pub(super) handle: Handle,
    /// The search for what follows it, having read the rest of the record.
    pub(super) search: Search,
}

impl Alternative {
    fn new(trie: &Trie, record: &Record, records: &[Record], index: Option<u32>) -> Self {
        let Some(index) = index else { return Self::default() };
        let rest = &record.bytes[records[index as usize].bytes.len()..];
        Self { handle: index + 1, search: trie.resume(trie.start(), rest) }
    }
}

/// What a byte behind a pair of tokens adds to the pair's score.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behind {
    pub(super) worth: i16,
    pub(super) is_letter: bool,
    pub(super) is_space: bool,
}

const LETTER: u8 = 1;
const SPACE: u8 = 12;
/// Classes from here on begin a token of their own.
const BOUNDARY: u8 = 8;

/// Looks up records at a place in a text.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    trie: Trie,
    after_space: Search,
    /// By handle; entry 0 is no record's.
    entries: Vec<Entry>,
    alternatives: Vec<[Alternative; 2]>,
    behind: [Behind; 256],
}

impl Default for Matcher {
    fn default() -> Self {
        Self::new(&[], &[0; 256])
    }
}

impl Matcher {
    pub(super) fn new(records: &[Record], cls: &[u8; 256]) -> Self {
        let strings: Vec<&[u8]> = records.iter().map(|record| record.bytes.as_slice()).collect();
        let trie = Trie::new(&strings);
        let behind = |class: u8| Behind {
            worth: i16::from(class == SPACE) + 100 * i16::from(class >= BOUNDARY),
            is_letter: class == LETTER,
            is_space: class == SPACE,
        };
        let after_space = trie.resume(trie.start(), b" ");
        let pair = |record: &Record| {
            [record.alt1, record.alt2].map(|index| Alternative::new(&trie, record, records, index))
        };
        let none = std::iter::once([Alternative::default(); 2]);
        let alternatives = none.chain(records.iter().map(pair)).collect();
        let entries = records.iter().map(Entry::new);
        Self {
            after_space: Search { longest: 0, ..after_space },
            trie,
            entries: std::iter::once(Entry::default()).chain(entries).collect(),
            alternatives,
            behind: cls.map(behind),
        }
    }

    /// The records, to be searched one byte at a time.
    pub(super) fn trie(&self) -> &Trie {
        &self.trie
    }

    /// The longest record that `text` begins with.
    #[inline]
    pub(super) fn longest(&self, text: &[u8]) -> Handle {
        self.trie.longest(text)
    }

    /// The longest record that follows an alternative, `text` being what follows the record that
    /// gives way.
    #[inline]
    pub(super) fn longest_after(&self, alternative: Alternative, text: &[u8]) -> Handle {
        if alternative.search.place == DEAD {
            return alternative.search.longest;
        }
        self.trie.resume(alternative.search, text).longest
    }

    /// The longest record that is a space and then bytes that `text` begins with, if it is more
    /// than the space.
    pub(super) fn longest_after_space(&self, text: &[u8]) -> Handle {
        self.trie.resume(self.after_space, text).longest
    }

    /// The alternatives of a record.
    #[inline]
    pub(super) fn alternatives(&self, handle: Handle) -> &[Alternative; 2] {
        &self.alternatives[handle as usize]
    }

    #[inline]
    pub(super) fn entry(&self, handle: Handle) -> Entry {
        self.entries[handle as usize]
    }

    #[inline]
    pub(super) fn behind(&self, byte: u8) -> Behind {
        self.behind[usize::from(byte)]
    }
}
