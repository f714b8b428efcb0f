//! The forms that a report is exported in, by the suffix of the file. A file is looked after before
//! anything is run, and replaced as a whole. Knows paths; what the forms look like is elsewhere.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::charts::{ChartKind, sheet};
use super::view::View;
use super::{csv, html, latex, markdown, parquet};
use crate::bench::record::Record;

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A page of Markdown.
    Markdown,
    /// A row a case and category.
    Csv,
    /// The object of `report.json`.
    Json,
    /// The records, one a line.
    JsonLines,
    /// The records, one a row.
    Parquet,
    /// Tables for a paper.
    Latex,
    /// A page with charts.
    Html,
    /// The charts.
    Svg,
}

const FORMATS: [Format; 8] = [
    Format::Markdown,
    Format::Csv,
    Format::Json,
    Format::JsonLines,
    Format::Parquet,
    Format::Latex,
    Format::Html,
    Format::Svg,
];

impl Format {
    /// The suffix of its files.
    fn suffix(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
            Self::Latex => "tex",
            Self::Html => "html",
            Self::Svg => "svg",
        }
    }

    /// The form of a file.
    fn of(path: &Path) -> Result<Self> {
        let suffix = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        let found = FORMATS.into_iter().find(|own| own.suffix().eq_ignore_ascii_case(suffix));
        found.with_context(|| {
            let known: Vec<String> =
                FORMATS.iter().map(|own| format!(".{}", own.suffix())).collect();
            format!(
                "--export {}: the suffix says what is written; it is one of {}",
                path.display(),
                known.join(" ")
            )
        })
    }
}

/// A file that a report is written to.
#[derive(Clone, Debug)]
pub struct Export {
    path: PathBuf,
    format: Format,
    charts: Vec<ChartKind>,
}

impl Export {
    /// A file whose suffix says what is written; an error where it cannot be.
    pub fn by_suffix(path: &Path) -> Result<Self> {
        Self::new(path, Format::of(path)?)
    }

    /// A file of a given form; an error where it cannot be written.
    pub fn new(path: &Path, format: Format) -> Result<Self> {
        let charts = ChartKind::value_variants().to_vec();
        let export = Self { path: path.to_owned(), format, charts };
        if path.is_dir() {
            bail!("cannot write {}: it is a folder; name a file", path.display());
        }
        let partial = export.partial();
        fs::write(&partial, b"")
            .and_then(|()| fs::remove_file(&partial))
            .with_context(|| export.failure())?;
        Ok(export)
    }

    /// With charts of these kinds only.
    #[must_use]
    pub fn with_charts(self, charts: Vec<ChartKind>) -> Self {
        Self { charts, ..self }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file, or replaces it. `records` are those of the view's runs.
    pub fn write(&self, view: &View<'_>, records: &[&[Record]]) -> Result<()> {
        let bytes = self.bytes(view, records)?;
        let partial = self.partial();
        fs::write(&partial, bytes)
            .and_then(|()| fs::rename(&partial, &self.path))
            .inspect_err(|_| drop(fs::remove_file(&partial)))
            .with_context(|| self.failure())
    }

    fn bytes(&self, view: &View<'_>, records: &[&[Record]]) -> Result<Vec<u8>> {
        let records = || records.iter().copied().flatten();
        Ok(match self.format {
            Format::Markdown => markdown::page(view).into_bytes(),
            Format::Csv => csv::render(view).into_bytes(),
            Format::Json => view.json()?.into_bytes(),
            Format::JsonLines => {
                let mut lines = Vec::new();
                for record in records() {
                    serde_json::to_writer(&mut lines, record)?;
                    lines.push(b'\n');
                }
                lines
            }
            Format::Parquet => parquet::render(&records().collect::<Vec<_>>())?,
            Format::Latex => latex::page(view).into_bytes(),
            Format::Html => html::page(view).into_bytes(),
            Format::Svg => {
                let charts = self.charts.iter().flat_map(|kind| kind.charts(view));
                sheet(&charts.collect::<Vec<_>>()).into_bytes()
            }
        })
    }

    /// Where the file is written until it is whole.
    fn partial(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        self.path.with_file_name(name)
    }

    fn failure(&self) -> String {
        format!("cannot write {}; does its folder exist, may you write there?", self.path.display())
    }
}

/// The exports that flags name: those of a given form, then those by suffix. No file may be two of them.
pub fn exports(given: &[(Option<&PathBuf>, Format)], by_suffix: &[PathBuf]) -> Result<Vec<Export>> {
    let mut found = Vec::new();
    for (path, format) in given {
        found.extend(path.map(|path| Export::new(path, *format)).transpose()?);
    }
    for path in by_suffix {
        found.push(Export::by_suffix(path)?);
    }
    for (index, export) in found.iter().enumerate() {
        if found[..index].iter().any(|other| other.path == export.path) {
            bail!("{} is named twice; each export has a file of its own", export.path.display());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::summary::tests::records;
    use crate::report::samples::report;

    #[test]
    fn every_form_has_its_suffix() {
        for format in FORMATS {
            let name = format!("a.{}", format.suffix().to_uppercase());
            assert_eq!(Format::of(Path::new(&name)).unwrap(), format);
        }
        for name in ["a", "a.xls", ".md"] {
            let error = Format::of(Path::new(name)).unwrap_err().to_string();
            assert!(error.contains(".md .csv .json .jsonl .parquet .tex .html .svg"), "{error}");
        }
    }

    #[test]
    fn files_are_replaced_as_a_whole_and_nothing_is_left_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let (report, records) = (report(), records());
        for format in FORMATS {
            let path = folder.path().join(format!("a.{}", format.suffix()));
            let export = Export::by_suffix(&path).unwrap();
            assert!(!path.exists(), "nothing half-written has the file's name");
            for _ in 0..2 {
                export.write(&View::of(&report), &[&records]).unwrap();
            }
            let bytes = std::fs::read(&path).unwrap();
            assert!(bytes.len() > 100, "{format:?}");
            if format != Format::Parquet {
                let text = String::from_utf8(bytes).unwrap();
                assert!(!text.contains("NaN") && !text.contains("inf "), "{format:?}");
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), FORMATS.len());
    }

    #[test]
    fn what_cannot_be_written_is_refused_before_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("folder.md")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        for name in ["none/a.md", "folder.md", "file/a.md"] {
            let error = format!("{:#}", Export::by_suffix(&at(name)).unwrap_err());
            assert!(error.contains("cannot write") && error.contains(name), "{error}");
        }
        let twice = exports(&[(Some(&at("a.md")), Format::Markdown)], &[at("a.md")]);
        assert!(twice.unwrap_err().to_string().contains("named twice"));
    }
}
