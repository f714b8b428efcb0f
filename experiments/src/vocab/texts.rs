//! The text that a vocabulary is made from or measured on, held in memory in pieces of bounded length.
//! Knows no tokenizer.

use std::rc::Rc;

use anyhow::{Result, bail};

use crate::data::documents::Documents;
use crate::data::source::Source;

/// A document longer than this is cut: a text file is one document, and encoders hold offsets of a
/// whole text.
const LONGEST: usize = 256 << 10;

/// Which text to read.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Where it comes from.
    pub sources: &'a [Source],
    /// The text column of JSONL and Parquet.
    pub column: &'a str,
    /// How many bytes to read at most. Each source has an equal part, and what it leaves is for those
    /// behind it.
    pub limit: u64,
}

/// Text in pieces.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// The pieces; documents that are not too long are one each.
    pub pieces: Vec<String>,
    /// How many bytes they have in all.
    pub bytes: u64,
}

impl Texts {
    /// Reads the text from the beginning of each source.
    pub fn read(wanted: Wanted) -> Result<Self> {
        let mut texts = Self::default();
        for (place, source) in wanted.sources.iter().enumerate() {
            let sources_left = (wanted.sources.len() - place) as u64;
            let end = texts.bytes + (wanted.limit - texts.bytes) / sources_left;
            for document in Documents::new(source.files.clone(), wanted.column, Rc::default()) {
                texts.add(&document?, end);
                if texts.bytes >= end {
                    break;
                }
            }
        }
        if texts.bytes == 0 {
            let names: Vec<_> = wanted.sources.iter().map(|source| &*source.name).collect();
            bail!("the data {} holds no text; name other files or folders", names.join(", "));
        }
        Ok(texts)
    }

    /// Adds a document as far as there is room up to `end` bytes.
    fn add(&mut self, document: &str, end: u64) {
        let room = (end - self.bytes).min(document.len() as u64) as usize;
        let mut rest = &document[..boundary(document, room)];
        self.bytes += rest.len() as u64;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(cut(rest));
            self.pieces.push(piece.to_owned());
            rest = behind;
        }
    }
}

/// The last place up to `at` between two characters.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Where to cut a long text: behind a line if there is one, else before a space.
fn cut(text: &str) -> usize {
    if text.len() <= LONGEST {
        return text.len();
    }
    let end = boundary(text, LONGEST);
    let head = &text[..end];
    let line = head.rfind('\n').map(|at| at + 1);
    line.or_else(|| head.rfind(' ').filter(|&at| at > 0)).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn read(sources: &[PathBuf], limit: u64) -> Result<Texts> {
        let sources: Vec<Source> =
            sources.iter().map(|path| Source::of_path(path)).collect::<Result<_>>()?;
        Texts::read(Wanted { sources: &sources, column: "text", limit })
    }

    #[test]
    fn sources_share_the_limit_and_long_documents_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let short = write("short.txt", "äb");
        let long = write("long.txt", &"a line of text\n".repeat(50_000));
        let texts = read(&[short.clone(), long.clone()], 600_000).unwrap();
        assert_eq!((texts.bytes, texts.pieces.len()), (600_000, 1 + 3));
        assert!(texts.pieces[1].ends_with('\n') && texts.pieces[1].len() <= LONGEST);
        assert_eq!(texts.pieces.iter().map(|piece| piece.len() as u64).sum::<u64>(), 600_000);
        let halves = read(&[long.clone(), long], 200_000).unwrap();
        assert_eq!(halves.pieces[0].len(), 100_000);
        assert_eq!(read(&[short], 1).unwrap_err().to_string().matches("no text").count(), 1);
    }
}
