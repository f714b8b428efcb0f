//! Small vocabularies of one's own: built from text, or trimmed out of a large one. Knows no model.

pub mod bpe;
pub mod merges;
pub mod monster;
pub mod summary;
pub mod texts;
pub mod trim;
pub mod trimmed_file;
pub mod usage;
