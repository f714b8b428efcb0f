//! The encoder's loop: the longest match, weighed against splits that look one token ahead.
//!
//! Knows the scores of the candidates and the order they win in, and nothing of raw text. It
//! allocates nothing; the ids go to a sink.

use std::cmp::Ordering;

use super::matcher::{Behind, Entry, Handle, Matcher, flag};

/// Where ids go, each with the normalised offset it ends at.
pub(super) trait Sink {
    fn emit(&mut self, id: u32, end: usize);
    fn unknown(&mut self, id: u32, end: usize);
    fn dropped(&mut self, end: usize);
}

/// A text to be cut into records.
pub(super) struct Walk<'a> {
    pub(super) matcher: &'a Matcher,
    /// The normalised bytes and a zero behind them.
    pub(super) text: &'a [u8],
    pub(super) end: usize,
    pub(super) delete_id: Option<u32>,
}

/// The record that stands at a place, not yet emitted.
#[derive(Clone, Copy)]
struct Current {
    handle: Handle,
    entry: Entry,
    /// How many bytes of the text it covers.
    covers: usize,
    /// 1 where its first space is not in the text, a delete marker having been emitted.
    fd: u8,
}

/// A place to cut: the first token, and what its share of a pair's score is.
#[derive(Clone, Copy)]
struct Split {
    rank: i32,
    first: Entry,
    /// How many bytes of the text the first token covers.
    covers: usize,
    /// How many bytes the current record covers.
    instead_of: usize,
    score: i32,
}

/// The best pair so far, by its second record.
#[derive(Clone, Copy)]
struct Best {
    /// The score and, below it, the rank: the higher of two is the better pair.
    key: i32,
    second: Handle,
}

/// The bits of a key that hold the rank.
const RANK_BITS: u32 = 3;
const RANK: i32 = (1 << RANK_BITS) - 1;
/// The rank of a split after the current record; that after its alternatives is 1 and 2 less.
const FIRST_RANK: i32 = 6;
/// How much lower the same split ranks with a space put behind it.
const SPACED: i32 = 3;

impl Walk<'_> {
    /// Cuts the whole text.
    pub(super) fn run(&self, unk_id: Option<u32>, sink: &mut impl Sink) {
        let mut at = 0;
        while at < self.end {
            let handle = self.matcher.longest(&self.text[at..self.end]);
            if handle == 0 {
                at += 1;
                match unk_id {
                    Some(id) => sink.unknown(id, at),
                    None => sink.dropped(at),
                }
                continue;
            }
            let mut current = self.current(handle, 0);
            while let Some(best) = self.best_pair(at, current) {
                let rank = best.key & RANK;
                let spaced = rank <= FIRST_RANK - SPACED;
                let split = Split::new(self, current, if spaced { rank + SPACED } else { rank });
                at += split.covers;
                sink.emit(split.first.id, at);
                if spaced && let Some(marker) = self.delete_id {
                    sink.emit(marker, at);
                }
                current = self.current(best.second, u8::from(spaced));
            }
            at += current.covers;
            sink.emit(current.entry.id, at);
        }
    }

    #[inline]
    fn current(&self, handle: Handle, fd: u8) -> Current {
        let entry = self.matcher.entry(handle);
        Current { handle, entry, covers: usize::from(entry.len - fd), fd }
    }

    /// The best way to go on with something other than `current` and a fresh search behind it.
    #[inline]
    fn best_pair(&self, at: usize, current: Current) -> Option<Best> {
        let behind = at + current.covers;
        let one_word = current.entry.has(flag::ONE_WORD);
        if behind >= self.end || one_word && self.matcher.behind(self.text[behind]).is_space {
            return None;
        }
        let mut best = Best { key: i32::MIN, second: 0 };
        let rest = &self.text[behind..self.end];
        self.consider(at, current, FIRST_RANK, self.matcher.longest(rest), &mut best);
        let [alt1, alt2] = self.matcher.alternatives(current.handle);
        if alt1.handle != 0 {
            let second = self.matcher.longest_after(*alt1, rest);
            self.consider(at, current, FIRST_RANK - 1, second, &mut best);
            if alt2.handle != 0 {
                let second = self.matcher.longest_after(*alt2, rest);
                self.consider(at, current, FIRST_RANK - 2, second, &mut best);
            }
        }
        (best.second != 0).then_some(best)
    }

    /// Offers the split of this rank with the record behind it, and the same split with a space
    /// put behind it where that covers more.
    #[inline]
    fn consider(&self, at: usize, current: Current, rank: i32, handle: Handle, best: &mut Best) {
        if handle == 0 {
            return;
        }
        let split = Split::new(self, current, rank);
        let rest = &self.text[at + split.covers..];
        let second = self.matcher.entry(handle);
        let len = usize::from(second.len);
        let behind = self.matcher.behind(rest[len]);
        let score = split.score(second, len, behind)
            + i32::from(second.has(flag::BEGINS_WITH_SPACE))
            - 103 * i32::from(split.first.flags & second.flags >> 1 & flag::ENDS_WITH_LETTER);
        best.offer(score, rank, handle);

        let inside_word = second.has(flag::BEGINS_WITH_LETTER) && second.words == 0;
        if !behind.is_letter || !inside_word || self.delete_id.is_none() {
            return;
        }
        let handle = self.matcher.longest_after_space(&rest[..rest.len() - 1]);
        let second = self.matcher.entry(handle);
        if usize::from(second.len) > len + 1 {
            let len = usize::from(second.len) - 1;
            let score = split.score(second, len, self.matcher.behind(rest[len]))
                - 103 * i32::from(split.first.flags & flag::ENDS_WITH_LETTER)
                - 1;
            best.offer(score, rank - SPACED, handle);
        }
    }
}

impl Split {
    #[inline]
    fn new(walk: &Walk<'_>, current: Current, rank: i32) -> Self {
        let [alt1, alt2] = walk.matcher.alternatives(current.handle);
        let first = if rank == FIRST_RANK {
            current.entry
        } else if rank == FIRST_RANK - 1 {
            walk.matcher.entry(alt1.handle)
        } else {
            walk.matcher.entry(alt2.handle)
        };
        // A space that is not in the text makes one word less.
        let missing = if current.fd == 1 { 100 + i32::from(first.words >= 2) } else { 0 };
        Self {
            rank,
            first,
            covers: usize::from(first.len - current.fd),
            instead_of: current.covers,
            score: i32::from(first.worth) - missing,
        }
    }

    /// The terms of the score that are the same with and without a space put in.
    #[inline]
    fn score(&self, second: Entry, len: usize, behind: Behind) -> i32 {
        let total = self.covers + len;
        let markers = self.first.flags >> 3 & second.flags >> 4 & 1;
        let inside_word = second.flags & flag::ENDS_WITH_LETTER & u8::from(behind.is_letter);
        let no_gain = match total.cmp(&self.instead_of) {
            _ if self.rank == FIRST_RANK => 0,
            Ordering::Less => 100,
            // More than all else: with a space put in, the same record could come back for ever.
            Ordering::Equal => 10_000,
            Ordering::Greater => 0,
        };
        self.score + total as i32 + i32::from(second.worth) + i32::from(behind.worth)
            - 100 * i32::from(markers)
            - 3 * i32::from(inside_word)
            - no_gain
    }
}

impl Best {
    #[inline]
    fn offer(&mut self, score: i32, rank: i32, second: Handle) {
        let key = score << RANK_BITS | rank;
        if key > self.key {
            *self = Self { key, second };
        }
    }
}
