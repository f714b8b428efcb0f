//! What can be wrong with a vocabulary file, each case as one line that names the file.
//!
//! Knows the messages only; the checks stand beside the code that reads each field.

use std::path::PathBuf;

/// Why a vocabulary could not be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocabError {
    /// The file could not be read at all.
    #[error("{}: cannot read the vocabulary: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is a git-LFS pointer, not the vocabulary.
    #[error(
        "{file}: this is a git-LFS pointer, not the vocabulary itself; fetch it with `git lfs pull`"
    )]
    LfsPointer {
        /// The file's name.
        file: String,
    },
    /// The file ends inside a field.
    #[error("{file}: the file ends inside {part} (at byte {at}); fetch the whole file again")]
    Truncated {
        /// The file's name.
        file: String,
        /// The field that is cut.
        part: &'static str,
        /// Where that field begins.
        at: usize,
    },
    /// Bytes follow the last field.
    #[error("{file}: {count} bytes are left over after the last field; fetch the file again")]
    LeftOver {
        /// The file's name.
        file: String,
        /// How many.
        count: usize,
    },
    /// A header field has a value that no vocabulary has.
    #[error("{file}: not a TokenMonster v1 vocabulary: {field} is {value}; give a .vocab file")]
    Header {
        /// The file's name.
        file: String,
        /// The header field.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// The vocabulary is valid but asks for something this reader leaves out.
    #[error("{file}: {field} {value} is not supported; use a vocabulary with {remedy}")]
    Unsupported {
        /// The file's name.
        file: String,
        /// The header field.
        field: &'static str,
        /// Its value.
        value: u8,
        /// What is supported.
        remedy: &'static str,
    },
    /// A record breaks a rule of the format.
    #[error("{file}: record {record} {problem}; the file is damaged, fetch it again")]
    Record {
        /// The file's name.
        file: String,
        /// The record's index.
        record: usize,
        /// The rule it breaks.
        problem: &'static str,
    },
    /// A token given for a new vocabulary cannot be stored.
    #[error("new vocabulary: token {token} has {len} bytes; give tokens of 1 to 40 bytes")]
    TokenLength {
        /// The token's place in the list.
        token: usize,
        /// Its length.
        len: usize,
    },
    /// More records than the file format can count.
    #[error("new vocabulary: {count} records are more than the format can hold; give fewer tokens")]
    TooMany {
        /// How many records there would be.
        count: usize,
    },
    /// More bytes of records than the encoder's tables can number.
    #[error(
        "{name}: its records are {bytes} bytes long in all, and {most} are the most; take fewer tokens"
    )]
    TooLarge {
        /// The file, or what else the vocabulary is called.
        name: String,
        /// How long all records are together.
        bytes: usize,
        /// How long they may be.
        most: usize,
    },
    /// Fewer tokens than there are single bytes.
    #[error("new vocabulary: {size} tokens cannot hold the {least} single bytes; ask for more")]
    TooSmall {
        /// How many were asked for.
        size: usize,
        /// How many there must be.
        least: usize,
    },
    /// The text repeats too little.
    #[error(
        "new vocabulary: the text gives only {found} tokens, {size} were asked for; give more text or \
         ask for fewer"
    )]
    TooFewCandidates {
        /// How many were asked for.
        size: usize,
        /// How many there are.
        found: usize,
    },
}
