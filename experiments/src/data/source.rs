//! Where text comes from: a file, a folder, or a dataset of the Hub, each as a list of files. What is on
//! the Hub is listed here and fetched when it is read. Knows nothing of what is in the files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::downloads::Downloads;
use crate::hub::{Dataset, DatasetFile, DatasetPath};
use crate::printer::Printer;

/// Ends of names of files that hold documents.
const ENDS: [&str; 7] =
    [".txt", ".jsonl", ".txt.gz", ".jsonl.gz", ".txt.zst", ".jsonl.zst", ".parquet"];

/// Folders in folders that are looked into.
const DEEPEST: usize = 4;

fn is_text(name: &str) -> bool {
    ENDS.iter().any(|end| name.ends_with(end))
}

/// A list of files.
#[derive(Clone, Debug)]
pub struct Source {
    /// As it was named; a dataset with its commit.
    pub name: String,
    /// The files, by name.
    pub files: Vec<TextFile>,
}

impl Source {
    /// Of a path, or of `hf://datasets/ORGANISATION/NAME[@REVISION][/PATH]`.
    pub fn open(name: &str, downloads: &Rc<Downloads>) -> Result<Self> {
        match DatasetPath::parse(name)? {
            Some(path) => Self::of_dataset(&path, downloads),
            None => Self::of_path(Path::new(name)),
        }
    }

    /// Of a file, or of those of a folder.
    pub fn of_path(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        if !path.exists() {
            bail!(
                "the data {name} does not exist; name a file, a folder, or a dataset of the Hub \
                 (hf://datasets/ORGANISATION/NAME)"
            );
        }
        if path.is_file() {
            return Ok(Self { name, files: vec![TextFile::here(path)?] });
        }
        let mut found = Vec::new();
        let entries =
            std::fs::read_dir(path).with_context(|| format!("cannot list the data {name}"))?;
        for entry in entries {
            let entry = entry?;
            if entry.path().is_file() && is_text(&entry.file_name().to_string_lossy()) {
                found.push(entry.path());
            }
        }
        found.sort();
        if found.is_empty() {
            bail!("the data {name} holds no file of {}", ENDS.join(", "));
        }
        let files = found.iter().map(|path| TextFile::here(path)).collect::<Result<_>>()?;
        Ok(Self { name, files })
    }

    /// Of a folder's files and of those of the folders in it.
    pub fn below(path: &Path) -> Result<Self> {
        let mut found = Vec::new();
        let mut folders = vec![(path.to_path_buf(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let cannot = || format!("cannot list the data {}", folder.display());
            for entry in std::fs::read_dir(&folder).with_context(cannot)? {
                let path = entry.with_context(cannot)?.path();
                if path.is_dir() && depth < DEEPEST {
                    folders.push((path, depth + 1));
                } else if path.is_file() && is_text(&path.to_string_lossy()) {
                    found.push(path);
                }
            }
        }
        found.sort();
        let files = found.iter().map(|path| TextFile::here(path)).collect::<Result<_>>()?;
        Ok(Self { name: path.display().to_string(), files })
    }

    /// Without files, for what is made and not read.
    pub fn none(name: String) -> Self {
        Self { name, files: Vec::new() }
    }

    fn of_dataset(path: &DatasetPath, downloads: &Rc<Downloads>) -> Result<Self> {
        let dataset = Rc::new(downloads.hub().dataset(&path.repository, &Printer::default())?);
        let below = |file: &&DatasetFile| path.holds(&file.name) && is_text(&file.name);
        let files: Vec<TextFile> = (dataset.files().iter().filter(below))
            .map(|file| TextFile {
                size: file.size,
                place: Place::Hub {
                    dataset: Rc::clone(&dataset),
                    file: file.clone(),
                    downloads: Rc::clone(downloads),
                },
            })
            .collect();
        if files.is_empty() {
            bail!(
                "{path} has no file of {}; {} lists its files",
                ENDS.join(", "),
                downloads.hub().page(&path.repository)
            );
        }
        Ok(Self { name: path.at_commit(dataset.commit()).to_string(), files })
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Bytes of the files that are still on the Hub.
    pub fn missing(&self) -> u64 {
        self.files.iter().filter(|file| file.is_missing()).map(|file| file.size).sum()
    }
}

/// A file of text.
#[derive(Clone)]
pub struct TextFile {
    size: u64,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Here(PathBuf),
    Hub { dataset: Rc<Dataset>, file: DatasetFile, downloads: Rc<Downloads> },
}

/// What tells one content from another, as far as it can be told without reading it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub enum Identity {
    /// A file of this machine.
    Here {
        /// Its whole path.
        path: PathBuf,
        /// In bytes.
        size: u64,
        /// When it was changed, in nanoseconds.
        date: u128,
    },
    /// A file of the Hub.
    Hub {
        /// Organisation and name.
        dataset: String,
        /// The commit.
        commit: String,
        /// Its name in the dataset.
        name: String,
        /// In bytes.
        size: u64,
    },
}

impl Identity {
    /// That of a file of this machine.
    pub fn here(path: &Path) -> Result<Self> {
        let about = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
        let date = about.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
        Ok(Self::Here { path: std::fs::canonicalize(path)?, size: about.len(), date })
    }
}

impl TextFile {
    fn here(path: &Path) -> Result<Self> {
        let about =
            path.metadata().with_context(|| format!("cannot read the data {}", path.display()))?;
        Ok(Self { size: about.len(), place: Place::Here(path.to_path_buf()) })
    }

    /// Where it is on this machine, fetched first if need be.
    pub fn locate(&self) -> Result<PathBuf> {
        match &self.place {
            Place::Here(path) => Ok(path.clone()),
            Place::Hub { dataset, file, downloads } => {
                if let Some(path) = dataset.cached(file) {
                    return Ok(path);
                }
                downloads.spend(self.size, &self.to_string())?;
                downloads.hub().fetch_text(dataset, &file.name, &Printer::default())
            }
        }
    }

    /// Its name in a dataset, or below a folder.
    pub fn name_below(&self, folder: &Path) -> String {
        match &self.place {
            Place::Here(path) => {
                path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned()
            }
            Place::Hub { file, .. } => file.name.clone(),
        }
    }

    /// What it is called, at its commit where it is of a dataset.
    pub fn pinned(&self) -> String {
        match &self.place {
            Place::Here(path) => path.display().to_string(),
            Place::Hub { dataset, file, .. } => {
                let repository = dataset.repository().clone();
                let path = DatasetPath { repository, path: file.name.clone() };
                path.at_commit(dataset.commit()).to_string()
            }
        }
    }

    /// What tells it from others.
    pub fn identity(&self) -> Result<Identity> {
        match &self.place {
            Place::Here(path) => Identity::here(path),
            Place::Hub { dataset, file, .. } => Ok(Identity::Hub {
                dataset: dataset.id().to_owned(),
                commit: dataset.commit().to_owned(),
                name: file.name.clone(),
                size: self.size,
            }),
        }
    }

    fn is_missing(&self) -> bool {
        match &self.place {
            Place::Here(_) => false,
            Place::Hub { dataset, file, .. } => dataset.cached(file).is_none(),
        }
    }
}

impl fmt::Display for TextFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Here(path) => path.display().fmt(formatter),
            Place::Hub { dataset, file, .. } => {
                write!(formatter, "hf://datasets/{}/{}", dataset.repository(), file.name)
            }
        }
    }
}

impl fmt::Debug for TextFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TextFile({self}, {} bytes)", self.size)
    }
}
