//! What a model in training learns from: texts with the places that count, and what should stand
//! behind them, ids or the laws of a teacher. Knows no teacher.

use tch::Tensor;

use super::divergence::Divergence;

/// Texts and what is to be learnt from them.
#[derive(Debug)]
pub struct Lesson<'a> {
    /// Ids `[batch, length]` that begin at position 0; what stands behind a text's last place is
    /// not read by any place before it.
    pub ids: Tensor,
    /// Places `[places]`, as indices into the flattened ids.
    pub places: Tensor,
    /// What is to be learnt there.
    pub goal: Goal<'a>,
}

/// What is to be learnt behind each place.
#[derive(Debug)]
pub enum Goal<'a> {
    /// The next ids `[places]`; the loss is cross entropy.
    Ids(Tensor),
    /// The laws of a teacher.
    Laws(Laws<'a>),
}

/// The teacher's laws at all places.
#[derive(Debug)]
pub struct Laws<'a> {
    /// Ids that both models have, `[shared]`, in this model's vocabulary; the draft's law is over
    /// these alone.
    pub shared: &'a Tensor,
    /// The teacher's most probable tokens among them `[places, k]`, as indices into `shared`.
    pub top: Tensor,
    /// Logarithms of their probabilities `[places, k]`.
    pub logs: Tensor,
    /// Logarithms of the probability of all shared tokens together `[places]`.
    pub mass: Tensor,
    /// What is minimised.
    pub divergence: Divergence,
    /// Divides this model's logits, as it divided the teacher's.
    pub temperature: f64,
}

/// What a lesson gave, on the device.
#[derive(Debug)]
pub struct Learnt {
    /// Mean loss of its places.
    pub loss: Tensor,
    /// Mean acceptance rate of a token that this model drafts, where laws are known.
    pub acceptance: Option<Tensor>,
}
