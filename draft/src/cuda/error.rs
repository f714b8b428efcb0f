//! What can go wrong with kernels of our own. Each message names the call or the cause.

/// Why the kernels could not be used, or failed.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// The driver's library is not there, or lacks a function.
    #[error("the CUDA driver cannot be loaded: {0}")]
    Driver(String),
    /// NVRTC is not there, or refused the source.
    #[error("NVRTC: {0}")]
    Compiler(String),
    /// A call of the driver failed.
    #[error("{what} failed with status {status}: {reason}")]
    Call {
        /// The call.
        what: &'static str,
        /// Its status.
        status: i32,
        /// What the driver says of it.
        reason: String,
    },
    /// A model, or a request, that the kernels are not made for.
    #[error("{0}")]
    Unsupported(String),
    /// Weights that could not be read.
    #[error("{0}")]
    Weights(String),
}

impl From<CudaError> for crate::error::ModelError {
    fn from(error: CudaError) -> Self {
        Self::Device(format!("CUDA kernels: {error}"))
    }
}
