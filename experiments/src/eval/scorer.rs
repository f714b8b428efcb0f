//! The one place that scores: passages of any suite, many at once. This project's own engine is given
//! portions of them and reads what they have in common once; libtorch reads them by length, longest first.
//! Knows a model and passages; where these come from and what scores mean is the suites'.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use draft::config::Shape;
use draft::model::{Passage, Score, Texts, is_native};
use draft::{Compute, LanguageModel, Model};
use serde::Serialize;

use crate::source::Described;

/// Ids that libtorch reads in one pass, on a CPU and on a GPU. On a CPU passes of 512 to 8,192 take as
/// long as each other.
const PASS: (usize, usize) = (1 << 10, 1 << 16);

/// Ids of passages that a model which orders its passes itself is given at once: it reads what they have in
/// common once, and progress is shown between.
const PORTION: usize = 1 << 15;

/// A passage of fewer eighths of the longest of its pass waits for the next one.
const FULL_EIGHTHS: usize = 7;

/// What scoring took; loading, tokenising and reading files are not in it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cost {
    /// Tokens that were scored.
    pub scored_tokens: u64,
    /// Tokens that the model read, filling left out.
    pub read_tokens: u64,
    /// Seconds in the model.
    pub seconds: f64,
}

impl Cost {
    /// Scored tokens a second.
    pub fn rate(&self) -> f64 {
        self.scored_tokens as f64 / self.seconds.max(1e-9)
    }
}

enum Reader {
    /// Reads a matrix of ids.
    ByLength(Box<Texts>),
    /// Orders its passes itself.
    InOrder(Box<dyn LanguageModel>),
}

/// A model that scores.
pub struct Scorer {
    reader: Reader,
    pass: usize,
    cost: Cost,
}

impl Scorer {
    /// Loads the weights of a model.
    pub fn load(model: &Described, compute: Compute) -> Result<Self> {
        let load = || -> Result<Reader> {
            let shape = &model.config.shape;
            let by_length = Texts::context_of(shape).is_some() && !is_native(shape, compute)?;
            Ok(if by_length {
                Reader::ByLength(Box::new(Texts::load(&model.located.folder, compute)?))
            } else {
                Reader::InOrder(Model::load(&model.located.folder, compute)?.network)
            })
        };
        let reader = load().with_context(|| format!("cannot load the model `{}`", model.name))?;
        let pass = if compute.device.is_cuda() { PASS.1 } else { PASS.0 };
        Ok(Self { reader, pass, cost: Cost::default() })
    }

    /// Ids that a model of this shape reads of one passage, at most.
    pub fn context_of(shape: &Shape) -> usize {
        Texts::context_of(shape).unwrap_or_else(|| shape.decoder().context)
    }

    /// What scoring took since this was asked last.
    pub fn take_cost(&mut self) -> Cost {
        std::mem::take(&mut self.cost)
    }

    /// Scores passages, in their order; `advance` hears how many more are done.
    pub fn score(
        &mut self,
        passages: &[Passage<'_>],
        advance: &mut dyn FnMut(u64),
    ) -> Result<Vec<Score>> {
        let lengths: Vec<usize> = passages.iter().map(|passage| passage.read().len()).collect();
        let mut scores = vec![Score { log_likelihood: 0.0, greedy: true }; passages.len()];
        let passes = match self.reader {
            Reader::ByLength(_) => passes(&lengths, self.pass),
            Reader::InOrder(_) => portions(&lengths),
        };
        for pass in passes {
            let read: Vec<Passage<'_>> = pass.iter().map(|&index| passages[index]).collect();
            for (&index, score) in pass.iter().zip(self.pass(&read)?) {
                scores[index] = score;
            }
            advance(pass.len() as u64);
        }
        Ok(scores)
    }

    fn pass(&mut self, passages: &[Passage<'_>]) -> Result<Vec<Score>> {
        let started = Instant::now();
        let scores = match &mut self.reader {
            Reader::ByLength(texts) => texts.score(passages)?,
            Reader::InOrder(model) => model.score(passages)?,
        };
        if !scores.iter().all(|score| score.log_likelihood.is_finite()) {
            bail!(
                "the model's logits are no finite numbers; check its weights, or try --dtype fp32"
            );
        }
        self.cost.seconds += started.elapsed().as_secs_f64();
        let sum =
            |count: fn(&Passage<'_>) -> usize| passages.iter().map(count).sum::<usize>() as u64;
        self.cost.scored_tokens += sum(|passage| passage.scored().len());
        self.cost.read_tokens += sum(|passage| passage.read().len());
        Ok(scores)
    }
}

/// Indices of passages of these lengths in their order, portion by portion.
fn portions(lengths: &[usize]) -> Vec<Vec<usize>> {
    let (mut portions, mut size): (Vec<Vec<usize>>, usize) = (Vec::new(), PORTION);
    for (index, length) in lengths.iter().enumerate() {
        if size >= PORTION {
            portions.push(Vec::new());
            size = 0;
        }
        size += length;
        portions.last_mut().into_iter().for_each(|portion| portion.push(index));
    }
    portions
}

/// Indices of passages of these lengths, pass by pass: the longest first, up to `most` ids a pass
/// with filling, and in one pass only what is nearly as long as its first.
fn passes(lengths: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(lengths[index]));
    let mut passes: Vec<Vec<usize>> = Vec::new();
    for index in order {
        let fits = |pass: &&mut Vec<usize>| {
            let longest = lengths[pass[0]];
            (pass.len() + 1) * longest <= most && lengths[index] * 8 >= longest * FULL_EIGHTHS
        };
        match passes.last_mut().filter(fits) {
            Some(pass) => pass.push(index),
            None => passes.push(vec![index]),
        }
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_passage_is_in_one_pass(lengths in prop::collection::vec(1usize..60, 0..200)) {
            let passes = passes(&lengths, 64);
            let mut seen: Vec<usize> = passes.concat();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for pass in &passes {
                let longest = lengths[pass[0]];
                prop_assert!(pass.len() == 1 || pass.len() * longest <= 64);
                let is_like = |&index: &usize| {
                    lengths[index] <= longest && lengths[index] * 8 >= longest * 7
                };
                prop_assert!(pass.iter().all(is_like));
            }
            let firsts: Vec<usize> = passes.iter().map(|pass| lengths[pass[0]]).collect();
            prop_assert!(firsts.is_sorted_by(|one, next| one >= next));
        }
    }

    #[test]
    fn portions_keep_the_order() {
        let portions = portions(&[PORTION / 3; 8]);
        assert_eq!(portions.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
        assert_eq!(portions.concat(), (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn passages_of_one_length_fill_their_passes() {
        let passes = passes(&[8; 100], 64);
        assert_eq!(passes.len(), 13);
        assert!(passes[..12].iter().all(|pass| pass.len() == 8));
    }
}
