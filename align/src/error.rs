//! What can go wrong when a tokenizer is loaded or used. Each message is one line that names the
//! file, the cause and the remedy.

use std::path::PathBuf;

use crate::tokenmonster::VocabError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum AlignError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A folder without a tokenizer.
    #[error(
        "{0} holds no tokenizer: expected `tokenizer.json`, or `tokenizer_config.json` with \
         \"tokenizer_type\": \"tokenmonster\" beside its `.vocab` file"
    )]
    NoTokenizer(PathBuf),
    /// A `tokenizer.json` that the tokenizers library refuses.
    #[error("{path} is no tokenizer that can be read: {reason}; fetch the file again")]
    Json {
        /// The file.
        path: PathBuf,
        /// The library's reason.
        reason: String,
    },
    /// A tokenizer whose tokens cannot be seen as bytes.
    #[error(
        "{path}: {what} is not supported; byte-level BPE, SentencePiece-style BPE or Unigram, and \
         TokenMonster are"
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The part that is not supported.
        what: String,
    },
    /// A TokenMonster vocabulary that cannot be read.
    #[error(transparent)]
    Vocab(#[from] VocabError),
    /// Text that the tokenizers library fails on.
    #[error("the tokenizer failed on a text of {length} bytes: {reason}")]
    Encode {
        /// Length of the text in bytes.
        length: usize,
        /// The library's reason.
        reason: String,
    },
}
