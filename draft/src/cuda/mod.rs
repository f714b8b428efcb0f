//! Kernels of our own for Llama models on NVIDIA GPUs, beside libtorch's: compiled at run time by
//! NVRTC for the model's sizes, launched through the driver. What they trade for speed: weights of two
//! bytes, activations and sums of four, a cache of two; only shapes that [`Sizes`] takes. **Nothing
//! here has been measured on a GPU yet, or run on one**: the tests compile all of it for GPUs, and run
//! the same source and the same host code on a CPU.
//!
//! [`Network`] reads ids as every other [`LanguageModel`](crate::LanguageModel) does. [`Drafter`] draws
//! several ids in one launch; candidates are verified where the target's logits are.

mod api;
mod arguments;
mod choice;
mod compile;
mod drafting;
mod engine;
mod error;
mod gpu;
mod network;
mod plan;
mod prefix;
mod program;
mod sizes;
mod verifying;
mod weights;

pub(crate) use choice::by_kernels;
pub use compile::{Compiled, Compiler};
pub use drafting::{Drafter, Drawing, Loop};
pub use engine::Engine;
pub use error::CudaError;
pub use gpu::Gpu;
pub use network::Network;
pub use prefix::{MOST_PREFIXES, Prefix};
pub use program::{Builder, Program, options};
pub use sizes::{Cached, Sizes, Tuning};
