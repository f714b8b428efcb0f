//! The text that a pair is looked at on: a file of the user's, or the project's own prompts, as
//! documents of bounded length. Knows no tokenizer.

use std::path::Path;

use anyhow::Result;

use crate::data::source::Source;
use crate::eval;
use crate::prompts::PromptFile;
use crate::vocab::texts::{Texts, Wanted};

/// Bytes of a text that are read, at most: what counts of tokens need, and what memory holds.
pub(super) const MOST_BYTES: u64 = 64 << 20;

/// Documents and where they come from.
pub(super) struct Text {
    /// In words.
    pub(super) source: String,
    pub(super) documents: Vec<String>,
    pub(super) bytes: u64,
    /// Of the documents, each with a byte 0 behind it.
    pub(super) sha256: String,
}

impl Text {
    pub(super) fn read(path: Option<&Path>, column: &str) -> Result<Self> {
        let (mut source, texts) = match path {
            None => own()?,
            Some(path) => {
                let source = Source::of_path(path)?;
                let sources = std::slice::from_ref(&source);
                let wanted = Wanted { sources, column, limit: MOST_BYTES };
                (source.name.clone(), Texts::read(wanted)?)
            }
        };
        if texts.bytes == MOST_BYTES {
            source += ", of which the first 64 MiB";
        }
        let mut digest = eval::Text::default();
        texts.pieces.iter().for_each(|document| digest.add(document));
        let sha256 = digest.digest();
        Ok(Self { source, documents: texts.pieces, bytes: texts.bytes, sha256 })
    }
}

/// The prompts of `spec bench`.
fn own() -> Result<(String, Texts)> {
    let file = PromptFile::read(None)?;
    let pieces: Vec<String> = file.prompts.into_iter().map(|prompt| prompt.text).collect();
    let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
    Ok((file.source, Texts { pieces, bytes }))
}
