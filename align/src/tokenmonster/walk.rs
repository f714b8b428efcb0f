//! The encoder's loop: the longest match, weighed against splits that look one token ahead.
//!
//! Knows the candidates and the order they win in, and nothing of raw text. The ids go to a sink.
//!
//! What begins at each place is read ahead, a block at a time (`automaton`). All candidates of a place
//! are then weighed without a branch between them, those that are not there as well, because how they
//! compare cannot be predicted: the best is the largest of three numbers, or of six. That the current
//! record stays can be predicted, nine times in ten, and so the next step does not wait for the scores.

use std::hint::select_unpredictable;

use super::format::LONGEST;
use super::matcher::{Ahead, Choices, Handle, Matcher, Second};

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

/// Where a record stands that is not yet emitted.
#[derive(Clone, Copy)]
struct Place<'a> {
    at: usize,
    choices: &'a Choices,
    /// 1 where its first space is not in the text, a delete marker having been emitted.
    missing: usize,
}

impl Place<'_> {
    /// How many bytes of the text a choice covers.
    #[inline]
    fn covers(self, choice: usize) -> usize {
        self.choices.covers(choice, self.missing)
    }
}

/// A pair of tokens as one number, so that the larger is the better: the score, the rank, the second
/// token's handle.
type Pair = i64;
const SCORE_SHIFT: u32 = 35;
const RANK_SHIFT: u32 = 32;

/// The rank of a pair: which choice stands first, from 2 down to 0 so that the current record wins
/// over its alternatives, and whether all this is without a space put in.
const CHOICE: i64 = 3;
const CURRENT: i64 = 2;
const PLAIN: i64 = 4;

impl Walk<'_> {
    /// Cuts the whole text.
    pub(super) fn run(&self, unk_id: Option<u32>, sink: &mut impl Sink) {
        let mut ahead = Ahead::new(self.end);
        // Where to read ahead again.
        let mut enough = 0;
        let mut at = 0;
        let mut handle: Handle = 0;
        // 1 where the first space of the current record is not in the text, a delete marker having
        // been emitted.
        let mut missing = 0;
        while at < self.end {
            if at >= enough {
                self.matcher.read_ahead(&self.text[..self.end], at, &mut ahead);
                enough = if ahead.end == self.end { ahead.end } else { ahead.end - LONGEST };
            }
            if handle == 0 {
                handle = ahead.longest(at).handle;
                missing = 0;
                if handle == 0 {
                    at += 1;
                    match unk_id {
                        Some(id) => sink.unknown(id, at),
                        None => sink.dropped(at),
                    }
                    continue;
                }
            }
            let place = Place { at, choices: self.matcher.choices(handle), missing };
            let end = at + place.covers(0);
            if end == self.end {
                sink.emit(self.matcher.id(handle, 0), end);
                break;
            }
            if let Some(pair) = self.best_change(place, end, &ahead) {
                let rank = pair >> RANK_SHIFT;
                let choice = (CURRENT - (rank & CHOICE)) as usize;
                at += place.covers(choice);
                sink.emit(self.matcher.id(handle, choice), at);
                missing = usize::from(rank & PLAIN == 0);
                if missing == 1
                    && let Some(marker) = self.delete_id
                {
                    sink.emit(marker, at);
                }
                handle = pair as Handle;
            } else {
                at = end;
                sink.emit(self.matcher.id(handle, 0), at);
                missing = 0;
                handle = ahead.longest(at).handle;
            }
        }
    }

    /// The best pair, unless that is the current record, which ends at `end`, and the one behind it.
    #[expect(clippy::inline_always, reason = "the three choices are weighed side by side")]
    #[inline(always)]
    fn best_change(&self, place: Place<'_>, end: usize, ahead: &Ahead) -> Option<Pair> {
        if place.choices.is_word() && self.matcher.is_space(self.text[end]) {
            return None;
        }
        let (first, one) = self.weigh(place, 0, ahead);
        let (second, other) = self.weigh(place, 1, ahead);
        let (third, another) = self.weigh(place, 2, ahead);
        let mut best = first.max(second).max(third);
        if (one | other | another) && self.delete_id.is_some() {
            best = best.max(self.best_spaced(place, [one, other, another], ahead));
        }
        // One without a second record is the best only where no pair has one.
        (best != first && best as Handle != 0).then_some(best)
    }

    /// The pair of a choice and the record behind it, and whether one with a space put in between
    /// covers more.
    #[expect(clippy::inline_always, reason = "the three choices are weighed side by side")]
    #[inline(always)]
    fn weigh(&self, place: Place<'_>, choice: usize, ahead: &Ahead) -> (Pair, bool) {
        let second = ahead.longest(place.at + place.covers(choice));
        let (score, grows) = self.score(place, choice, second);
        (pair(score, rank(choice, true), second.handle), grows)
    }

    /// The best pair with a space put in between, behind those choices where that covers more.
    fn best_spaced(&self, place: Place<'_>, grows: [bool; 3], ahead: &Ahead) -> Pair {
        let mut best = Pair::MIN;
        for (choice, grows) in grows.into_iter().enumerate() {
            let behind = place.at + place.covers(choice);
            let second = self.matcher.spaced(behind, ahead);
            let (score, _) = self.score(place, choice, second);
            let pair = pair(score, rank(choice, false), second.handle);
            best = select_unpredictable(grows && pair > best, pair, best);
        }
        best
    }

    /// The score of a pair whose first token is this choice, and whether the second covers more with a
    /// space put in between.
    #[expect(clippy::inline_always, reason = "the three choices are weighed side by side")]
    #[inline(always)]
    fn score(&self, place: Place<'_>, choice: usize, second: Second) -> (i32, bool) {
        let Place { at, choices, missing } = place;
        let first = choices.first(choice, missing);
        let covers = first.len + usize::from(second.len);
        let (score, grows) = self.matcher.score(first, second, self.text[at + covers]);
        let current = place.covers(0);
        let alternative = choice != 0;
        let less = i32::from(alternative && covers < current);
        // More than all else: with a space put in, the same record could come back for ever.
        let the_same = i32::from(alternative && covers == current);
        (score - 100 * less - 10_000 * the_same, grows)
    }
}

#[inline]
fn rank(choice: usize, plain: bool) -> i64 {
    CURRENT - choice as i64 + if plain { PLAIN } else { 0 }
}

#[inline]
fn pair(score: i32, rank: i64, second: Handle) -> Pair {
    i64::from(score) << SCORE_SHIFT | rank << RANK_SHIFT | i64::from(second)
}
