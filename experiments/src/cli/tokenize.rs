//! `spec tokenize`: text to ids and back, a JSON object a line.

use std::io::{self, BufRead, BufWriter, Write};
use std::path::Path;

use align::Tokenizer;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::flags::SourceFlags;
use crate::printer::Printer;
use crate::tokenizer;

/// Flags of `spec tokenize`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A `tokenizer.json`, a TokenMonster `.vocab`, a model folder, a registry name or a Hub id.
    #[arg(long, value_name = "FILE|MODEL")]
    tokenizer: String,
    /// Read `{"text": …}` lines and write `{"ids": […]}` lines; without it a line of text is a text,
    /// and ids are written with spaces between.
    #[arg(long)]
    jsonl: bool,
    /// Read `{"ids": […]}` lines and write `{"text": …, "bytes_b64": …}` lines.
    #[arg(long)]
    decode: bool,
    /// Leave out the special tokens that the tokenizer adds by itself, such as BOS.
    #[arg(long)]
    no_specials: bool,
    #[command(flatten)]
    source: SourceFlags,
}

#[derive(Deserialize)]
struct TextLine {
    text: String,
}

#[derive(Serialize, Deserialize)]
struct IdsLine {
    ids: Vec<u32>,
}

#[derive(Serialize)]
struct DecodedLine {
    text: String,
    bytes_b64: String,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        let tokenizer = self.open(printer)?;
        let mut out = BufWriter::new(io::stdout().lock());
        for (number, line) in io::stdin().lock().lines().enumerate() {
            let line = line.context("cannot read standard input as UTF-8")?;
            if line.is_empty() && (self.jsonl || self.decode) {
                continue;
            }
            let written = self.translate(&tokenizer, &line);
            writeln!(out, "{}", written.with_context(|| format!("line {}", number + 1))?)?;
        }
        out.flush()?;
        Ok(())
    }

    fn open(&self, printer: &Printer) -> Result<Tokenizer> {
        let name = &self.tokenizer;
        let path = Path::new(name);
        if path.is_file() {
            return Ok(Tokenizer::load(path)?);
        }
        let sources = self.source.open();
        sources.find(name).with_context(|| format!("{name} does not exist"))?;
        tokenizer::open(name, &sources.locate(name)?.folder, printer)
    }

    fn translate(&self, tokenizer: &Tokenizer, line: &str) -> Result<String> {
        if self.decode {
            let ids = if self.jsonl || line.starts_with('{') {
                let parsed: IdsLine =
                    serde_json::from_str(line).context("expected {\"ids\": […]}")?;
                parsed.ids
            } else {
                let numbers: Result<Vec<u32>, _> =
                    line.split_whitespace().map(str::parse).collect();
                numbers.context("expected ids with spaces between")?
            };
            let bytes = tokenizer.decode(&ids);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if !self.jsonl && !line.starts_with('{') {
                return Ok(text);
            }
            return Ok(serde_json::to_string(&DecodedLine {
                text,
                bytes_b64: STANDARD.encode(bytes),
            })?);
        }
        if self.jsonl {
            let parsed: TextLine = serde_json::from_str(line).context("expected {\"text\": …}")?;
            let ids = tokenizer.encode_reference(&parsed.text, !self.no_specials)?;
            return Ok(serde_json::to_string(&IdsLine { ids })?);
        }
        let ids = tokenizer.encode_reference(line, !self.no_specials)?;
        Ok(ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
    }
}
