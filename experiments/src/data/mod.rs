//! Text for training: documents out of files, cleaned, tokenised once into ids on disk. Knows no model.

pub mod clean;
pub mod documents;
pub mod mixture;
pub mod tokens;
