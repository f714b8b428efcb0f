//! What can go wrong with a model. Each message is one line that names the file, the cause and the
//! remedy.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A `config.json` that does not describe a model this crate knows.
    #[error("{path}: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// A checkpoint file that is damaged.
    #[error("{path} is no complete safetensors file ({reason}); fetch it again")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        reason: String,
    },
    /// A file in another program's format that cannot be read, or a model that it cannot hold.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// A tensor that the configuration asks for and the checkpoint lacks.
    #[error("{path} lacks the tensor `{name}` of shape {expected:?} that config.json asks for")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape the configuration gives it.
        expected: Vec<usize>,
    },
    /// A tensor whose shape is not what the configuration says.
    #[error(
        "{path}: the tensor `{name}` has shape {found:?}, config.json asks for {expected:?}; the \
         two files do not belong together"
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape the configuration gives it.
        expected: Vec<usize>,
    },
    /// Tensors that the configuration knows nothing of.
    #[error(
        "{path} holds {count} tensors that config.json does not know, the first `{name}` of shape \
         {found:?}; the two files do not belong together"
    )]
    Extra {
        /// The file.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// One of them.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A tensor of an element type that holds no weights.
    #[error("{path}: the tensor `{name}` is of type {found}; weights are F32, F16 or BF16")]
    DataType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its element type.
        found: String,
    },
    /// A device that was asked for and is not there.
    #[error("{0}")]
    Device(String),
    /// No memory for a model's weights.
    #[error("no memory for {bytes} bytes of weights ({source}); use a narrower --dtype")]
    Memory {
        /// Bytes asked for.
        bytes: usize,
        /// The system's reason.
        source: std::io::Error,
    },
    /// More positions than the model has.
    #[error("{wanted} positions are more than the model's context of {context}")]
    Context {
        /// Positions asked for.
        wanted: usize,
        /// Positions the model has.
        context: usize,
    },
    /// An id that the embedding has no row for.
    #[error("the id {id} is outside the model's {rows} rows")]
    Id {
        /// The id.
        id: u32,
        /// Rows of the embedding.
        rows: usize,
    },
    /// A file that could not be written.
    #[error("cannot write {path}: {reason}; what was there before is as it was")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// A model that cannot be trained, and why.
    #[error("{0}")]
    Training(String),
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(String),
}

impl From<tch::TchError> for ModelError {
    fn from(error: tch::TchError) -> Self {
        let text = error.to_string();
        Self::Torch(text.lines().next().unwrap_or("unknown error").to_owned())
    }
}
