//! Model folders: picks the architecture that `config.json` names and loads it. The architectures
//! themselves are one file each; what they are made of is beside them.

mod attention;
mod delta;
mod layers;
mod llama;
mod network;
mod placement;
mod qwen3_5;
mod recurrence;

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::config::{ModelConfig, Shape};
use crate::device::Compute;
use crate::error::ModelError;
use crate::language_model::LanguageModel;

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
        let network = match &config.shape {
            Shape::Llama(llama) => llama::load(llama, &checkpoint, compute)?,
            Shape::Qwen35(qwen) => qwen3_5::load(qwen, &checkpoint, compute)?,
        };
        Ok(Self { config, parameters, network: Box::new(network) })
    }
}
