//! The engine as a scorer: many passages are read in passes of many rows, and of each row's logits no more
//! than a few numbers are kept. As every sum is taken in one order, a passage has the same score, bit by
//! bit, whatever it is scored with.

#![expect(unsafe_code, reason = "members write to rows of their own")]

use std::ops::Range;

use super::decoder::{Part, Pass, Room};
use super::forest::{Asked, Forest, order};
use super::isa::Work;
use super::lanes::Lanes;
use super::maths::{exp, largest, sum};
use super::model::Native;
use super::team::Shared;
use crate::error::ModelError;
use crate::language_model::LanguageModel;
use crate::model::{Passage, Score, check_passage};

/// Ids that are in the cache at once, about: the more there are, the more is shared, and the farther the
/// beginning of a passage may stand from its end, between which attention looks at every place.
const FOREST: usize = 256;

/// Rows of a pass, at most.
const ROWS: usize = 384;

/// Logits that are held at once, at most.
const LOGITS: usize = 1 << 21;

impl Native {
    /// Scores passages. What was read before is forgotten.
    pub(super) fn score_many(
        &mut self,
        passages: &[Passage<'_>],
    ) -> Result<Vec<Score>, ModelError> {
        let (rows, context) = (self.rows(), self.context());
        for passage in passages {
            check_passage(passage, rows)?;
            let wanted = passage.read().len();
            if wanted > context {
                return Err(ModelError::Context { wanted, context });
            }
        }
        self.truncate(0);
        let mut scores = vec![Score { log_likelihood: 0.0, greedy: true }; passages.len()];
        let mut forest = Forest::default();
        for index in order(passages) {
            forest.add(index, &passages[index], self.window);
            if forest.ids.len() >= FOREST {
                self.read(&mut forest, &mut scores);
            }
        }
        self.read(&mut forest, &mut scores);
        Ok(scores)
    }

    /// Reads a forest, adds what it says to the scores, and forgets it.
    fn read(&mut self, forest: &mut Forest, scores: &mut [Score]) {
        self.cache.reserve(forest.ids.len());
        self.reserve_places(forest.seen.iter().map(|seen| seen.position + 1).max().unwrap_or(0));
        forest.asked.sort_by_key(|own| own.row);
        let mut asked = &forest.asked[..];
        for (piece, ids) in forest.ids.chunks(ROWS).enumerate() {
            let first = piece * ROWS;
            let pass = Pass {
                weights: &self.weights,
                cache: &self.cache,
                seen: &forest.seen[first..first + ids.len()],
                turns: (&self.cosines, &self.sines),
                wanted: &[],
            };
            pass.read(ids, &mut self.room);
            let own = asked.partition_point(|own| own.row < first + ids.len());
            pass.score((&asked[..own], first), &mut self.room, scores);
            asked = &asked[own..];
            self.cache.advance(ids.len());
        }
        self.cache.truncate(0);
        forest.clear();
    }
}

/// Some rows of logits and what is asked of them.
struct Chunk<'a> {
    asked: &'a [Asked],
    /// Which of the pass's rows.
    rows: Vec<usize>,
    /// Where what is asked of each row begins, and the end.
    firsts: Vec<usize>,
}

impl<'a> Chunk<'a> {
    /// As many rows as `most` from the beginning of what is asked, and what is left of it. The pass's
    /// first row is `first`.
    fn take(asked: &'a [Asked], first: usize, most: usize) -> (Self, &'a [Asked]) {
        let (mut rows, mut firsts) = (Vec::new(), Vec::new());
        let mut end = asked.len();
        for (index, own) in asked.iter().enumerate() {
            if rows.last() != Some(&(own.row - first)) {
                if rows.len() == most {
                    end = index;
                    break;
                }
                rows.push(own.row - first);
                firsts.push(index);
            }
        }
        firsts.push(end);
        let (asked, rest) = asked.split_at(end);
        (Self { asked, rows, firsts }, rest)
    }
}

impl Pass<'_> {
    /// Behind [`Pass::read`]: adds logarithms of the probabilities of what is asked to the scores.
    fn score(&self, (mut asked, first): (&[Asked], usize), room: &mut Room, scores: &mut [Score]) {
        let width = self.weights.config.vocab_size;
        let most = (LOGITS / width).max(1);
        let (mut totals, mut picked) = (Shared::new(), Shared::new());
        while !asked.is_empty() {
            let (chunk, rest) = Chunk::take(asked, first, most);
            room.logits.reserve(chunk.rows.len() * width);
            totals.reserve(2 * chunk.rows.len());
            picked.reserve(chunk.asked.len());
            self.share(room, &|part: &Part<'_>| {
                part.head(&chunk.rows);
                part.member.meet();
                let rows = part.member.share(chunk.rows.len());
                let work = Judging {
                    logits: &part.room.logits,
                    width,
                    chunk: &chunk,
                    rows,
                    output: (&totals, &picked),
                };
                // SAFETY: the processor has the instructions; rows are shared out.
                unsafe { part.room.isa.run(work) };
            });
            let picked = picked.values();
            for (totals, own) in totals.values().chunks_exact(2).zip(chunk.firsts.windows(2)) {
                let logarithm = f64::from(totals[1]).ln();
                for index in own[0]..own[1] {
                    let score = &mut scores[chunk.asked[index].passage];
                    score.log_likelihood += f64::from(picked[index] - totals[0]) - logarithm;
                    score.greedy &= picked[index] >= totals[0];
                }
            }
            asked = rest;
        }
    }
}

/// Of some rows of logits the largest, the sum of all `e^(logit - largest)`, and the logits of the ids that
/// are asked for.
///
/// # Safety
/// Nobody writes to the logits, or uses these rows of the output, meanwhile.
struct Judging<'a> {
    logits: &'a Shared<f32>,
    width: usize,
    chunk: &'a Chunk<'a>,
    rows: Range<usize>,
    output: (&'a Shared<f32>, &'a Shared<f32>),
}

impl Work for Judging<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Chunk { asked, firsts, .. } = self.chunk;
        for row in self.rows {
            // SAFETY: the caller's.
            unsafe {
                let logits = self.logits.part(row * self.width, self.width);
                let most = largest(logits);
                let total = sum(logits, |logit| exp(logit - most));
                self.output.0.part_mut(2 * row, 2).copy_from_slice(&[most, total]);
                for index in firsts[row]..firsts[row + 1] {
                    self.output.1.part_mut(index, 1)[0] = logits[asked[index].id as usize];
                }
            }
        }
    }
}
