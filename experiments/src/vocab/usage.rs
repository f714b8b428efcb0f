//! How a text is cut by a tokenizer: how many tokens, and which how often. Knows no file.

use align::Tokenizer;
use anyhow::Result;
use rayon::prelude::*;

use super::texts::Texts;

/// Counts over a text.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Bytes of the text.
    pub bytes: u64,
    /// Ids.
    pub tokens: u64,
    /// Of each id.
    pub counts: Vec<u64>,
}

impl Usage {
    /// Encodes the text and counts; `progress` is told the bytes of each piece.
    pub fn measure(
        tokenizer: &Tokenizer,
        texts: &Texts,
        progress: impl Fn(u64) + Sync,
    ) -> Result<Self> {
        let rows = tokenizer.vocabulary().rows();
        let mut usage = texts
            .pieces
            .par_iter()
            .try_fold(
                || Self { counts: vec![0; rows], ..Self::default() },
                |mut usage, piece| {
                    let ids = tokenizer.encode_reference(piece, false)?;
                    usage.tokens += ids.len() as u64;
                    for id in ids {
                        usage.counts[id as usize] += 1;
                    }
                    progress(piece.len() as u64);
                    Ok::<_, anyhow::Error>(usage)
                },
            )
            .try_reduce(Self::default, |one, other| Ok(one.and(other)))?;
        usage.bytes = texts.bytes;
        Ok(usage)
    }

    fn and(mut self, mut other: Self) -> Self {
        if self.counts.len() < other.counts.len() {
            std::mem::swap(&mut self, &mut other);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self.tokens += other.tokens;
        self
    }

    /// Bytes of text for each id.
    pub fn bytes_per_token(&self) -> f64 {
        self.bytes as f64 / self.tokens.max(1) as f64
    }

    /// How many ids the text uses.
    pub fn used(&self) -> usize {
        self.counts.iter().filter(|count| **count > 0).count()
    }

    /// Ids by how often they are used, the most used first; of equals the lower first.
    pub fn ranking(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = (0..self.counts.len() as u32).collect();
        ids.sort_by_key(|&id| (std::cmp::Reverse(self.counts[id as usize]), id));
        ids
    }
}
