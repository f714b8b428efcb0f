//! The normalised text that a vocabulary is built from, in chunks, and how often the encoder uses
//! each token on some of them.

use rayon::prelude::*;

use super::super::capcode::Capcode;
use super::super::format::Vocab;
use super::super::normalize;
use super::super::walk::{Sink, Walk};

/// About how long a chunk is: long enough that its two ends do not matter, short enough that the
/// chunks can be shared out among threads and samples.
const CHUNK: usize = 32 << 10;

/// Text in chunks, each normalised, with a zero byte behind it.
pub(super) struct Corpus {
    chunks: Vec<Vec<u8>>,
    /// Bytes of all chunks.
    pub(super) bytes: u64,
}

impl Corpus {
    pub(super) fn new<T: AsRef<[u8]> + Sync>(texts: &[T], capcode: Capcode) -> Self {
        let chunks: Vec<Vec<u8>> = texts
            .par_iter()
            .flat_map_iter(|text| chunks(&normalize::normalized(text.as_ref(), capcode)))
            .collect();
        let bytes = chunks.iter().map(|chunk| chunk.len() as u64 - 1).sum();
        Self { chunks, bytes }
    }

    /// The chunks, without the zero byte.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(|chunk| &chunk[..chunk.len() - 1])
    }

    /// Chunks of at least `bytes` in all (or all chunks), chosen by `seed`.
    pub(super) fn sample(&self, bytes: u64, seed: u64) -> Sample<'_> {
        let mut order: Vec<usize> = (0..self.chunks.len()).collect();
        if bytes < self.bytes {
            order.sort_by_key(|&chunk| (scramble(seed, chunk as u64), chunk));
        }
        let mut sample = Sample { chunks: Vec::new(), bytes: 0 };
        for chunk in order.into_iter().map(|chunk| &self.chunks[chunk]) {
            if sample.bytes >= bytes {
                break;
            }
            sample.bytes += chunk.len() as u64 - 1;
            sample.chunks.push(chunk);
        }
        sample
    }

    /// Notes down the share of each token among all tokens of the text.
    pub(super) fn score(&self, vocab: &mut Vocab) {
        let counts = self.sample(u64::MAX, 0).count(vocab);
        let total = counts.iter().sum::<u64>().max(1) as f64;
        for record in vocab.records.iter_mut().filter(|record| !record.is_duplicate()) {
            record.score = (counts[record.id as usize] as f64 / total) as f32;
        }
    }
}

/// Cuts a normalised text before spaces.
fn chunks(mut text: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    while !text.is_empty() {
        let mut end = text.len();
        if end > CHUNK {
            let space = text[..CHUNK].iter().rposition(|&byte| byte == b' ');
            end = space.filter(|&at| at > CHUNK / 2).unwrap_or(CHUNK);
        }
        let mut chunk = Vec::with_capacity(end + 1);
        chunk.extend_from_slice(&text[..end]);
        chunk.push(0);
        chunks.push(chunk);
        text = &text[end..];
    }
    chunks
}

/// A number that looks random (`SplitMix64`).
fn scramble(seed: u64, place: u64) -> u64 {
    let mut z = seed.wrapping_add(1).wrapping_add(place).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// Some of the chunks.
pub(super) struct Sample<'a> {
    chunks: Vec<&'a Vec<u8>>,
    pub(super) bytes: u64,
}

impl Sample<'_> {
    /// How often the encoder uses each id.
    pub(super) fn count(&self, vocab: &Vocab) -> Vec<u64> {
        let ids = vocab.id_space as usize;
        let fold = |mut tally: Tally, chunk: &&Vec<u8>| {
            let walk = Walk {
                matcher: &vocab.matcher,
                text: chunk,
                end: chunk.len() - 1,
                delete_id: vocab.delete_id,
            };
            walk.run(None, &mut tally);
            tally
        };
        let add = |mut sum: Vec<u64>, other: Vec<u64>| {
            sum.iter_mut().zip(other).for_each(|(sum, count)| *sum += count);
            sum
        };
        self.chunks
            .par_iter()
            .fold(|| Tally { counts: vec![0; ids] }, fold)
            .map(|tally| tally.counts)
            .reduce(|| vec![0; ids], add)
    }
}

struct Tally {
    counts: Vec<u64>,
}

impl Sink for Tally {
    #[inline]
    fn emit(&mut self, id: u32, _end: usize) {
        self.counts[id as usize] += 1;
    }

    fn unknown(&mut self, id: u32, end: usize) {
        self.emit(id, end);
    }

    fn dropped(&mut self, _end: usize) {}
}
