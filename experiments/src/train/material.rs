//! What a training run learns from, sequence by sequence: blocks of packed text here, a teacher's
//! lessons in [`crate::distill`]. Knows no optimiser's step and no file of a run.

use anyhow::{Result, bail};
use draft::train::{Tokens, Trainer};
use tch::Tensor;

use super::recipe::{Evaluation, Recipe};
use crate::data::tokens::Prepared;

/// What a run learns from.
pub trait Material {
    /// Sequences, each of which is read once an epoch.
    fn sequences(&self) -> usize;

    /// Tokens of some sequences.
    fn tokens(&self, sequences: &[usize]) -> u64;

    /// Reads sequences and adds the gradients of `share` times their mean loss. Gives the mean loss,
    /// on the device.
    fn learn(&self, trainer: &mut Trainer, sequences: &[usize], share: f64) -> Result<Tensor>;

    /// What the model makes of the text that is kept for evaluation; `None` where there is none.
    fn evaluate(&self, trainer: &Trainer, settings: Evaluation) -> Result<Option<Measured>>;

    /// Bits a byte of a training loss, where it is one of text.
    fn bits_per_byte(&self, loss: f64) -> Option<f64>;
}

/// An evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Mean loss.
    pub loss: f64,
    /// Tokens that were predicted.
    pub tokens: u64,
    /// Bits a byte, where the loss is one of text.
    pub bits_per_byte: Option<f64>,
    /// Mean acceptance rate of a drafted token, where a target's laws are known.
    pub acceptance: Option<f64>,
}

/// Packed text, cut into blocks.
pub struct Blocks<'a> {
    data: &'a Prepared,
    length: usize,
}

impl<'a> Blocks<'a> {
    /// The blocks of a recipe's length; at least one.
    pub fn new(data: &'a Prepared, recipe: &Recipe) -> Result<Self> {
        let length = recipe.packing.length;
        if data.train.len() < length {
            bail!(
                "the data has {} tokens for training, less than one block of {length}",
                data.train.len()
            );
        }
        Ok(Self { data, length })
    }
}

impl Material for Blocks<'_> {
    fn sequences(&self) -> usize {
        self.data.train.len() / self.length
    }

    fn tokens(&self, sequences: &[usize]) -> u64 {
        (sequences.len() * self.length) as u64
    }

    fn learn(&self, trainer: &mut Trainer, sequences: &[usize], share: f64) -> Result<Tensor> {
        let length = self.length;
        let ids: Vec<i64> = sequences
            .iter()
            .flat_map(|block| self.data.train.range(block * length, length).map(i64::from))
            .collect();
        let ids = Tensor::f_from_slice(&ids)?.f_view([-1, length as i64])?;
        Ok(trainer.read(&ids, share)?)
    }

    fn evaluate(&self, trainer: &Trainer, settings: Evaluation) -> Result<Option<Measured>> {
        let (tokens, length) = (&self.data.evaluation, self.length);
        let blocks = (tokens.len() / length).min(settings.max_blocks);
        if blocks == 0 {
            return Ok(None);
        }
        let (mut sum, mut done) = (0.0, 0);
        while done < blocks {
            let count = settings.sequences.min(blocks - done);
            let ids: Vec<i64> =
                tokens.range(done * length, count * length).map(i64::from).collect();
            let ids = Tensor::f_from_slice(&ids)?.f_view([count as i64, length as i64])?;
            sum += trainer.evaluate(&ids)? * count as f64;
            done += count;
        }
        let loss = sum / blocks as f64;
        Ok(Some(Measured {
            loss,
            tokens: (blocks * (length - 1)) as u64,
            bits_per_byte: Some(bits(loss, tokens, self.data.counts.evaluation_bytes)),
            acceptance: None,
        }))
    }

    fn bits_per_byte(&self, loss: f64) -> Option<f64> {
        Some(bits(loss, &self.data.train, self.data.counts.train_bytes))
    }
}

/// Bits a byte of a loss in nats a token, on text of so many tokens and bytes.
fn bits(loss: f64, tokens: &Tokens, bytes: u64) -> f64 {
    loss / std::f64::consts::LN_2 * tokens.len() as f64 / bytes.max(1) as f64
}
