//! What a model gives the last ids of texts, many texts at once: the measure of evaluations. Logits are
//! made of the scored places alone, a piece at a time, and none outlives its piece. Knows ids and
//! tensors; what a score is worth is for the caller to say.

use tch::{Device, Kind, Tensor};

use super::texts::Texts;
use crate::error::ModelError;
use crate::language_model::{LanguageModel, Wanted};

/// Logits of a piece, at most: they stay near a CPU's cache, and fill a GPU.
const LOGITS: (i64, i64) = (1 << 21, 1 << 27);

/// A text of which the last ids are scored.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'a> {
    ids: &'a [u32],
    scored: usize,
}

impl<'a> Passage<'a> {
    /// Of a text and how many of its last ids are scored.
    ///
    /// # Panics
    /// If none is scored, or none stands before them.
    pub fn new(ids: &'a [u32], scored: usize) -> Self {
        assert!(0 < scored && scored < ids.len(), "ids to score, and one before them");
        Self { ids, scored }
    }

    /// What the model reads: all ids but the last.
    pub fn read(&self) -> &'a [u32] {
        &self.ids[..self.ids.len() - 1]
    }

    /// The ids that are scored.
    pub fn scored(&self) -> &'a [u32] {
        &self.ids[self.ids.len() - self.scored..]
    }
}

/// What a model gives the scored ids of a passage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Σ ln p(id | all ids before it).
    pub log_likelihood: f64,
    /// Whether no id was more probable at any of the places.
    pub greedy: bool,
}

impl Texts {
    /// Scores passages, all in one pass over as many ids as the longest has for each. Passages of
    /// like lengths waste nothing.
    pub fn score(&mut self, passages: &[Passage<'_>]) -> Result<Vec<Score>, ModelError> {
        if passages.is_empty() {
            return Ok(Vec::new());
        }
        let _guard = tch::no_grad_guard();
        let rows = self.rows();
        for passage in passages {
            check(passage, rows)?;
        }
        let (ids, places) = matrix(passages);
        let stream = self.stream_at(&ids, &places)?;
        let hidden = self.stack.normed(&stream);
        let wanted: Vec<i64> =
            passages.iter().flat_map(Passage::scored).map(|&id| i64::from(id)).collect();
        let wanted = Tensor::from_slice(&wanted).f_to_device(self.compute.device)?.unsqueeze(1);
        let logits = if self.compute.device.is_cuda() { LOGITS.1 } else { LOGITS.0 };
        let size = (logits / rows as i64).max(1);
        let mut parts = Vec::new();
        for (hidden, wanted) in hidden.f_split(size, 0)?.iter().zip(wanted.f_split(size, 0)?) {
            let mut logits = self.stack.head.apply(hidden).f_to_kind(Kind::Float)?;
            logits -= logits.f_amax([-1i64], true)?;
            let picked = logits.f_gather(1, &wanted, false)?.f_squeeze_dim(1)?;
            let total = logits.f_exp_()?.f_sum_dim_intlist(-1i64, false, Kind::Float)?.f_log()?;
            let logs = (&picked - total).f_to_kind(Kind::Double)?;
            let greedy = picked.f_ge(0.0)?.f_to_kind(Kind::Double)?;
            parts.push(Tensor::f_stack(&[logs, greedy], 1)?.f_to_device(Device::Cpu)?);
        }
        let parts = Tensor::f_cat(&parts, 0)?.contiguous();
        let mut numbers = vec![0f64; parts.numel()];
        parts.f_copy_data(&mut numbers, parts.numel())?;
        Ok(sums(passages, &numbers))
    }
}

/// Scores a passage with a model that reads one text at a time; it has then read this one.
pub fn score_alone(
    model: &mut (impl LanguageModel + ?Sized),
    passage: &Passage<'_>,
) -> Result<Score, ModelError> {
    check(passage, model.rows())?;
    model.truncate(0);
    let (before, last) = passage.read().split_at(passage.read().len() - passage.scored);
    model.extend(before, Wanted::Last)?;
    let logits = model.extend(last, Wanted::All)?;
    let mut score = Score { log_likelihood: 0.0, greedy: true };
    for (place, &id) in passage.scored().iter().enumerate() {
        let row = logits.row(place);
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = row.iter().map(|&logit| f64::from(logit - most).exp()).sum();
        let picked = row[id as usize] - most;
        score.log_likelihood += f64::from(picked) - total.ln();
        score.greedy &= picked >= 0.0;
    }
    Ok(score)
}

pub(crate) fn check(passage: &Passage<'_>, rows: usize) -> Result<(), ModelError> {
    match passage.ids.iter().find(|&&id| id as usize >= rows) {
        Some(&id) => Err(ModelError::Id { id, rows }),
        None => Ok(()),
    }
}

/// What is read `[passages, longest]`, filled up with 0, and the places in it behind which the scored
/// ids stand.
fn matrix(passages: &[Passage<'_>]) -> (Tensor, Tensor) {
    let length = passages.iter().map(|passage| passage.read().len()).max().unwrap_or(0);
    let mut ids = vec![0i64; passages.len() * length];
    let mut places = Vec::new();
    for (row, passage) in passages.iter().enumerate() {
        let (first, read) = (row * length, passage.read());
        for (place, &id) in ids[first..].iter_mut().zip(read) {
            *place = i64::from(id);
        }
        let end = first + read.len();
        places.extend((end - passage.scored..end).map(|place| place as i64));
    }
    let ids = Tensor::from_slice(&ids).view([passages.len() as i64, length as i64]);
    (ids, Tensor::from_slice(&places))
}

/// Sums of pairs of a logarithm and a 1 where the id was a most probable one.
fn sums(passages: &[Passage<'_>], mut numbers: &[f64]) -> Vec<Score> {
    let of = |passage: &Passage<'_>| {
        let (own, rest) = numbers.split_at(2 * passage.scored);
        numbers = rest;
        Score {
            log_likelihood: own.iter().step_by(2).sum(),
            greedy: own.iter().skip(1).step_by(2).all(|&is_greedy| is_greedy > 0.0),
        }
    };
    passages.iter().map(of).collect()
}
