//! Documents out of files: plain text (one document a file), JSONL with a text column, and either of
//! them compressed with gzip or zstd. Knows no tokenizer.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// Ends of names of files that hold documents.
const ENDS: [&str; 6] = [".txt", ".jsonl", ".txt.gz", ".jsonl.gz", ".txt.zst", ".jsonl.zst"];

/// The files of a source: itself, or those of a folder by name.
pub fn files(source: &Path) -> Result<Vec<PathBuf>> {
    if !source.exists() {
        bail!("the data {} does not exist; name a file or a folder", source.display());
    }
    if source.is_file() {
        return Ok(vec![source.to_path_buf()]);
    }
    let mut found = Vec::new();
    let entries = std::fs::read_dir(source)
        .with_context(|| format!("cannot list the data {}", source.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && ENDS.iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        bail!("the data {} holds no file of {}", source.display(), ENDS.join(", "));
    }
    Ok(found)
}

/// The documents of some files, one after another.
pub struct Documents {
    files: std::vec::IntoIter<PathBuf>,
    column: String,
    read: Rc<Cell<u64>>,
    open: Option<Open>,
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

/// A file that is being read.
struct Open {
    name: String,
    reader: BufReader<Box<dyn Read>>,
    is_jsonl: bool,
    line: u64,
}

impl Documents {
    /// Of these files; `column` names the text of a JSON object, `read` counts bytes of the files.
    pub fn new(files: Vec<PathBuf>, column: &str, read: Rc<Cell<u64>>) -> Self {
        Self { files: files.into_iter(), column: column.to_owned(), read, open: None }
    }

    fn read(&mut self) -> Result<Option<String>> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.files.next() else { return Ok(None) };
                self.open = Some(Open::new(&path, &self.read)?);
            }
            let Some(open) = &mut self.open else { continue };
            match open.document(&self.column)? {
                Some(document) => return Ok(Some(document)),
                None => self.open = None,
            }
        }
    }
}

impl Iterator for Documents {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl Open {
    fn new(path: &Path, read: &Rc<Cell<u64>>) -> Result<Self> {
        let name = path.display().to_string();
        let cannot = || format!("cannot read {name}");
        let file = Counted { file: File::open(path).with_context(cannot)?, read: Rc::clone(read) };
        let (plain, reader): (&str, Box<dyn Read>) = if let Some(plain) = name.strip_suffix(".zst")
        {
            (plain, Box::new(zstd::Decoder::new(file).with_context(cannot)?))
        } else if let Some(plain) = name.strip_suffix(".gz") {
            (plain, Box::new(flate2::read::MultiGzDecoder::new(file)))
        } else {
            (&name, Box::new(file))
        };
        let is_jsonl = Path::new(plain).extension().is_some_and(|end| end == "jsonl");
        let reader = BufReader::with_capacity(1 << 20, reader);
        Ok(Self { name, reader, is_jsonl, line: 0 })
    }

    /// The next document; a text file is one.
    fn document(&mut self, column: &str) -> Result<Option<String>> {
        let mut text = String::new();
        loop {
            text.clear();
            self.line += 1;
            let read = if self.is_jsonl {
                self.reader.read_line(&mut text)
            } else {
                self.reader.read_to_string(&mut text)
            };
            let place = || format!("{}, line {}", self.name, self.line);
            let length = read.with_context(|| format!("{}: damaged, or no UTF-8 text", place()))?;
            if length == 0 {
                return Ok(None);
            }
            if text.trim().is_empty() {
                continue;
            }
            return if self.is_jsonl {
                text_of(&text, column).map(Some).with_context(place)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn documents(path: &Path, column: &str) -> Result<Vec<String>> {
        Documents::new(vec![path.to_path_buf()], column, Rc::default()).collect()
    }

    #[test]
    fn every_kind_of_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let lines = "{\"text\": \"one\", \"n\": 1}\n\n{\"text\": \"two\\nlines\"}\n";
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.jsonl"), lines).unwrap();
        std::fs::write(path("b.jsonl.zst"), zstd::encode_all(lines.as_bytes(), 3).unwrap())
            .unwrap();
        let mut gzip = flate2::write::GzEncoder::new(
            File::create(path("c.jsonl.gz")).unwrap(),
            flate2::Compression::default(),
        );
        gzip.write_all(lines.as_bytes()).unwrap();
        gzip.finish().unwrap();
        std::fs::write(path("d.txt"), "one\ntwo").unwrap();
        std::fs::write(path("e.csv"), "no").unwrap();
        let found = files(folder.path()).unwrap();
        assert_eq!(found.len(), 4);
        for jsonl in &found[..3] {
            assert_eq!(documents(jsonl, "text").unwrap(), ["one", "two\nlines"]);
        }
        assert_eq!(documents(&found[3], "text").unwrap(), ["one\ntwo"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, "{\"text\": \"one\"}\n{\"content\": \"two\"}\n").unwrap();
        let message = format!("{:#}", documents(&path, "text").unwrap_err());
        assert!(message.contains("a.jsonl, line 2: no text in the column `text`"), "{message}");
        assert!(files(&folder.path().join("none")).is_err());
    }
}
