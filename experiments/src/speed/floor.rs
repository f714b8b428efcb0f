//! The read floor: the time in which so many threads read so many bytes, each its own share, and add them
//! up. Plain memory; knows no model.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::figures::median;

/// Passes between two looks at the clock, so that starting threads is no part of the figure.
const PASSES: u32 = 16;

/// Such batches at least, and the time that they take together at least.
const FEWEST: usize = 3;
const SPAN: Duration = Duration::from_millis(100);

/// Sums that are kept side by side, as many as fill the registers of a wide processor.
const LANES: usize = 64;

/// Memory to be read.
#[derive(Debug)]
pub(super) struct Floor {
    words: Vec<u64>,
    threads: usize,
}

impl Floor {
    /// Memory of so many bytes, for so many threads.
    pub(super) fn new(bytes: u64, threads: usize) -> Self {
        let count = bytes.div_ceil(8);
        Self { words: (0..count).collect(), threads: threads.max(1) }
    }

    /// Seconds in which all of it is read once, the median of repeated passes.
    pub(super) fn seconds(&self) -> f64 {
        self.read(1);
        let (mut batches, begin) = (Vec::new(), Instant::now());
        while batches.len() < FEWEST || begin.elapsed() < SPAN {
            let since = Instant::now();
            black_box(self.read(PASSES));
            batches.push(since.elapsed().as_secs_f64() / f64::from(PASSES));
        }
        median(&batches)
    }

    /// Reads all of it so often and gives the sum of its words.
    fn read(&self, passes: u32) -> u64 {
        let share = self.words.len().div_ceil(self.threads).max(1);
        let all = |words: &[u64]| {
            (0..passes).fold(0u64, |sum, _| sum.wrapping_add(add(black_box(words))))
        };
        std::thread::scope(|scope| {
            let mut shares = self.words.chunks(share);
            let own = shares.next().unwrap_or_default();
            let others: Vec<_> = shares.map(|words| scope.spawn(move || all(words))).collect();
            let sum = all(own);
            let others = others.into_iter().map(|other| other.join().unwrap_or_default());
            others.fold(sum, u64::wrapping_add)
        })
    }
}

/// The sum of words, in lanes that do not wait for each other.
fn add(words: &[u64]) -> u64 {
    let mut lanes = [0u64; LANES];
    let pieces = words.chunks_exact(LANES);
    let rest = pieces.remainder().iter().copied().fold(0, u64::wrapping_add);
    for piece in pieces {
        for (lane, word) in lanes.iter_mut().zip(piece) {
            *lane = lane.wrapping_add(*word);
        }
    }
    lanes.iter().copied().fold(rest, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_once_a_pass() {
        for (words, threads) in [(1000u64, 1), (1000, 3), (5, 8), (LANES as u64, 2)] {
            let floor = Floor::new(8 * words - 3, threads);
            assert_eq!(floor.words.len() as u64, words);
            assert_eq!(floor.read(2), words * (words - 1), "{words} words, {threads} threads");
        }
    }
}
