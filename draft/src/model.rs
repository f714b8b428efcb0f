//! Model folders: picks the architecture that `config.json` names and loads it. The architectures
//! themselves are one file each.

pub mod llama;

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::device::Compute;
use crate::error::ModelError;
use crate::language_model::LanguageModel;
use llama::Llama;

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
        let checkpoint = Checkpoint::open(folder, &config.llama.tensors())?;
        let parameters = config.llama.parameters();
        let network = Llama::load(&config.llama, &checkpoint, compute)?;
        Ok(Self { config, parameters, network: Box::new(network) })
    }
}
