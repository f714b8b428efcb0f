//! A model that reads many texts at once, as a teacher does: its laws over whole texts, and texts of
//! equal length that go on in step. Knows ids and tensors only; one text with its cache and its
//! roll-backs is `network`'s.

use std::path::Path;

use tch::{Kind, Tensor};

use super::layers::Loader;
use super::stack::Stack;
use super::{Placed, stack};
use crate::checkpoint::Checkpoint;
use crate::config::{Mixer, ModelConfig, Shape};
use crate::device::Compute;
use crate::error::ModelError;
use crate::rope::Rope;

/// Logits of at most so many elements are held at once.
const LOGITS: i64 = 1 << 25;

/// A model that reads many texts at once.
pub struct Texts {
    pub(super) stack: Stack,
    rope: Rope,
    pub(super) compute: Compute,
    rows: usize,
    context: usize,
    cache: [i64; 2],
}

/// A teacher's laws at some places, on the CPU.
#[derive(Debug)]
pub struct TopLaws {
    /// The most probable of the columns asked for `[places, k]`, as indices into these.
    pub top: Tensor,
    /// Logarithms of their probabilities among all tokens `[places, k]`.
    pub logs: Tensor,
    /// Logarithms of the probability of all those columns together `[places]`.
    pub mass: Tensor,
}

impl Texts {
    /// How many ids of each text a model of this shape reads at once: within its window attention is
    /// plain. `None` where it reads one text at a time only.
    pub fn context_of(shape: &Shape) -> Option<usize> {
        let context = shape.decoder().context;
        match shape {
            Shape::Llama(own) => Some(own.window.map_or(context, |window| window.min(context))),
            Shape::Qwen35(own) if own.mixers.contains(&Mixer::LinearAttention) => None,
            Shape::Qwen35(_) => Some(context),
        }
    }

    /// Loads a model folder.
    pub fn load(folder: &Path, compute: Compute) -> Result<Self, ModelError> {
        let config = ModelConfig::read(folder)?;
        let Some(context) = Self::context_of(&config.shape) else {
            let reason = "a model with `linear_attention` layers cannot read many texts at once; \
                use one with attention alone";
            let path = folder.join("config.json");
            return Err(ModelError::Config { path, reason: reason.to_owned() });
        };
        if compute.kind == Kind::Int8 {
            let reason = "many texts at once are not read in int8; use --dtype fp32";
            return Err(ModelError::Device(reason.to_owned()));
        }
        let sizes = config.shape.decoder();
        let checkpoint = Checkpoint::open(folder, &config.shape.tensors())?;
        let weights = Placed { checkpoint: &checkpoint, device: compute.device };
        let _guard = tch::no_grad_guard();
        let loader = Loader::new(&weights, compute.kind, sizes.norm_epsilon);
        Ok(Self {
            stack: stack(&config.shape, loader)?,
            rope: Rope::new(sizes.rope, sizes.rotary_dim, 1, compute.kind, compute.device),
            compute,
            rows: sizes.vocab_size,
            context,
            cache: [sizes.kv_heads as i64, sizes.head_dim as i64],
        })
    }

    /// Rows of its vocabulary.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Ids that it can read at once.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The laws at `places` (indices into the flattened `ids` `[batch, length]`): the `k` most
    /// probable of `columns` (ids, `[shared]`), with logits divided by `temperature`.
    pub fn laws(
        &mut self,
        ids: &Tensor,
        places: &Tensor,
        columns: &Tensor,
        (k, temperature): (usize, f64),
    ) -> Result<TopLaws, ModelError> {
        let _guard = tch::no_grad_guard();
        let stream = self.stream_at(ids, places)?;
        let columns = columns.f_to_device(self.compute.device)?;
        let k = (k as i64).min(columns.size()[0]);
        let (mut top, mut logs, mut mass) = (Vec::new(), Vec::new(), Vec::new());
        for piece in stream.split((LOGITS / self.rows as i64).max(1), 0) {
            let logits = self.stack.logits(&piece).f_to_kind(Kind::Float)? / temperature;
            let total = logits.f_logsumexp(-1i64, true)?;
            let shared = logits.f_index_select(-1, &columns)? - total;
            let (values, indices) = shared.f_topk(k, -1, true, true)?;
            top.push(indices.f_to_device(tch::Device::Cpu)?);
            logs.push(values.f_to_device(tch::Device::Cpu)?);
            mass.push(shared.f_logsumexp(-1i64, false)?.f_to_device(tch::Device::Cpu)?);
        }
        let joined = |parts: &[Tensor]| Tensor::f_cat(parts, 0);
        Ok(TopLaws { top: joined(&top)?, logs: joined(&logs)?, mass: joined(&mass)? })
    }

    /// The stream `[places, hidden]` at `places` (indices into the flattened `ids` `[batch,
    /// length]`).
    pub(super) fn stream_at(
        &mut self,
        ids: &Tensor,
        places: &Tensor,
    ) -> Result<Tensor, ModelError> {
        let device = self.compute.device;
        let ids = ids.f_to_device(device)?;
        self.check(ids.size()[1])?;
        let rotation = self.rope.rows(0, ids.size()[1] as usize);
        let mut stream = self.stack.embed(&ids)?;
        for layer in &self.stack.layers {
            stream = layer.read_texts(&stream, &rotation)?;
        }
        Ok(stream.f_flatten(0, 1)?.f_index_select(0, &places.f_to_device(device)?)?)
    }

    /// Begins texts that go on in step.
    pub fn begin(&mut self, batch: usize) -> InStep<'_> {
        let [heads, dim] = self.cache;
        let options = (self.compute.kind, self.compute.device);
        let empty = || Tensor::empty([batch as i64, heads, 0, dim], options);
        let kept = self.stack.layers.iter().map(|_| Some((empty(), empty()))).collect();
        InStep { model: self, kept, length: 0 }
    }

    fn check(&mut self, length: i64) -> Result<(), ModelError> {
        let wanted = length as usize;
        if wanted > self.context {
            return Err(ModelError::Context { wanted, context: self.context });
        }
        self.rope.reserve(wanted.next_power_of_two());
        Ok(())
    }
}

/// Texts of equal length that go on in step.
pub struct InStep<'a> {
    model: &'a mut Texts,
    /// Keys and values of each layer.
    kept: Vec<Option<(Tensor, Tensor)>>,
    length: usize,
}

impl InStep<'_> {
    /// Reads the first ids `[batch, n]` of all texts, or one more `[batch, 1]`. Gives the logits
    /// `[batch, vocabulary]` behind the last, in 32-bit floats on the CPU.
    pub fn read(&mut self, ids: &Tensor) -> Result<Tensor, ModelError> {
        let _guard = tch::no_grad_guard();
        let count = ids.size()[1];
        self.model.check(self.length as i64 + count)?;
        let rotation = self.model.rope.rows(self.length, count as usize);
        let stack = &self.model.stack;
        let mut stream = stack.embed(&ids.f_to_device(self.model.compute.device)?)?;
        for (layer, kept) in stack.layers.iter().zip(&mut self.kept) {
            stream = layer.read_row(&stream, &rotation, kept)?;
        }
        self.length += count as usize;
        let logits = stack.logits(&stream.f_select(1, count - 1)?);
        Ok(logits.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?.contiguous())
    }
}
