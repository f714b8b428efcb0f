//! A model on a GPU by the kernels of this module, where they are asked for: they must be made for the model,
//! be had, and say what libtorch says; otherwise an error says why not. Knows no kernels.

use std::path::Path;

use tch::{Device, Kind};

use super::gpu::Gpu;
use super::program::Builder;
use super::{Compiler, CudaError, Engine, Loop, Network, Tuning};
use crate::device::Compute;
use crate::error::ModelError;
use crate::language_model::{LanguageModel, Wanted};

/// The driver's library.
const DRIVER: &str = "libcuda.so.1";

/// How far logits may be from libtorch's, as a part of the largest.
const FARTHEST: f32 = 0.1;

impl Engine {
    /// Loads a model folder on a GPU, with caches for so many prefixes.
    pub fn open(folder: &Path, index: usize, prefixes: usize) -> Result<Self, CudaError> {
        let gpu = Gpu::open(Path::new(DRIVER), index)?;
        let builder = Builder::Nvrtc(Compiler::find()?);
        Self::load(&gpu, folder, builder, Tuning::default(), prefixes)
    }
}

/// A model folder by the kernels, drafts by this loop, on the device and in the type of `compute`. `libtorch` is the
/// same model, to compare with.
pub(crate) fn by_kernels(
    folder: &Path,
    compute: Compute,
    how: Loop,
    libtorch: &mut dyn LanguageModel,
) -> Result<Network, ModelError> {
    let (Device::Cuda(index), Kind::BFloat16) = (compute.device, compute.kind) else {
        let reason = "kernels are for bf16 on a GPU: give --device cuda, and no other --dtype";
        return Err(ModelError::Device(reason.to_owned()));
    };
    let mut own = Network::new(Engine::open(folder, index, 1)?, how)?;
    own.agree_with(libtorch)?;
    own.prepare()?;
    tracing::debug!("{} is read by CUDA kernels", folder.display());
    Ok(own)
}

impl Network {
    /// Whether it says what another model says of some ids, both with empty caches; an error where
    /// it does not.
    pub fn agree_with(&mut self, other: &mut dyn LanguageModel) -> Result<(), CudaError> {
        let failed = |error: ModelError| CudaError::Unsupported(error.to_string());
        let (rows, count) = (self.rows(), self.context().min(11));
        let ids: Vec<u32> = (0..count).map(|at| ((at * 7919 + 1) % rows) as u32).collect();
        let ours = self.extend(&ids, Wanted::All).map_err(failed)?;
        let theirs = other.extend(&ids, Wanted::All).map_err(failed)?;
        self.truncate(0);
        other.truncate(0);
        let largest = theirs.iter().flatten().fold(0.0f32, |top, logit| top.max(logit.abs()));
        let pairs = ours.iter().zip(theirs.iter()).flat_map(|(a, b)| a.iter().zip(b));
        // Of a NaN neither holds.
        let near = pairs.map(|(a, b)| (a - b).abs()).all(|far| far <= FARTHEST * largest);
        if near {
            return Ok(());
        }
        let reason = "the kernels' logits are not libtorch's; please report this GPU and model";
        Err(CudaError::Unsupported(reason.to_owned()))
    }
}
