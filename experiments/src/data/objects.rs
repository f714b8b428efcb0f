//! Records of a known form out of JSON lines, plain or compressed with gzip or zstd, or of Parquet: what
//! questions of evaluations come as. Knows no question.

use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::lines::decompressed;
use super::nested;
use super::source::TextFile;

/// Reads all records of a file; `form` says what a record is, where one is not.
pub fn read<T: DeserializeOwned>(file: &TextFile, form: &str) -> Result<Vec<T>> {
    read_with(file, form, |_, value| Ok(serde_json::from_value(value)?))
}

/// Makes something of each record of a file and its place; `form` says what a record is, where none can be
/// made.
pub fn read_with<T>(
    file: &TextFile,
    form: &str,
    make: impl Fn(&str, Value) -> Result<T>,
) -> Result<Vec<T>> {
    let name = file.to_string();
    let cannot = || format!("cannot read {name}");
    let content = File::open(file.locate()?).with_context(cannot)?;
    let made = |place: &str, value: Value| {
        make(place, value).map_err(|error| anyhow!("{place}: {error}; {form}"))
    };
    if name.ends_with(".parquet") {
        let rows = nested::rows(content).with_context(|| name.clone())?;
        let rows = rows.into_iter().enumerate();
        return rows.map(|(row, value)| made(&format!("{name}, row {}", row + 1), value)).collect();
    }
    let (_, reader) = decompressed(content, &name).with_context(cannot)?;
    let mut records = Vec::new();
    for (line, text) in BufReader::with_capacity(1 << 20, reader).lines().enumerate() {
        let place = format!("{name}, line {}", line + 1);
        let text = text.with_context(|| format!("{place}: damaged, or no UTF-8 text"))?;
        if text.trim().is_empty() {
            continue;
        }
        let value =
            serde_json::from_str(&text).map_err(|error| anyhow!("{place}: {error}; {form}"))?;
        records.push(made(&place, value)?);
    }
    Ok(records)
}
