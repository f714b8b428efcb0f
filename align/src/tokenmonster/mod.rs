//! `TokenMonster` v1 vocabularies: reading and writing the file, text to ids, ids to text.
//!
//! Knows the `TokenMonster` v1 vocabulary format and nothing of any model that uses its ids:
//! special tokens that a model adds after the vocabulary belong to its tokenizer, not here.

mod assemble;
mod automaton;
mod build;
mod capcode;
mod capitals;
mod decode;
mod decompose;
mod double_array;
mod encode;
mod error;
mod format;
mod matcher;
mod normalize;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod plain_tests;
mod reader;
mod scalar;
mod shape;
mod swar;
#[cfg(test)]
mod tests;
mod trie;
mod utterance;
mod walk;
mod write;

pub use build::{Build, Mode, Progress};
pub use capcode::Capcode;
pub use decode::{DecodeState, advance, flush};
pub use encode::Encoding;
pub use error::VocabError;
pub use format::{Record, Vocab};
pub use normalize::Normalized;
