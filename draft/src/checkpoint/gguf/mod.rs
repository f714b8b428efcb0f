//! GGUF, the file format of llama.cpp: one file with typed metadata and tensors. `value`, `blocks`,
//! `read` and `write` know the bytes; `llama`, `export` and `import` know where a Llama model's tensors
//! and sizes belong in it. Tokenizers are metadata like other, and whoever exports a model brings its own.

mod blocks;
mod export;
mod import;
mod llama;
mod read;
mod scaling;
mod value;
mod write;

pub use blocks::Element;
pub use export::export;
pub use import::Llama;
pub use read::File;
pub use value::Value;

/// First bytes of a file.
const MAGIC: &[u8; 4] = b"GGUF";

/// The version that is written.
const VERSION: u32 = 3;

/// What the places of tensors are a multiple of, where a file does not say otherwise.
const ALIGNMENT: u64 = 32;
