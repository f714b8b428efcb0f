//! Text for training: documents out of files, of this machine or of the Hub, cleaned, tokenised once
//! into ids on disk. Knows no model.

pub mod cached;
pub mod clean;
pub mod documents;
pub mod downloads;
mod guarded;
mod lines;
pub mod mixture;
mod nested;
pub mod objects;
mod rows;
pub mod source;
pub mod text;
pub mod tokens;
