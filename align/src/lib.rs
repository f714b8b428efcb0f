//! Vocabularies seen as bytes, and the maps between two of them.
//!
//! This crate knows tokenizers and text. It knows no model, no probability and no tensor: bytes are
//! the common currency in which a draft's vocabulary meets a target's.

pub mod byte_trie;
pub mod context;
pub mod coverage;
pub mod decoder;
pub mod error;
pub mod huggingface;
pub mod overlap;
pub mod spelling;
pub mod tokenizer;
pub mod tokenmonster;
pub mod unicode;
pub mod utf8;
pub mod vocabulary;

pub use byte_trie::{ByteTrie, Match};
pub use context::Context;
pub use coverage::Occurrences;
pub use decoder::Decoder;
pub use error::AlignError;
pub use overlap::Overlap;
pub use spelling::Spelling;
pub use tokenizer::{Encoding, Tokenizer};
pub use vocabulary::{DecodeState, Entry, Vocabulary};
