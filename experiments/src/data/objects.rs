//! Records of a known form out of JSON lines, plain or compressed with gzip or zstd: what questions of
//! evaluations come as. Knows no question.

use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;

use super::lines::decompressed;
use super::source::TextFile;

/// Reads all records of a file; `form` says what a record is, where one is not.
pub fn read<T: DeserializeOwned>(file: &TextFile, form: &str) -> Result<Vec<T>> {
    let name = file.to_string();
    let cannot = || format!("cannot read {name}");
    let content = File::open(file.locate()?).with_context(cannot)?;
    let (_, reader) = decompressed(content, &name).with_context(cannot)?;
    let mut records = Vec::new();
    for (line, text) in BufReader::with_capacity(1 << 20, reader).lines().enumerate() {
        let place = || format!("{name}, line {}", line + 1);
        let text = text.with_context(|| format!("{}: damaged, or no UTF-8 text", place()))?;
        if text.trim().is_empty() {
            continue;
        }
        let record =
            serde_json::from_str(&text).map_err(|error| anyhow!("{}: {error}; {form}", place()))?;
        records.push(record);
    }
    Ok(records)
}
