//! From many candidates to as many tokens as are wanted: rounds that encode a sample of the text and
//! drop what saves least, then rounds that bring the best of the dropped back on trial.

use std::collections::HashMap;

use super::super::error::VocabError;
use super::super::format::Vocab;
use super::corpus::{Corpus, Sample};
use super::worth::worth;
use super::{Build, Progress};

/// Bytes of text that a round encodes while there are many candidates, for each of them.
const BYTES_A_CANDIDATE: u64 = 250;
/// And at least, at most.
const SMALLEST_SAMPLE: u64 = 4 << 20;
/// Rounds of trials at the end.
const TRIALS: usize = 24;

/// The share of the tokens wanted that a trial brings back: one in so many.
const TRIED: usize = 40;
/// Bytes of text that decide a trial, and how often each trial encodes them.
const TRIAL_SAMPLE: u64 = 12 << 20;
const TRIAL_ROUNDS: u64 = 4;

/// Tokens with what each saved, for each byte of text, when last it was measured.
type Valued = Vec<(Vec<u8>, f64)>;

/// The pruning of one build.
pub(super) struct Pruning<'a> {
    build: Build,
    corpus: &'a Corpus,
    wanted: usize,
    done: u64,
    seed: u64,
}

impl<'a> Pruning<'a> {
    pub(super) fn new(build: Build, corpus: &'a Corpus, wanted: usize) -> Self {
        Self { build, corpus, wanted, done: 0, seed: build.seed }
    }

    /// The tokens that are left of `tokens`.
    pub(super) fn run(
        mut self,
        mut tokens: Vec<Vec<u8>>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Vec<u8>>, VocabError> {
        let total = self.plan(tokens.len());
        let mut dropped = Valued::new();
        while tokens.len() > self.wanted {
            let sample = self.next_sample(tokens.len());
            let mut valued = self.value(tokens, &sample)?;
            dropped.extend(valued.split_off(self.after(valued.len())));
            tokens = valued.into_iter().map(|(token, _)| token).collect();
            self.done += sample.bytes;
            progress(Progress { done: self.done, total });
        }
        self.trials(tokens, dropped, &mut |done| progress(Progress { done, total }))
    }

    /// How many tokens are left after a round with `count`: fewer are dropped at a time the nearer
    /// the end is, for tokens that could stand in for each other must not go together.
    fn after(&self, count: usize) -> usize {
        let part = match count / self.wanted.max(1) {
            8.. => 4,
            4.. => 6,
            2.. => 10,
            _ => 25,
        };
        (count - (count / part).max(1)).max(self.wanted)
    }

    fn sample_size(&self, count: usize) -> u64 {
        (count as u64 * BYTES_A_CANDIDATE).max(SMALLEST_SAMPLE).min(self.corpus.bytes)
    }

    fn next_sample(&mut self, count: usize) -> Sample<'a> {
        self.seed = self.seed.wrapping_add(1);
        self.corpus.sample(self.sample_size(count), self.seed)
    }

    /// Bytes of text that will be encoded.
    fn plan(&self, mut count: usize) -> u64 {
        let mut total = 0;
        while count > self.wanted {
            total += self.sample_size(count);
            count = self.after(count);
        }
        total + TRIALS as u64 * TRIAL_ROUNDS * self.corpus.bytes.min(TRIAL_SAMPLE)
    }

    /// What each token saves on a sample, the most valuable first.
    fn value(&self, tokens: Vec<Vec<u8>>, sample: &Sample) -> Result<Valued, VocabError> {
        let vocab = self.build.assemble(&tokens)?;
        let counts = sample.count(&vocab);
        let worth = worth(&vocab, &counts);
        let by_token = by_token(&vocab, &worth);
        let of = |token: Vec<u8>| {
            let saved = by_token.get(token.as_slice()).copied().unwrap_or(0);
            (token, saved as f64 / sample.bytes as f64)
        };
        let mut valued: Valued = tokens.into_iter().map(of).collect();
        // A stable sort: of equals that stays first which was first before.
        valued.sort_by(|one, other| other.1.total_cmp(&one.1));
        Ok(valued)
    }

    /// Brings dropped tokens back on trial, drops as many others, and keeps what encodes better.
    fn trials(
        mut self,
        mut tokens: Vec<Vec<u8>>,
        mut dropped: Valued,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Vec<u8>>, VocabError> {
        dropped.sort_by(|one, other| other.1.total_cmp(&one.1));
        let mut dropped = dropped.into_iter().map(|(token, _)| token);
        for _ in 0..TRIALS {
            self.seed = self.seed.wrapping_add(1);
            let sample = self.corpus.sample(TRIAL_SAMPLE, self.seed);
            let tried: Vec<Vec<u8>> = dropped.by_ref().take((self.wanted / TRIED).max(1)).collect();
            if !tried.is_empty() {
                let changed = self.exchanged(&tokens, &tried, &sample)?;
                if self.ids(&changed, &sample)? < self.ids(&tokens, &sample)? {
                    tokens = changed;
                }
            }
            self.done += TRIAL_ROUNDS * sample.bytes;
            progress(self.done);
        }
        Ok(tokens)
    }

    /// The best of `tokens` and `tried`, as many as are wanted, found in two steps.
    fn exchanged(
        &self,
        tokens: &[Vec<u8>],
        tried: &[Vec<u8>],
        sample: &Sample,
    ) -> Result<Vec<Vec<u8>>, VocabError> {
        let mut left = [tokens, tried].concat();
        for count in [self.wanted + tried.len() / 2, self.wanted] {
            let valued = self.value(left, sample)?;
            left = valued.into_iter().take(count).map(|(token, _)| token).collect();
        }
        Ok(left)
    }

    /// How many ids a sample has.
    fn ids(&self, tokens: &[Vec<u8>], sample: &Sample) -> Result<u64, VocabError> {
        Ok(sample.count(&self.build.assemble(tokens)?).iter().sum())
    }
}

fn by_token<'a>(vocab: &'a Vocab, worth: &[u64]) -> HashMap<&'a [u8], u64> {
    let own = vocab.records.iter().filter(|record| !record.is_duplicate());
    own.map(|record| (record.bytes.as_slice(), worth[record.id as usize])).collect()
}
