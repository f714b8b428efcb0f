//! The files of a run: created before it begins, records appended as they come, reports replaced as a
//! whole, never half-written under their final names. A folder that holds records of the same cases is
//! gone on with. Knows paths, not figures.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::case::Case;
use super::record::{Record, Report};
use crate::report;

/// An open run folder.
#[derive(Debug)]
pub struct RunFiles {
    folder: PathBuf,
    records: File,
}

impl RunFiles {
    /// Makes the folder, or takes one up that holds records of no other cases than these; gives the
    /// records.
    pub fn open(folder: &Path, cases: &[Case]) -> Result<(Self, Vec<Record>)> {
        let unusable = || format!("cannot write into the output folder {}", folder.display());
        fs::create_dir_all(folder).with_context(unusable)?;
        let path = folder.join("records.jsonl");
        let records = if path.exists() { kept(&path, cases)? } else { Vec::new() };
        let partial = folder.join("records.jsonl.partial");
        fs::write(&partial, lines(&records)?)
            .and_then(|()| fs::rename(&partial, &path))
            .inspect_err(|_| drop(fs::remove_file(&partial)))
            .with_context(unusable)?;
        let file = File::options().append(true).open(&path).with_context(unusable)?;
        Ok((Self { folder: folder.to_path_buf(), records: file }, records))
    }

    /// Appends records.
    pub fn append(&mut self, fresh: &[Record]) -> Result<()> {
        let text = lines(fresh)?;
        self.records
            .write_all(text.as_bytes())
            .and_then(|()| self.records.flush())
            .with_context(|| self.failure("records.jsonl"))
    }

    /// Replaces the reports.
    pub fn write(&self, report: &Report) -> Result<()> {
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

fn lines(records: &[Record]) -> Result<String> {
    let mut text = String::new();
    for record in records {
        text.push_str(&serde_json::to_string(record)?);
        text.push('\n');
    }
    Ok(text)
}

/// The records of a run that was stopped. A last line that was cut off is left out.
fn kept(path: &Path, cases: &[Case]) -> Result<Vec<Record>> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read {}; name another --out", path.display()))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let mut records = Vec::new();
    for (index, line) in whole.lines().enumerate() {
        let record: Record = serde_json::from_str(line).with_context(|| {
            let line = index + 1;
            format!(
                "{}, line {line}: no record of this version; name another --out",
                path.display()
            )
        })?;
        records.push(record);
    }
    let is_ours = |record: &&Record| cases.iter().any(|case| case.key == record.case_key);
    let foreign: BTreeSet<&str> =
        records.iter().filter(|own| !is_ours(own)).map(|own| own.case.as_str()).collect();
    if !foreign.is_empty() {
        bail!(
            "{} holds a run that is no part of this one (its cases: {}); name another --out",
            path.display(),
            foreign.into_iter().collect::<Vec<_>>().join(", ")
        );
    }
    // A sweep that has grown names its cases anew.
    for record in &mut records {
        if let Some(case) = cases.iter().find(|case| case.key == record.case_key) {
            record.case.clone_from(&case.name);
        }
    }
    Ok(records)
}
