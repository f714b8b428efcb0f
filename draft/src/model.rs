//! Model folders: picks the architecture that `config.json` names and loads it. The architectures
//! themselves are one file each; what they are made of is beside them.

mod attention;
mod blocks;
mod delta;
mod layers;
mod llama;
mod network;
mod placement;
mod qwen3_5;
mod recurrence;
mod scores;
mod stack;
mod texts;

use std::path::Path;

use tch::{Device, Kind};

use crate::checkpoint::Checkpoint;
use crate::config::{LlamaConfig, ModelConfig, Shape};
use crate::cuda::by_kernels;
use crate::device::{Compute, Engine};
use crate::engine::{Format, Native};
use crate::error::ModelError;
use crate::language_model::LanguageModel;
use network::Network;

pub(crate) use layers::{Linear, Loader, Weights, product_kind};
pub(crate) use scores::check as check_passage;
pub use scores::{Passage, Score, score_alone};
pub(crate) use stack::{Layer, Stack};
pub use texts::{InStep, Texts, TopLaws};

/// A loaded model and what its folder says of it.
pub struct Model {
    /// The configuration.
    pub config: ModelConfig,
    /// Number of parameters.
    pub parameters: u64,
    /// The model, with a cache of its own.
    pub network: Box<dyn LanguageModel>,
}

impl Model {
    /// Loads a model folder.
    pub fn load(folder: &Path, compute: Compute) -> Result<Self, ModelError> {
        let config = ModelConfig::read(folder)?;
        let checkpoint = Checkpoint::open(folder, &config.shape.tensors())?;
        let parameters = config.shape.parameters();
        if let Some((llama, format)) = native(&config.shape, compute)? {
            let threads = tch::get_num_threads().max(1) as usize;
            let network = Box::new(Native::load(llama, &checkpoint, format, threads)?);
            return Ok(Self { config, parameters, network });
        }
        let weights = Placed { checkpoint: &checkpoint, device: compute.device };
        let _guard = tch::no_grad_guard();
        let epsilon = config.shape.decoder().norm_epsilon;
        let stack = stack(&config.shape, Loader::new(&weights, compute.kind, epsilon))?;
        let mut network: Box<dyn LanguageModel> =
            Box::new(Network::new(&config.shape, stack, compute));
        if let Engine::Kernels(how) = compute.engine {
            network = Box::new(by_kernels(folder, compute, how, &mut *network)?);
        }
        Ok(Self { config, parameters, network })
    }
}

/// Whether this project's own engine is to run a model.
pub fn is_native(shape: &Shape, compute: Compute) -> Result<bool, ModelError> {
    Ok(native(shape, compute)?.is_some())
}

/// What this project's own engine needs to run a model; `None` where libtorch is to run it.
fn native(shape: &Shape, compute: Compute) -> Result<Option<(&LlamaConfig, Format)>, ModelError> {
    let format = match compute.kind {
        Kind::Float => Some(Format::Fp32),
        Kind::Half => Some(Format::Fp16),
        Kind::BFloat16 => Some(Format::Bf16),
        Kind::Int8 => Some(Format::Int8),
        _ => None,
    };
    let can = match (shape, format) {
        (Shape::Llama(config), Some(format)) if compute.device == Device::Cpu => {
            Some((config, format))
        }
        _ => None,
    };
    let refuse = |reason: &str| Err(ModelError::Device(reason.to_owned()));
    match (compute.engine, can) {
        (Engine::Auto | Engine::Native, Some(can)) => Ok(Some(can)),
        (Engine::Native, None) => refuse(
            "the native engine runs models of Llama's architecture on the CPU; use --engine auto",
        ),
        _ if compute.kind == Kind::Int8 => refuse(
            "int8 is for models of Llama's architecture by the native engine; use --dtype fp32",
        ),
        _ => Ok(None),
    }
}

/// A checkpoint, copied to a device.
struct Placed<'a> {
    checkpoint: &'a Checkpoint,
    device: tch::Device,
}

impl Weights for Placed<'_> {
    fn stack(&self, names: &[String], kind: tch::Kind) -> Result<tch::Tensor, ModelError> {
        self.checkpoint.stack(names, Compute { kind, device: self.device, ..Compute::CPU })
    }
}

/// Reads the weights of a model of any shape.
pub(crate) fn stack(shape: &Shape, loader: Loader<'_>) -> Result<Stack, ModelError> {
    match shape {
        Shape::Llama(config) => llama::stack(config, loader),
        Shape::Qwen35(config) => qwen3_5::stack(config, loader),
    }
}
