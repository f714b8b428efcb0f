//! Documents out of a text file: the file itself, or one text a line of JSONL, plain or compressed
//! with gzip or zstd. Knows nothing of other files.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

/// A text file that is being read.
pub(super) struct Lines {
    reader: BufReader<Box<dyn Read>>,
    is_jsonl: bool,
    column: String,
    line: u64,
}

/// A file that counts what is read of it.
struct Counted {
    file: File,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

/// The content of a file, and its name without the end that says how it is compressed.
pub(super) fn decompressed(file: impl Read + 'static, name: &str) -> Result<(&str, Box<dyn Read>)> {
    if let Some(plain) = name.strip_suffix(".zst") {
        Ok((plain, Box::new(zstd::Decoder::new(file)?)))
    } else if let Some(plain) = name.strip_suffix(".gz") {
        Ok((plain, Box::new(flate2::read::MultiGzDecoder::new(file))))
    } else {
        Ok((name, Box::new(file)))
    }
}

impl Lines {
    /// Of this file, whose name says what it holds; `column` names the text of a JSON object, `read`
    /// counts bytes of the file.
    pub(super) fn open(file: File, name: &str, column: &str, read: Rc<Cell<u64>>) -> Result<Self> {
        let (plain, reader) = decompressed(Counted { file, read }, name)?;
        let is_jsonl = Path::new(plain).extension().is_some_and(|end| end == "jsonl");
        let reader = BufReader::with_capacity(1 << 20, reader);
        Ok(Self { reader, is_jsonl, column: column.to_owned(), line: 0 })
    }

    /// The line that was asked for last; the first is 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next document; a text file is one.
    pub(super) fn document(&mut self) -> Result<Option<String>> {
        let mut text = String::new();
        loop {
            text.clear();
            self.line += 1;
            let read = if self.is_jsonl {
                self.reader.read_line(&mut text)
            } else {
                self.reader.read_to_string(&mut text)
            };
            if read.context("damaged, or no UTF-8 text")? == 0 {
                return Ok(None);
            }
            if text.trim().is_empty() {
                continue;
            }
            return if self.is_jsonl {
                text_of(&text, &self.column).map(Some)
            } else {
                Ok(Some(text))
            };
        }
    }
}

fn text_of(line: &str, column: &str) -> Result<String> {
    let mut value: Value = serde_json::from_str(line).context("no JSON object")?;
    match value.get_mut(column).map(Value::take) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(anyhow!("no text in the column `{column}`; name another with --column")),
    }
}
