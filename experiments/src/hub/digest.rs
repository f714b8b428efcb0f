//! Checksums as the Hub gives them: the etag of a large file is its SHA-256, that of a small one its
//! SHA-1 as a git blob. Knows no file.

use std::fmt;
use std::fmt::Write;

use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Digest as _, Sha256};

/// What the bytes of a file must add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    Sha256(String),
    GitBlob(String),
}

impl Digest {
    /// Reads an etag, with or without its quotes; `None` where it is no checksum.
    pub(super) fn parse(etag: &str) -> Option<Self> {
        let text = etag.trim_start_matches("W/").trim_matches('"');
        if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        match text.len() {
            64 => Some(Self::Sha256(text.to_owned())),
            40 => Some(Self::GitBlob(text.to_owned())),
            _ => None,
        }
    }

    /// The digits, which are the file's name among the blobs of the cache.
    pub(super) fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::GitBlob(digits) => digits,
        }
    }

    /// Begins the sum over a file of `size` bytes.
    pub(super) fn begin(&self, size: u64) -> Sum {
        match self {
            Self::Sha256(_) => Sum(Box::new(Sha256::new())),
            Self::GitBlob(_) => Sum(Box::new(Sha1::new().chain_update(format!("blob {size}\0")))),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digits) => write!(formatter, "SHA-256 {digits}"),
            Self::GitBlob(digits) => write!(formatter, "git SHA-1 {digits}"),
        }
    }
}

/// A sum over the bytes so far.
pub(super) struct Sum(Box<dyn DynDigest>);

impl Sum {
    /// Adds bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digits of the sum.
    pub(super) fn finish(self) -> String {
        self.0.finalize().iter().fold(String::new(), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(digest: &Digest, text: &str) -> String {
        let mut sum = digest.begin(text.len() as u64);
        let (left, right) = text.split_at(text.len() / 2);
        sum.update(left.as_bytes());
        sum.update(right.as_bytes());
        sum.finish()
    }

    #[test]
    fn sums_are_those_of_git_and_sha256sum() {
        // `printf hello | git hash-object --stdin`, `printf hello | sha256sum`.
        let git = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        for digits in [git, sha256] {
            assert_eq!(sum(&Digest::parse(digits).unwrap(), "hello"), digits);
        }
    }

    #[test]
    fn etags_are_read_with_quotes_or_without() {
        let digits = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        for etag in [digits.to_owned(), format!("\"{digits}\""), format!("W/\"{digits}\"")] {
            assert_eq!(Digest::parse(&etag), Some(Digest::GitBlob(digits.to_owned())));
        }
        for etag in ["", "\"1234\"", "../../x", &format!("{digits}-2")] {
            assert_eq!(Digest::parse(etag), None, "{etag}");
        }
    }
}
