//! What a model in training learns from: texts with the places that count, and what should stand
//! behind them, ids or the laws of a teacher; and its loss. Knows no teacher.

use tch::{Kind, Reduction, Tensor};

use super::divergence::Divergence;
use crate::error::ModelError;
use crate::model::Stack;

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

/// What a stream behind the layers makes of a lesson; of the head's rows only those are computed that
/// the lesson's laws are over, and those at its places alone.
pub(super) fn learn(
    stack: &Stack,
    stream: &Tensor,
    lesson: &Lesson<'_>,
) -> Result<Learnt, ModelError> {
    let here = |tensor: &Tensor| tensor.f_to_device(stream.device());
    let stream = stream.f_flatten(0, 1)?.f_index_select(0, &here(&lesson.places)?)?;
    let laws = match &lesson.goal {
        Goal::Ids(ids) => {
            let logits = stack.logits(&stream).f_to_kind(Kind::Float)?;
            let none = None::<&Tensor>;
            let loss =
                logits.f_cross_entropy_loss(&here(ids)?, none, Reduction::Mean, -100, 0.0)?;
            return Ok(Learnt { loss, acceptance: None });
        }
        Goal::Laws(laws) => laws,
    };
    let logits = stack.logits_of(&stream, &here(laws.shared)?)?.f_to_kind(Kind::Float)?;
    let log_q = (logits / laws.temperature).f_log_softmax(-1, Kind::Float)?;
    let known = log_q.f_gather(-1, &here(&laws.top)?, false)?;
    let is_whole = laws.top.size()[1] == laws.shared.size()[0];
    let teacher = (&here(&laws.logs)?, &here(&laws.mass)?);
    let (loss, acceptance) = laws.divergence.mean(teacher, &known, is_whole)?;
    Ok(Learnt { loss, acceptance: Some(acceptance) })
}
