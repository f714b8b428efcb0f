//! The files of a run: created before it begins, rewritten after every prompt, never half-written
//! under their final names. Knows paths, not figures.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::record::{Record, Report};
use crate::report;

/// An open run folder.
#[derive(Debug)]
pub struct RunFiles {
    folder: PathBuf,
    records: File,
}

impl RunFiles {
    /// Makes the folder and an empty `records.jsonl`.
    pub fn create(folder: &Path) -> Result<Self> {
        let unusable = || format!("cannot write into the output folder {}", folder.display());
        fs::create_dir_all(folder).with_context(unusable)?;
        let records = File::create(folder.join("records.jsonl")).with_context(unusable)?;
        Ok(Self { folder: folder.to_path_buf(), records })
    }

    /// Appends records and rewrites the report.
    pub fn write(&mut self, fresh: &[Record], report: &Report) -> Result<()> {
        let mut lines = String::new();
        for record in fresh {
            lines.push_str(&serde_json::to_string(record)?);
            lines.push('\n');
        }
        self.records
            .write_all(lines.as_bytes())
            .and_then(|()| self.records.flush())
            .with_context(|| self.failure("records.jsonl"))?;
        self.replace("report.json", &(serde_json::to_string_pretty(report)? + "\n"))?;
        self.replace("report.md", &report::markdown::render(report))
    }

    fn replace(&self, name: &str, text: &str) -> Result<()> {
        let (partial, path) = (self.folder.join(format!("{name}.partial")), self.folder.join(name));
        fs::write(&partial, text)
            .and_then(|()| fs::rename(&partial, &path))
            .inspect_err(|_| drop(fs::remove_file(&partial)))
            .with_context(|| self.failure(name))
    }

    fn failure(&self, name: &str) -> String {
        format!(
            "cannot write {}; what was written before it is intact",
            self.folder.join(name).display()
        )
    }
}
