//! A trainer on disk: `model.safetensors`, which any loader of model folders reads, and
//! `optimiser.safetensors` with all else that the next step depends on. Files are written under the
//! names given; making a folder of them appear at once is the caller's.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::precision::LossScale;
use super::trainer::Trainer;
use crate::checkpoint::{Part, SINGLE, write};
use crate::error::ModelError;

/// What else the next step depends on.
const OPTIMISER: &str = "optimiser.safetensors";

/// Numbers beside the moments.
#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    step: u64,
    updates: u64,
    scale: Option<LossScale>,
}

impl Trainer {
    /// Writes the weights, in the given type, and the state into a folder.
    pub fn save(&self, folder: &Path, kind: Kind) -> Result<(), ModelError> {
        let weights = self
            .parameters
            .tensors()
            .map(|(name, tensor)| Part::of(name, tensor, kind))
            .collect::<Result<Vec<_>, _>>()?;
        write(&folder.join(SINGLE), &weights, None)?;
        // Weights in a narrower type are not those that training goes on with.
        let mut state = vec![
            Part::of("first_moment", &self.optimiser.first, Kind::Float)?,
            Part::of("second_moment", &self.optimiser.second, Kind::Float)?,
        ];
        if kind != Kind::Float {
            state.push(Part::of("parameters", self.parameters.flat(), Kind::Float)?);
        }
        let counts = Counts { step: self.step, updates: self.optimiser.updates, scale: self.scale };
        let counts = serde_json::to_string(&counts).unwrap_or_default();
        write(&folder.join(OPTIMISER), &state, Some(("counts", counts)))
    }

    /// Takes up the state that [`Self::save`] wrote. The trainer must have been made with the same
    /// shape and with the parameters of the same folder.
    pub fn restore(&mut self, folder: &Path) -> Result<(), ModelError> {
        let path = folder.join(OPTIMISER);
        let bytes = std::fs::read(&path)
            .map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let bad = |reason: String| ModelError::Checkpoint { path: path.clone(), reason };
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| bad(error.to_string()))?;
        let counts: Counts = metadata
            .metadata()
            .as_ref()
            .and_then(|metadata| serde_json::from_str(metadata.get("counts")?).ok())
            .ok_or_else(|| bad("it lacks the counts of a training state".to_owned()))?;
        let stored = SafeTensors::deserialize(&bytes).map_err(|error| bad(error.to_string()))?;
        let _guard = tch::no_grad_guard();
        let fill = |name: &str, into: &Tensor| -> Result<(), ModelError> {
            let view = stored.tensor(name).map_err(|error| bad(error.to_string()))?;
            if view.shape() != [into.numel()] || view.dtype() != Dtype::F32 {
                return Err(bad(format!("`{name}` is not of this model")));
            }
            let values = Tensor::f_from_data_size(view.data(), &into.size(), Kind::Float)?;
            into.shallow_clone().f_copy_(&values)?;
            Ok(())
        };
        fill("first_moment", &self.optimiser.first)?;
        fill("second_moment", &self.optimiser.second)?;
        if stored.names().contains(&"parameters") {
            fill("parameters", self.parameters.flat_mut())?;
        }
        (self.step, self.optimiser.updates, self.scale) =
            (counts.step, counts.updates, counts.scale);
        Ok(())
    }
}
