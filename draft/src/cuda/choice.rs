//! Whether a model on a GPU is read by the kernels of this module or by libtorch. Kernels are taken
//! where they are made for the model and can be had, and where they say what libtorch says; otherwise
//! a line of the log says why not. Knows no kernels.

use std::path::Path;
use std::str::FromStr;

use super::gpu::Gpu;
use super::program::Builder;
use super::{Compiler, CudaError, Engine, Loop, Network, Sizes, Tuning};
use crate::config::Shape;
use crate::device::Compute;
use crate::error::ModelError;
use crate::language_model::{LanguageModel, Wanted};

/// The driver's library.
const DRIVER: &str = "libcuda.so.1";

/// Weights, up to which kernels are taken without being asked for: they are made for models that are
/// bound by launches and memory, and multiply without tensor cores.
const MOST_WEIGHTS: usize = 200_000_000;

/// How far logits may be from libtorch's, as a part of the largest.
const FARTHEST: f32 = 0.1;

/// Which of the two is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Kernels for small models in bf16 on a GPU, where they can be had.
    #[default]
    Auto,
    /// libtorch.
    Libtorch,
    /// Kernels, or an error; drafts are made by this loop.
    Kernels(Loop),
}

impl Choice {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Auto,
        Self::Libtorch,
        Self::Kernels(Loop::Graph),
        Self::Kernels(Loop::Grid),
        Self::Kernels(Loop::Cluster),
    ];

    /// The name that users type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Libtorch => "libtorch",
            Self::Kernels(how) => how.name(),
        }
    }

    /// What the environment variable `SPEC_KERNELS` says; libtorch where it says nothing, until kernels
    /// have been measured on a GPU.
    pub fn of_environment() -> Result<Self, ModelError> {
        let Ok(name) = std::env::var("SPEC_KERNELS") else { return Ok(Self::Libtorch) };
        name.parse().map_err(|error| ModelError::Device(format!("SPEC_KERNELS: {error}")))
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|choice| choice.name() == name).ok_or_else(|| {
            format!("unknown choice `{name}`; it is auto, libtorch, graph, persistent or cluster")
        })
    }
}

impl Engine {
    /// Loads a model folder on a GPU, with caches for so many prefixes.
    pub fn open(folder: &Path, index: usize, prefixes: usize) -> Result<Self, CudaError> {
        let gpu = Gpu::open(Path::new(DRIVER), index)?;
        let builder = Builder::Nvrtc(Compiler::find()?);
        Self::load(&gpu, folder, builder, Tuning::default(), prefixes)
    }
}

/// The network that a model is read by: the kernels' where the choice and the circumstances allow it,
/// else the one given.
pub(crate) fn preferred(
    folder: &Path,
    compute: Compute,
    shape: &Shape,
    libtorch: Box<dyn LanguageModel>,
    choice: Choice,
) -> Result<Box<dyn LanguageModel>, ModelError> {
    let (tch::Device::Cuda(index), tch::Kind::BFloat16) = (compute.device, compute.kind) else {
        return match choice {
            Choice::Kernels(_) => {
                let reason =
                    "kernels are for bf16 on a GPU: give --device cuda, and no other --dtype";
                Err(ModelError::Device(reason.to_owned()))
            }
            Choice::Auto | Choice::Libtorch => Ok(libtorch),
        };
    };
    if choice == Choice::Libtorch {
        return Ok(libtorch);
    }
    // The loop that is surest to work; which is fastest has not been measured yet.
    let how = if let Choice::Kernels(how) = choice { how } else { Loop::Graph };
    let (own, libtorch) = match suits(shape, choice) {
        Ok(()) => agreeing(|| Network::new(Engine::open(folder, index, 1)?, how), libtorch),
        Err(error) => (Err(error), libtorch),
    };
    match own {
        Ok(network) => {
            tracing::debug!("{} is read by CUDA kernels", folder.display());
            Ok(Box::new(network))
        }
        Err(error) if choice == Choice::Auto => {
            tracing::info!("{} is read by libtorch: {error}", folder.display());
            Ok(libtorch)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether kernels are to be tried for a model.
fn suits(shape: &Shape, choice: Choice) -> Result<(), CudaError> {
    let weights = Sizes::new(shape)?.weights();
    if choice == Choice::Auto && weights > MOST_WEIGHTS {
        let reason = format!("{weights} weights are more than the {MOST_WEIGHTS} of a small model");
        return Err(CudaError::Unsupported(reason));
    }
    Ok(())
}

/// A network that says what another one says of some ids, and that other one.
fn agreeing(
    open: impl FnOnce() -> Result<Network, CudaError>,
    mut libtorch: Box<dyn LanguageModel>,
) -> (Result<Network, CudaError>, Box<dyn LanguageModel>) {
    let compared = open().and_then(|mut own| {
        own.agree_with(&mut *libtorch)?;
        Ok(own)
    });
    (compared, libtorch)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_by_name() {
        for choice in Choice::ALL {
            assert_eq!(choice.name().parse(), Ok(choice));
        }
        assert!("gpu".parse::<Choice>().unwrap_err().contains("persistent"));
    }
}
