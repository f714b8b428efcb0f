//! The file of a trace: JSON lines, compressed with zstd where its name ends in `.zst`. It appears whole or not
//! at all. Knows lines, not what they are good for.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use sha2::{Digest, Sha256};
use target::trace::{Header, Text};
use tempfile::TempDir;

use crate::new_file::check_free;
use crate::prompts::hex;

/// How hard zstd tries.
const LEVEL: i32 = 3;

/// A trace that has been read.
#[derive(Debug)]
pub struct Trace {
    /// Its file.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Who wrote the texts, and how.
    pub header: Header,
    /// The texts, in the order of the file.
    pub texts: Vec<Text>,
}

impl Trace {
    /// Reads a trace.
    pub fn read(path: &Path) -> Result<Self> {
        check_name(path)?;
        let named = || format!("cannot use the trace {}", path.display());
        let bytes = std::fs::read(path).with_context(named)?;
        let sha256 = hex(&Sha256::digest(&bytes));
        let (header, texts) = parse(path, &bytes).with_context(named)?;
        if texts.is_empty() {
            bail!("{} holds no text", path.display());
        }
        Ok(Self { path: path.to_path_buf(), sha256, header, texts })
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<(Header, Vec<Text>)> {
    let plain: Box<dyn Read> =
        if is_compressed(path) { Box::new(zstd::Decoder::new(bytes)?) } else { Box::new(bytes) };
    let mut lines = BufReader::new(plain).lines().enumerate();
    let damaged = "damaged, or no UTF-8 text";
    let (_, first) = lines.next().context("it is empty")?;
    let header = Header::parse(&first.context(damaged)?)?;
    let mut texts = Vec::new();
    for (index, line) in lines {
        let line = line.context(damaged)?;
        if !line.is_empty() {
            let text = Text::parse(&line, &header);
            texts.push(text.with_context(|| format!("line {}", index + 1))?);
        }
    }
    Ok((header, texts))
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "zst")
}

/// Refuses names that do not say what is in the file.
pub fn check_name(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if !(name.ends_with(".jsonl") || name.ends_with(".jsonl.zst")) {
        bail!("a trace is called *.jsonl or *.jsonl.zst, and {} is not", path.display());
    }
    Ok(())
}

/// A trace that is being written, beside its place under another name.
pub struct Writer {
    path: PathBuf,
    /// Deleted with whatever is left in it.
    around: TempDir,
    out: Output,
}

enum Output {
    Plain(BufWriter<File>),
    Compressed(zstd::Encoder<'static, BufWriter<File>>),
}

impl Writer {
    /// Begins a new trace; folders above it are made.
    pub fn begin(path: &Path, header: &Header) -> Result<Self> {
        check_name(path)?;
        check_free(path)?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        let above = above.unwrap_or(Path::new("."));
        let cannot = || cannot_write(path);
        std::fs::create_dir_all(above).with_context(cannot)?;
        let around = tempfile::Builder::new().prefix(".making-").tempdir_in(above);
        let around = around.with_context(cannot)?;
        let file = BufWriter::new(File::create(around.path().join("file")).with_context(cannot)?);
        let out = if is_compressed(path) {
            Output::Compressed(zstd::Encoder::new(file, LEVEL).with_context(cannot)?)
        } else {
            Output::Plain(file)
        };
        let mut writer = Self { path: path.to_path_buf(), around, out };
        writer.line(header)?;
        Ok(writer)
    }

    /// Adds a text.
    pub fn add(&mut self, text: &Text) -> Result<()> {
        self.line(text)
    }

    fn line(&mut self, object: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(object)? + "\n";
        let written = match &mut self.out {
            Output::Plain(out) => out.write_all(line.as_bytes()),
            Output::Compressed(out) => out.write_all(line.as_bytes()),
        };
        written.with_context(|| cannot_write(&self.path))
    }

    /// Gives the trace its name.
    pub fn finish(self) -> Result<()> {
        let Self { path, around, out } = self;
        let cannot = || cannot_write(&path);
        let mut file = match out {
            Output::Plain(file) => file,
            Output::Compressed(encoder) => encoder.finish().with_context(cannot)?,
        };
        file.flush().with_context(cannot)?;
        check_free(&path)?;
        std::fs::rename(around.path().join("file"), &path).with_context(cannot)
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}; is its folder writable, its disk full?", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn header() -> Value {
        json!({"schema": 1, "kind": "trace", "version": "0", "command_line": [], "started": "",
            "target": {"name": "t", "path": "t", "source": "folder", "rows": 3, "vocabulary": 3,
                "context": 9, "tokenizer": "", "eos": [2], "prefix": [],
                "vocabulary_file": {"name": "tokenizer.json", "sha256": ""}},
            "sampling": {"temperature": 1.0, "top_k": null, "top_p": null, "repetition_penalty": 1.0},
            "max_new": 2, "ignore_eos": false, "template": "none", "prompts": "", "prompts_sha256": "",
            "repeats": 1, "top": 0, "seed": 0})
    }

    fn text(ids: &[u32]) -> Value {
        json!({"kind": "text", "prompt_index": 0, "prompt_id": "0", "category": "all", "repeat": 0,
            "said": ["a"], "prompt_ids": [0], "ids": ids, "bytes": vec![""; ids.len()],
            "logprobs": vec![-0.25; ids.len()], "finish": "length"})
    }

    fn refusal(name: &str, bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        format!("{:#}", Trace::read(&path).unwrap_err())
    }

    #[test]
    fn both_kinds_of_file_give_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let header = Header::parse(&header().to_string()).unwrap();
        let texts = [&[0, 1][..], &[1, 2]].map(|ids| serde_json::from_value(text(ids)).unwrap());
        for name in ["a.jsonl", "b/a.jsonl.zst"] {
            let path = folder.path().join(name);
            let mut writer = Writer::begin(&path, &header).unwrap();
            for text in &texts {
                writer.add(text).unwrap();
            }
            assert!(!path.exists(), "nothing has the name before all is there");
            writer.finish().unwrap();
            let read = Trace::read(&path).unwrap();
            assert_eq!((read.header, &read.texts[..]), (header.clone(), &texts[..]));
            assert!(Writer::begin(&path, &header).is_err(), "it is there already");
        }
        // One that is given up leaves nothing.
        let path = folder.path().join("c/a.jsonl");
        drop(Writer::begin(&path, &header).unwrap());
        assert_eq!(std::fs::read_dir(folder.path().join("c")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_trace_is_said_with_its_line() {
        let (header, text) = (header().to_string(), text(&[0, 1]).to_string());
        let lines = |lines: &[&str]| lines.join("\n").into_bytes();
        assert!(refusal("a.txt", b"").contains("is called *.jsonl or *.jsonl.zst"));
        assert!(refusal("a.jsonl", b"").contains("it is empty"));
        assert!(refusal("a.jsonl", text.as_bytes()).contains("this is no trace"));
        assert!(refusal("a.jsonl", header.as_bytes()).contains("holds no text"));
        let broken = lines(&[&header, &text, "{"]);
        assert!(refusal("a.jsonl", &broken).contains("line 3: not a line of a trace"));
        let whole = zstd::encode_all(&lines(&[&header, &text])[..], 3).unwrap();
        assert!(refusal("a.jsonl.zst", &whole[..whole.len() - 4]).contains("damaged"));
    }
}
