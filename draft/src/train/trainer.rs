//! One model in training: reads blocks of ids, sums up gradients, moves the parameters. Knows no file
//! and no text.

use tch::{Device, Kind, Reduction, Tensor};

use super::adamw::{AdamW, AdamWSettings};
use super::lesson::{Goal, Learnt, Lesson};
use super::parameters::Parameters;
use super::precision::{LossScale, Precision};
use super::schedule::Schedule;
use crate::config::{Mixer, Shape};
use crate::error::ModelError;
use crate::model::{Loader, Stack, stack};
use crate::rope::Rope;

/// How a model is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The optimiser.
    pub optimiser: AdamWSettings,
    /// Learning rates by step.
    pub schedule: Schedule,
    /// Steps of the schedule.
    pub steps: u64,
    /// The type of linear maps.
    pub precision: Precision,
    /// Whether layers are read again in the backward pass instead of being kept (gradient
    /// checkpointing; Chen et al., 1604.06174).
    pub recompute: bool,
}

/// A model in training.
pub struct Trainer {
    shape: Shape,
    plan: Plan,
    device: Device,
    pub(super) parameters: Parameters,
    pub(super) optimiser: AdamW,
    pub(super) scale: Option<LossScale>,
    /// Steps done, those included whose update overflowed.
    pub(super) step: u64,
    rope: Rope,
}

/// What one step did.
#[derive(Debug)]
pub struct Update {
    /// Norm of the gradients before clipping, on the device.
    pub norm: Tensor,
    /// Learning rate.
    pub lr: f64,
    /// Whether the gradients overflowed, and the parameters were left alone.
    pub skipped: bool,
}

impl Trainer {
    /// A trainer that has done nothing.
    pub fn new(
        shape: &Shape,
        parameters: Parameters,
        plan: Plan,
        device: Device,
    ) -> Result<Self, ModelError> {
        if let Shape::Qwen35(config) = shape
            && config.mixers.contains(&Mixer::LinearAttention)
        {
            let reason = "a model with `linear_attention` layers can be run, but not trained; \
                          `layer_types` must all be `full_attention`";
            return Err(ModelError::Training(reason.to_owned()));
        }
        if let Shape::Llama(config) = shape
            && config.window.is_some_and(|window| window < config.decoder.context)
        {
            let reason = "a model whose window is shorter than its context cannot be trained";
            return Err(ModelError::Training(reason.to_owned()));
        }
        let sizes = shape.decoder();
        let rope = Rope::new(sizes.rope, sizes.rotary_dim, sizes.context, Kind::Float, device);
        Ok(Self {
            optimiser: AdamW::new(plan.optimiser, &parameters),
            scale: LossScale::new(plan.precision),
            shape: shape.clone(),
            plan,
            device,
            parameters,
            step: 0,
            rope,
        })
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Arithmetic operations that a step does for each token of blocks of `length`: 6 for each
    /// parameter that is multiplied, and attention's products, forwards once and backwards twice
    /// (2204.02311, appendix B).
    pub fn operations_a_token(&self, length: usize) -> f64 {
        let sizes = self.shape.decoder();
        let looked_up = if sizes.tied { 0 } else { sizes.vocab_size * sizes.hidden_size };
        let multiplied = self.shape.parameters() - looked_up as u64;
        let attention = 12 * sizes.layers * sizes.heads * sizes.head_dim * length;
        6.0 * multiplied as f64 + attention as f64
    }

    fn stack(&self) -> Result<Stack, ModelError> {
        let (kind, wide_layers) = self.plan.precision.kinds();
        let epsilon = self.shape.decoder().norm_epsilon;
        stack(&self.shape, Loader::for_training(&self.parameters, kind, wide_layers, epsilon))
    }

    /// Reads blocks of ids `[batch, length]` and adds the gradients of `share` times their mean
    /// loss to what is summed up. Gives the mean loss, on the device.
    pub fn read(&mut self, ids: &Tensor, share: f64) -> Result<Tensor, ModelError> {
        let ids = ids.f_to_device(self.device)?;
        let learnt = self.descend(&ids, share, |stack, stream| next_ids(stack, stream, &ids))?;
        Ok(learnt.loss)
    }

    /// As [`Self::read`], of a lesson.
    pub fn study(&mut self, lesson: &Lesson<'_>, share: f64) -> Result<Learnt, ModelError> {
        let ids = lesson.ids.f_to_device(self.device)?;
        self.descend(&ids, share, |stack, stream| learn(stack, stream, lesson))
    }

    /// Adds the gradients of `share` times what `goal` makes of the stream behind the last layer.
    fn descend(
        &mut self,
        ids: &Tensor,
        share: f64,
        goal: impl Fn(&Stack, &Tensor) -> Result<Learnt, ModelError>,
    ) -> Result<Learnt, ModelError> {
        let factor = share * self.scale.map_or(1.0, LossScale::scale);
        let stack = self.stack()?;
        let rotation = self.rope.rows(0, ids.size()[1] as usize);
        let stream = stack.embed(ids)?;
        if !self.plan.recompute {
            let mut stream = stream;
            for layer in &stack.layers {
                stream = layer.read_texts(&stream, &rotation)?;
            }
            let learnt = goal(&stack, &stream)?;
            (&learnt.loss * factor).f_backward()?;
            return Ok(learnt.detached());
        }
        let mut inputs = vec![stream];
        {
            let _guard = tch::no_grad_guard();
            for (index, layer) in stack.layers.iter().enumerate() {
                inputs.push(layer.read_texts(&inputs[index], &rotation)?);
            }
        }
        let fresh = |stream: &Tensor| stream.detach().set_requires_grad(true);
        let last = fresh(&inputs[stack.layers.len()]);
        let learnt = goal(&stack, &last)?;
        (&learnt.loss * factor).f_backward()?;
        let mut gradient = last.f_grad()?;
        for (layer, input) in stack.layers.iter().zip(&inputs).rev() {
            let input = fresh(input);
            let output = layer.read_texts(&input, &rotation)?;
            (output * gradient).f_sum(Kind::Float)?.f_backward()?;
            gradient = input.f_grad()?;
        }
        (&inputs[0] * gradient).f_sum(Kind::Float)?.f_backward()?;
        Ok(learnt.detached())
    }

    /// Moves the parameters against the gradients that were summed up.
    pub fn update(&mut self) -> Result<Update, ModelError> {
        let _guard = tch::no_grad_guard();
        let mut gradients = self.parameters.take_gradients()?;
        let factor = self.plan.schedule.factor(self.step, self.plan.steps);
        let lr = self.plan.optimiser.lr * factor;
        self.step += 1;
        if let Some(scale) = &mut self.scale
            && !scale.unscale(&mut gradients)?
        {
            return Ok(Update { norm: gradients.norm(), lr, skipped: true });
        }
        let norm = self.optimiser.update(&self.parameters, gradients, factor);
        Ok(Update { norm, lr, skipped: false })
    }

    /// Mean loss in nats a token of blocks of ids `[batch, length]`; changes nothing.
    pub fn evaluate(&self, ids: &Tensor) -> Result<f64, ModelError> {
        let ids = ids.f_to_device(self.device)?;
        let learnt = self.look(&ids, |stack, stream| next_ids(stack, stream, &ids))?;
        Ok(learnt.loss.f_double_value(&[])?)
    }

    /// What a lesson would give; changes nothing.
    pub fn examine(&self, lesson: &Lesson<'_>) -> Result<Learnt, ModelError> {
        let ids = lesson.ids.f_to_device(self.device)?;
        self.look(&ids, |stack, stream| learn(stack, stream, lesson))
    }

    fn look(
        &self,
        ids: &Tensor,
        goal: impl Fn(&Stack, &Tensor) -> Result<Learnt, ModelError>,
    ) -> Result<Learnt, ModelError> {
        let _guard = tch::no_grad_guard();
        let stack = self.stack()?;
        let rotation = self.rope.rows(0, ids.size()[1] as usize);
        let mut stream = stack.embed(ids)?;
        for layer in &stack.layers {
            stream = layer.read_texts(&stream, &rotation)?;
        }
        goal(&stack, &stream)
    }
}

impl Learnt {
    fn detached(self) -> Self {
        Self { loss: self.loss.detach(), acceptance: self.acceptance.map(|rate| rate.detach()) }
    }
}

/// Mean loss in nats a token of blocks `[batch, length]`, of which the first id of each is not
/// predicted.
fn next_ids(stack: &Stack, stream: &Tensor, ids: &Tensor) -> Result<Learnt, ModelError> {
    let last = ids.size()[1] - 1;
    let logits = stack.logits(&stream.narrow(1, 0, last))?.f_to_kind(Kind::Float)?;
    let wanted = ids.narrow(1, 1, last).reshape([-1]);
    let loss = cross_entropy(&logits.f_flatten(0, 1)?, &wanted)?;
    Ok(Learnt { loss, acceptance: None })
}

fn cross_entropy(logits: &Tensor, wanted: &Tensor) -> Result<Tensor, ModelError> {
    let none = None::<&Tensor>;
    Ok(logits.f_cross_entropy_loss(wanted, none, Reduction::Mean, -100, 0.0)?)
}

/// The mean loss of a lesson's places; only there the head is computed, and of its rows only those
/// that the lesson's laws are over.
fn learn(stack: &Stack, stream: &Tensor, lesson: &Lesson<'_>) -> Result<Learnt, ModelError> {
    let here = |tensor: &Tensor| tensor.f_to_device(stream.device());
    let stream = stream.f_flatten(0, 1)?.f_index_select(0, &here(&lesson.places)?)?;
    let laws = match &lesson.goal {
        Goal::Ids(ids) => {
            let logits = stack.logits(&stream)?.f_to_kind(Kind::Float)?;
            let loss = cross_entropy(&logits, &here(ids)?)?;
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
