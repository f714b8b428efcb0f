//! One model in training: reads blocks of ids, sums up gradients, moves the parameters. Knows no file
//! and no text. What makes it fast on a CPU is in `head`, `leaves`, `adamw` and `model::blocks`; all
//! four together, in bf16 on one core (Zen 4): 2.76 s for 4,096 tokens of Stentor2-12M instead of 3.72.

use tch::{Device, Kind, Tensor};

use super::adamw::{AdamW, AdamWSettings};
use super::head::{self, Ending};
use super::leaves::Leaves;
use super::lesson::{Learnt, Lesson, learn};
use super::parameters::Parameters;
use super::precision::{LossScale, Precision};
use super::schedule::Schedule;
use crate::config::{Mixer, Shape};
use crate::error::ModelError;
use crate::model::{Layer, Loader, Stack, stack};
use crate::rope::{Rope, Rotation};

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

    fn stack(&self, leaves: &Leaves<'_>) -> Result<Stack, ModelError> {
        let (kind, wide_layers) = self.plan.precision.kinds();
        let epsilon = self.shape.decoder().norm_epsilon;
        stack(&self.shape, Loader::for_training(leaves, kind, wide_layers, epsilon))
    }

    /// Reads blocks of ids `[batch, length]` and adds the gradients of `share` times their mean
    /// loss to what is summed up. Gives the mean loss, on the device.
    pub fn read(&mut self, ids: &Tensor, share: f64) -> Result<Tensor, ModelError> {
        let ids = ids.f_to_device(self.device)?;
        let tied = self.shape.decoder().tied;
        let name = if tied { "model.embed_tokens.weight" } else { "lm_head.weight" };
        let of_head = self.parameters.gradient_of(name);
        let ending = self.descend(&ids, share, |stack, stream, factor| {
            head::end(stack, stream, &ids, factor, &of_head)
        })?;
        Ok(ending.loss)
    }

    /// As [`Self::read`], of a lesson.
    pub fn study(&mut self, lesson: &Lesson<'_>, share: f64) -> Result<Learnt, ModelError> {
        let ids = lesson.ids.f_to_device(self.device)?;
        let ending = self.descend(&ids, share, |stack, stream, factor| {
            let Learnt { loss, acceptance } = learn(stack, stream, lesson)?;
            Ok(Ending { surrogate: &loss * factor, loss: loss.detach(), acceptance })
        })?;
        Ok(Learnt { loss: ending.loss, acceptance: ending.acceptance })
    }

    /// Adds the gradients of what `end` makes of the stack, the stream behind the layers `[batch,
    /// length, hidden]` and the factor of its gradients.
    fn descend(
        &mut self,
        ids: &Tensor,
        share: f64,
        end: impl FnOnce(&Stack, &Tensor, f64) -> Result<Ending, ModelError>,
    ) -> Result<Ending, ModelError> {
        let factor = share * self.scale.map_or(1.0, LossScale::scale);
        let leaves = Leaves::new(&self.parameters);
        let stack = self.stack(&leaves)?;
        let rotation = self.rope.rows(0, ids.size()[1] as usize);
        let stream = stack.embed(ids)?;
        let end = |stream: &Tensor| end(&stack, stream, factor);
        let ending = if self.plan.recompute {
            recomputing(&stack.layers, stream, &rotation, end)?
        } else {
            let ending = end(&layers(&stack, stream, &rotation)?)?;
            ending.surrogate.f_backward()?;
            ending
        };
        leaves.finish().add_to(self.parameters.gradients())?;
        Ok(ending)
    }

    /// Moves the parameters against the gradients that were summed up.
    pub fn update(&mut self) -> Result<Update, ModelError> {
        let _guard = tch::no_grad_guard();
        let mut gradients = self.parameters.gradients().shallow_clone();
        let factor = self.plan.schedule.factor(self.step, self.plan.steps);
        let lr = self.plan.optimiser.lr * factor;
        self.step += 1;
        let fits = self.scale.as_mut().map_or(Ok(true), |scale| scale.unscale(&mut gradients))?;
        let norm = if fits {
            self.optimiser.update(&mut self.parameters, factor)
        } else {
            gradients.norm()
        };
        self.parameters.forget_gradients();
        Ok(Update { norm, lr, skipped: !fits })
    }

    /// Mean loss in nats a token of blocks of ids `[batch, length]`; changes nothing.
    pub fn evaluate(&self, ids: &Tensor) -> Result<f64, ModelError> {
        let ids = ids.f_to_device(self.device)?;
        let loss = self.look(&ids, |stack, stream| head::mean_loss(stack, stream, &ids))?;
        Ok(loss.f_double_value(&[])?)
    }

    /// What a lesson would give; changes nothing.
    pub fn examine(&self, lesson: &Lesson<'_>) -> Result<Learnt, ModelError> {
        let ids = lesson.ids.f_to_device(self.device)?;
        self.look(&ids, |stack, stream| learn(stack, stream, lesson))
    }

    fn look<T>(
        &self,
        ids: &Tensor,
        end: impl FnOnce(&Stack, &Tensor) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        let _guard = tch::no_grad_guard();
        let stack = self.stack(&Leaves::new(&self.parameters))?;
        let rotation = self.rope.rows(0, ids.size()[1] as usize);
        end(&stack, &layers(&stack, stack.embed(ids)?, &rotation)?)
    }
}

/// The stream behind all layers.
fn layers(stack: &Stack, stream: Tensor, rotation: &Rotation) -> Result<Tensor, ModelError> {
    stack.layers.iter().try_fold(stream, |stream, layer| layer.read_texts(&stream, rotation))
}

/// Computes gradients with no more of a layer kept than its input, and reads each again when its turn
/// comes.
fn recomputing(
    layers: &[Layer],
    stream: Tensor,
    rotation: &Rotation,
    end: impl FnOnce(&Tensor) -> Result<Ending, ModelError>,
) -> Result<Ending, ModelError> {
    let mut inputs = vec![stream];
    {
        let _guard = tch::no_grad_guard();
        for (index, layer) in layers.iter().enumerate() {
            inputs.push(layer.read_texts(&inputs[index], rotation)?);
        }
    }
    let fresh = |stream: &Tensor| stream.detach().set_requires_grad(true);
    let last = fresh(&inputs[layers.len()]);
    let ending = end(&last)?;
    ending.surrogate.f_backward()?;
    let mut gradient = last.f_grad()?;
    for (layer, input) in layers.iter().zip(&inputs).rev() {
        let input = fresh(input);
        let output = layer.read_texts(&input, rotation)?;
        (output * gradient).f_sum(Kind::Float)?.f_backward()?;
        gradient = input.f_grad()?;
    }
    (&inputs[0] * gradient).f_sum(Kind::Float)?.f_backward()?;
    Ok(ending)
}
