//! The weights of a decoder: embedding, layers, norm, head. Reads whole texts for training; reading
//! with a cache is `network`'s.

use tch::Tensor;

use super::attention::Attention;
use super::delta::DeltaNet;
use super::layers::{FeedForward, Linear, Loader, RmsNorm};
use crate::error::ModelError;
use crate::rope::Rotation;

/// How a layer mixes positions.
#[derive(Debug)]
pub(super) enum Mixing {
    Attention(Attention),
    Delta(DeltaNet),
}

/// One layer of a decoder.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(super) before_mixing: RmsNorm,
    pub(super) mixing: Mixing,
    pub(super) before_feed_forward: RmsNorm,
    pub(super) feed_forward: FeedForward,
}

impl Layer {
    /// Reads whole texts `[batch, n, hidden]` that begin at position 0.
    pub(crate) fn read_texts(
        &self,
        stream: &Tensor,
        rotation: &Rotation,
    ) -> Result<Tensor, ModelError> {
        self.read_row(stream, rotation, &mut None)
    }

    /// Reads texts `[batch, n, hidden]` behind what is kept of them (see
    /// [`Attention::forward_row`]).
    pub(super) fn read_row(
        &self,
        stream: &Tensor,
        rotation: &Rotation,
        kept: &mut Option<(Tensor, Tensor)>,
    ) -> Result<Tensor, ModelError> {
        let input = self.before_mixing.apply(stream);
        let mixed = match &self.mixing {
            Mixing::Attention(attention) => attention.forward_row(&input, rotation, kept)?,
            Mixing::Delta(_) => {
                let reason = "delta nets do not read many texts at once";
                return Err(ModelError::Training(reason.to_owned()));
            }
        };
        Ok(self.feed(&(stream + mixed)))
    }

    /// Adds what the feed-forward layer makes of a stream to it.
    pub(super) fn feed(&self, stream: &Tensor) -> Tensor {
        stream + self.feed_forward.apply(&self.before_feed_forward.apply(stream))
    }
}

/// The weights of a decoder.
#[derive(Debug)]
pub(crate) struct Stack {
    embedding: Tensor,
    pub(crate) layers: Vec<Layer>,
    pub(super) norm: RmsNorm,
    pub(crate) head: Linear,
}

impl Stack {
    /// Reads what is outside the layers; a tied head is the embedding.
    pub(super) fn new(
        loader: &Loader<'_>,
        layers: Vec<Layer>,
        norm: RmsNorm,
        tied: bool,
    ) -> Result<Self, ModelError> {
        let name = "model.embed_tokens.weight";
        let embedding = loader.outer_tensor(name)?;
        let head = match tied {
            true if embedding.kind() == loader.kind => embedding.shallow_clone(),
            true => loader.tensor(name)?,
            false => loader.tensor("lm_head.weight")?,
        };
        Ok(Self { embedding, layers, norm, head: Linear::new(head, loader.kind) })
    }

    /// The stream `[…, hidden]` of ids.
    pub(crate) fn embed(&self, ids: &Tensor) -> Result<Tensor, ModelError> {
        Ok(Tensor::f_embedding(&self.embedding, ids, -1, false, false)?)
    }

    /// What the head maps to logits, of a stream `[…, hidden]`.
    pub(crate) fn normed(&self, stream: &Tensor) -> Tensor {
        self.norm.apply(stream)
    }

    /// Logits `[…, vocabulary]` of a stream `[…, hidden]`.
    pub(crate) fn logits(&self, stream: &Tensor) -> Tensor {
        self.head.apply(&self.normed(stream))
    }

    /// Logits `[…, rows]` of some rows of the vocabulary only.
    pub(crate) fn logits_of(&self, stream: &Tensor, rows: &Tensor) -> Result<Tensor, ModelError> {
        Ok(self.head.of_rows(rows)?.apply(&self.normed(stream)))
    }
}
