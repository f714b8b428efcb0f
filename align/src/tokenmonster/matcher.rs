//! The records and the next-byte table in the form the encoder reads them in.
//!
//! Knows longest matches, and a pair's score as far as its two records and the byte behind them decide
//! it; which pairs there are and which of them wins is in `walk`.
//!
//! All that a step looks up is put together beforehand and small, because the next step waits for it:
//! 18 bytes for a record that stands first, 8 for one behind it.

use super::automaton::{Automaton, BLOCK, Step, state};
use super::format::{LONGEST, Record};

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

/// The bits of how two tokens meet: the first's end and the second's beginning have the same.
const LETTER_MEETS: u8 = 1;
const MARKER_MEETS: u8 = 2;
/// What a pair loses by what meets in it.
const MEETING: [i16; 4] = [0, 103, 100, 203];

/// A record and the shorter ones that it may give way to, side by side. Where there are fewer than
/// two of those the record stands for itself: of pairs that are alike the first wins.
///
/// Ids are elsewhere: what the next step waits for is this, and it should be small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choices {
    /// Their shares of a pair's score, and those where their first space is not in the text.
    scores: [[i16; 3]; 2],
    lens: [u8; 3],
    /// What may meet at their ends.
    bits: [u8; 3],
}

/// A bit beside those: it is a space and a word, which a space behind it leaves as it is.
const WORD: u8 = 4;

/// A record as the first token of a pair.
#[derive(Clone, Copy)]
pub(super) struct First {
    /// How many bytes of the text it covers.
    pub(super) len: usize,
    score: i32,
    bits: u8,
}

impl Choices {
    fn new(all: [&Record; 3]) -> Self {
        let bits = all.map(|record| {
            let has = |bit: u8| record.flags & bit != 0;
            bits([
                (LETTER_MEETS, has(flag::ENDS_WITH_LETTER)),
                (MARKER_MEETS, has(flag::ENDS_WITH_MARKER)),
                (WORD, has(flag::ONE_WORD)),
            ])
        });
        let score = |record: &Record| worth(record) + record.bytes.len() as i16;
        // Such a space makes a byte and a word less.
        let less = |record: &Record| 101 + i16::from(record.n_words >= 2);
        Self {
            scores: [all.map(score), all.map(|record| score(record) - less(record))],
            lens: all.map(|record| record.bytes.len() as u8),
            bits,
        }
    }

    /// How many bytes of the text a choice covers; `missing` is 1 where its first space is not there.
    #[inline]
    pub(super) fn covers(&self, choice: usize, missing: usize) -> usize {
        usize::from(self.lens[choice]) - missing
    }

    #[inline]
    pub(super) fn is_word(&self) -> bool {
        self.bits[0] & WORD != 0
    }

    #[inline]
    pub(super) fn first(&self, choice: usize, missing: usize) -> First {
        First {
            len: self.covers(choice, missing),
            score: i32::from(self.scores[missing & 1][choice]),
            bits: self.bits[choice],
        }
    }
}

fn bits<const N: usize>(all: [(u8, bool); N]) -> u8 {
    all.iter().fold(0, |bits, (bit, is_set)| bits | if *is_set { *bit } else { 0 })
}

/// What a record adds to a score as either token of a pair, besides its length.
fn worth(record: &Record) -> i16 {
    let words = i16::from(record.n_words);
    i16::from(record.flags & flag::ONE_KIND != 0) + (words - 1).max(0) + 100 * words
}

/// A record as the second token of a pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Second {
    pub(super) handle: Handle,
    /// Its share of a pair's score.
    score: i16,
    /// How many bytes of the text it covers.
    pub(super) len: u8,
    bits: u8,
}

/// The bits of a second token beside what may meet at its beginning: it ends with a letter.
const ENDS_WITH_LETTER: u8 = 4;
/// It is inside a word, and where letters go on behind it, one that a space is put before covers
/// more.
const GROWS: u8 = 8;

impl Second {
    /// No record: worth so little that a pair with it loses to every pair of two records.
    const NONE: Self = Self { handle: 0, score: -20_000, len: 0, bits: 0 };

    /// A record, perhaps with a first space that is not in the text but put in. That space is no
    /// merit, and the letter behind it counts.
    fn new(records: &[Record], handle: Handle, spaced: bool) -> Self {
        let Some(index) = handle.checked_sub(1) else { return Self::NONE };
        let record = &records[index as usize];
        let len = record.bytes.len() as i16;
        let has = |bit: u8| record.flags & bit != 0;
        let bits = bits([
            (LETTER_MEETS, spaced || has(flag::BEGINS_WITH_LETTER)),
            (MARKER_MEETS, has(flag::BEGINS_WITH_MARKER)),
            (ENDS_WITH_LETTER, has(flag::ENDS_WITH_LETTER)),
        ]);
        let space = if spaced { -2 } else { i16::from(has(flag::BEGINS_WITH_SPACE)) };
        Self { handle, score: worth(record) + len + space, len: len as u8 - u8::from(spaced), bits }
    }
}

/// What a byte behind a pair of tokens adds to the pair's score, by whether a letter ends the pair.
#[derive(Clone, Copy, Debug, Default)]
struct Behind {
    scores: [i16; 2],
    /// [`GROWS`] for a letter.
    grows: u8,
    is_space: bool,
}

const LETTER: u8 = 1;
const SPACE: u8 = 12;
/// Classes from here on begin a token of their own.
const BOUNDARY: u8 = 8;

impl Behind {
    fn new(class: u8) -> Self {
        let score = i16::from(class == SPACE) + 100 * i16::from(class >= BOUNDARY);
        let is_letter = class == LETTER;
        let scores = [score, score - 3 * i16::from(is_letter)];
        let grows = if is_letter { GROWS } else { 0 };
        Self { scores, grows, is_space: class == SPACE }
    }
}

/// Looks up records at a place in a text.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    automaton: Automaton,
    /// By state of the automaton: the longest record, and the longest that is a space and then what
    /// stands there.
    longest: Vec<Second>,
    spaced: Vec<Second>,
    /// By record.
    choices: Vec<Choices>,
    ids: Vec<[u32; 3]>,
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
        let (automaton, found) = Automaton::new(&strings);
        let spaced: Vec<Second> = found
            .iter()
            .map(|found| Second::new(records, found.spaced, found.spaced != 0))
            .collect();
        let longest = found.iter().zip(&spaced).map(|(found, spaced)| {
            let mut second = Second::new(records, found.longest, false);
            let inside_word = |index: u32| {
                let record = &records[index as usize];
                record.flags & flag::BEGINS_WITH_LETTER != 0 && record.n_words == 0
            };
            if found.longest.checked_sub(1).is_some_and(inside_word) && spaced.len > second.len {
                second.bits |= GROWS;
            }
            second
        });
        let choices = || {
            records.iter().map(|record| {
                let or =
                    |other: Option<u32>| other.map_or(record, |other| &records[other as usize]);
                [record, or(record.alt1), or(record.alt2)]
            })
        };
        Self {
            longest: longest.collect(),
            automaton,
            spaced,
            choices: choices().map(Choices::new).collect(),
            ids: choices().map(|all| all.map(|record| record.id)).collect(),
            behind: cls.map(Behind::new),
        }
    }

    /// Looks up what begins at `at` and at the places behind it, as many as there are and fit.
    pub(super) fn read_ahead(&self, text: &[u8], at: usize, ahead: &mut Ahead) {
        ahead.from = at;
        ahead.end = self.automaton.scan(text, at, &mut ahead.steps);
        for (longest, step) in ahead.longest.iter_mut().zip(&ahead.steps[..ahead.end - at]) {
            *longest = self.longest[state(*step)];
        }
    }

    /// The longest record that is a space and then what stands at a place.
    pub(super) fn spaced(&self, place: usize, ahead: &Ahead) -> Second {
        self.spaced[state(ahead.steps[place - ahead.from])]
    }

    /// A record, which must be one, and its alternatives.
    #[inline]
    pub(super) fn choices(&self, handle: Handle) -> &Choices {
        &self.choices[handle as usize - 1]
    }

    /// The id of a choice of a record.
    #[inline]
    pub(super) fn id(&self, handle: Handle, choice: usize) -> u32 {
        self.ids[handle as usize - 1][choice]
    }

    #[inline]
    pub(super) fn is_space(&self, byte: u8) -> bool {
        self.behind[usize::from(byte)].is_space
    }

    /// The score of two tokens with this byte behind them, and whether with a space put in between
    /// the second covers more.
    #[expect(clippy::inline_always, reason = "the three choices are weighed side by side")]
    #[inline(always)]
    pub(super) fn score(&self, first: First, second: Second, byte: u8) -> (i32, bool) {
        let behind = &self.behind[usize::from(byte)];
        let ends = usize::from(second.bits & ENDS_WITH_LETTER != 0);
        let meeting = MEETING[usize::from(first.bits & second.bits & 3)];
        let score = first.score + i32::from(second.score) + i32::from(behind.scores[ends])
            - i32::from(meeting);
        (score, second.bits & behind.grows != 0)
    }
}

/// What begins at the places that come next.
pub(super) struct Ahead {
    from: usize,
    /// Where what was read ahead ends.
    pub(super) end: usize,
    steps: Vec<Step>,
    longest: Vec<Second>,
}

impl Ahead {
    /// Room to read a text of this length ahead.
    pub(super) fn new(len: usize) -> Self {
        let len = len.min(BLOCK);
        Self { from: 0, end: 0, steps: vec![0; len + LONGEST], longest: vec![Second::NONE; len] }
    }

    /// The longest record at a place that was read ahead.
    #[inline]
    pub(super) fn longest(&self, place: usize) -> Second {
        self.longest[place - self.from]
    }
}
