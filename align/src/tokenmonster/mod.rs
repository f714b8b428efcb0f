//! `TokenMonster` v1 vocabularies: reading and writing the file, text to ids, ids to text.
//!
//! Knows the `TokenMonster` v1 vocabulary format and nothing of any model that uses its ids:
//! special tokens that a model adds after the vocabulary belong to its tokenizer, not here.

mod assemble;
mod build;
mod capcode;
mod capitals;
mod decode;
mod decompose;
mod encode;
mod error;
mod format;
mod matcher;
mod normalize;
mod reader;
mod scalar;
mod shape;
#[cfg(test)]
mod tests;
mod trie;
mod walk;
mod write;

pub use build::{Build, Mode, Progress};
pub use capcode::Capcode;
pub use decode::{DecodeState, advance, flush};
pub use encode::Encoding;
pub use error::VocabError;
pub use format::{Record, Vocab};
pub use normalize::Normalized;
