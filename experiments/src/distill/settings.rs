//! The part of a recipe that makes a training run a distillation: whose draft, towards which target,
//! on which text, by which loss. Runs nothing.

use anyhow::{Result, bail};
use draft::train::Divergence;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A recipe's `[distill]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// The model folder that training begins with.
    #[serde(default)]
    pub draft: String,
    /// The model that it is to resemble: a folder, a registry name or a Hub id.
    #[serde(default)]
    pub target: String,
    /// Whose text is learnt from.
    pub text: TextOf,
    /// What is minimised.
    pub objective: Objective,
    /// How many of the target's most probable shared tokens are kept for each position.
    pub top_k: usize,
    /// The temperature that the target writes at, and at which the two laws are compared.
    pub temperature: f64,
    /// Pieces of text for training, at most.
    pub pieces: usize,
    /// Pieces of other documents for evaluation.
    pub evaluation_pieces: usize,
    /// Bytes of a piece, at most.
    pub piece_bytes: usize,
    /// Target tokens of a piece that the target goes on from.
    pub prompt_tokens: usize,
    /// Tokens that it writes, at most.
    pub max_new: usize,
    /// Pieces that the target reads at once.
    pub teacher_batch: usize,
}

/// Whose text is learnt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TextOf {
    /// The data itself.
    Data,
    /// What the target writes behind the beginnings of pieces of the data (sequence-level
    /// distillation, Kim & Rush, 1606.07947).
    Target,
}

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Cross entropy of the text's own ids, which needs no common token.
    CrossEntropy,
    /// The forward divergence from the target's law, [`Divergence::ForwardKl`].
    ForwardKl,
    /// The reverse divergence, [`Divergence::ReverseKl`].
    ReverseKl,
    /// The total variation, [`Divergence::TotalVariation`].
    TotalVariation,
    /// The chance of acceptance, in logarithms, [`Divergence::LogAcceptance`].
    LogAcceptance,
}

impl Objective {
    /// The divergence between laws; `None` for cross entropy.
    pub fn divergence(self) -> Option<Divergence> {
        match self {
            Self::CrossEntropy => None,
            Self::ForwardKl => Some(Divergence::ForwardKl),
            Self::ReverseKl => Some(Divergence::ReverseKl),
            Self::TotalVariation => Some(Divergence::TotalVariation),
            Self::LogAcceptance => Some(Divergence::LogAcceptance),
        }
    }
}

impl Distillation {
    /// Refuses values that mean nothing.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("top_k", self.top_k),
            ("pieces", self.pieces),
            ("piece_bytes", self.piece_bytes),
            ("prompt_tokens", self.prompt_tokens),
            ("max_new", self.max_new),
            ("teacher_batch", self.teacher_batch),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            bail!("`distill.{name}` is at least 1");
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            bail!("`distill.temperature` is above 0");
        }
        Ok(())
    }
}
