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

use crate::checkpoint::Checkpoint;
use crate::config::{ModelConfig, Shape};
use crate::device::Compute;
use crate::error::ModelError;
use crate::language_model::LanguageModel;
use network::Network;

pub(crate) use layers::{Linear, Loader, Weights, product_kind};
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
        let weights = Placed { checkpoint: &checkpoint, device: compute.device };
        let _guard = tch::no_grad_guard();
        let epsilon = config.shape.decoder().norm_epsilon;
        let stack = stack(&config.shape, Loader::new(&weights, compute.kind, epsilon))?;
        let network = Box::new(Network::new(&config.shape, stack, compute));
        Ok(Self { config, parameters, network })
    }
}

/// A checkpoint, copied to a device.
struct Placed<'a> {
    checkpoint: &'a Checkpoint,
    device: tch::Device,
}

impl Weights for Placed<'_> {
    fn stack(&self, names: &[String], kind: tch::Kind) -> Result<tch::Tensor, ModelError> {
        self.checkpoint.stack(names, Compute { kind, device: self.device })
    }
}

/// Reads the weights of a model of any shape.
pub(crate) fn stack(shape: &Shape, loader: Loader<'_>) -> Result<Stack, ModelError> {
    match shape {
        Shape::Llama(config) => llama::stack(config, loader),
        Shape::Qwen35(config) => qwen3_5::stack(config, loader),
    }
}
