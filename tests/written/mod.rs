//! What a run wrote, read back.

use std::fs;
use std::path::Path;
use std::process::Output;

use experiments::bench::record::{Record, Report};
use support::command::stdout;

/// The report that a command printed.
pub(crate) fn report(output: &Output) -> Report {
    serde_json::from_str(&stdout(output)).unwrap()
}

/// The records in a run's folder.
pub(crate) fn records(folder: impl AsRef<Path>) -> Vec<Record> {
    let text = fs::read_to_string(folder.as_ref().join("records.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
