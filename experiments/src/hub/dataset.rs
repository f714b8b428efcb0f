//! A dataset of the Hub: its files by name and size at a commit, and those of them that are in the
//! cache. Fetches file by file. The list of a commit is kept beside its files, so that what there is can
//! be told without the Hub.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::Hub;
use super::cache::{RepositoryCache, is_commit};
use super::download::Download;
use super::patience::Patience;
use super::repository::{Repository, is_relative};
use super::requests::{RemoteFile, Requests};
use crate::printer::Printer;

const SCHEME: &str = "hf://";

/// A dataset, and a file or a folder in it: `hf://datasets/ORGANISATION/NAME[@REVISION][/PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetPath {
    /// The dataset.
    pub repository: Repository,
    /// The file or folder; empty is all of it.
    pub path: String,
}

impl DatasetPath {
    /// Reads it; `None` where the text names nothing on the Hub.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let Some(rest) = text.strip_prefix(SCHEME) else { return Ok(None) };
        let parsed = rest.strip_prefix("datasets/").and_then(Self::parse_behind);
        parsed.map(Some).ok_or_else(|| {
            anyhow!("`{text}`: expected hf://datasets/ORGANISATION/NAME[@REVISION][/PATH]")
        })
    }

    fn parse_behind(text: &str) -> Option<Self> {
        let (organisation, rest) = text.split_once('/')?;
        let end = rest.find(['@', '/']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let (revision, path) = match rest.strip_prefix('@') {
            Some(rest) => {
                let (revision, path) = split_revision_and_path(rest);
                (Some(revision.replace("%2F", "/")), path)
            }
            None => (None, rest.strip_prefix('/').unwrap_or_default()),
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        let repository = Repository::parse(&format!("{organisation}/{name}"))?.as_dataset();
        let repository = repository.at(revision.as_deref())?;
        let is_good = path.is_empty() || is_relative(path);
        is_good.then(|| Self { repository, path: path.to_owned() })
    }

    /// The same path at a commit.
    #[must_use]
    pub fn at_commit(&self, commit: &str) -> Self {
        let revision = Some(commit.to_owned());
        let repository = Repository { revision, ..self.repository.clone() };
        Self { repository, path: self.path.clone() }
    }

    /// Whether a file is this one, or is below this folder.
    pub fn holds(&self, name: &str) -> bool {
        self.path.is_empty()
            || name
                .strip_prefix(&self.path)
                .is_some_and(|rest| matches!(rest.chars().next(), None | Some('/')))
    }
}

impl fmt::Display for DatasetPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.path.is_empty() { "" } else { "/" };
        let id = &self.repository.id;
        write!(formatter, "{SCHEME}datasets/{id}")?;
        if let Some(revision) = &self.repository.revision {
            write!(formatter, "@{}", revision.replace('/', "%2F"))?;
        }
        write!(formatter, "{slash}{}", self.path)
    }
}

/// Splits `REVISION/PATH`. Revisions of the Hub's own, such as `refs/convert/parquet`, have slashes;
/// those of others are written `%2F`.
fn split_revision_and_path(text: &str) -> (&str, &str) {
    let is_special = ["refs/convert/", "refs/pr/"].iter().any(|start| text.starts_with(start));
    let slash = if is_special { 2 } else { 0 };
    match text.match_indices('/').nth(slash) {
        Some((at, _)) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    }
}

/// A file of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetFile {
    /// Its name in the repository.
    pub name: String,
    /// In bytes.
    pub size: u64,
}

/// A dataset at a commit.
#[derive(Debug)]
pub struct Dataset {
    repository: Repository,
    commit: String,
    snapshot: PathBuf,
    files: Vec<DatasetFile>,
}

impl Dataset {
    /// Its repository, at the revision by which it was asked for.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Organisation and name.
    pub fn id(&self) -> &str {
        &self.repository.id
    }

    /// The commit that the revision is.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// Its files, by name.
    pub fn files(&self) -> &[DatasetFile] {
        &self.files
    }

    /// Where a file is in the cache.
    pub fn cached(&self, file: &DatasetFile) -> Option<PathBuf> {
        let path = self.snapshot.join(&file.name);
        let is_whole = path.metadata().is_ok_and(|about| about.len() == file.size);
        is_whole.then_some(path)
    }
}

impl Hub {
    /// What a dataset has. Asks the Hub which commit the revision is, unless it is one by name and was
    /// listed before; without the network, answers from the cache.
    pub fn dataset(&self, repository: &Repository, printer: &Printer) -> Result<Dataset> {
        let cache = self.cache_of(repository);
        if let Some(files) = cache.list(repository.revision()) {
            return Ok(dataset(repository, &cache, repository.revision().to_owned(), files));
        }
        if self.is_offline() {
            let commit = cache.commit().ok_or_else(|| self.absent(repository))?;
            if let Some(files) = cache.list(&commit) {
                return Ok(dataset(repository, &cache, commit, files));
            }
            let files = found(&cache.snapshot(&commit));
            if files.is_empty() {
                return Err(self.absent(repository));
            }
            printer.say(&format!(
                "{repository}: its list of files is not in the cache; taking the {} that are there",
                files.len()
            ));
            return Ok(dataset(repository, &cache, commit, files));
        }
        self.reach()?;
        let (commit, files) = self.listed(repository, printer)?;
        cache.keep_list(&commit, &files)?;
        cache.refer(&commit)?;
        Ok(dataset(repository, &cache, commit, files))
    }

    /// Asks the Hub for the commit and its files.
    fn listed(
        &self,
        repository: &Repository,
        printer: &Printer,
    ) -> Result<(String, Vec<DatasetFile>)> {
        let requests = Requests::new(&self.settings);
        let what = repository.to_string();
        let info = Patience::new(&what, printer).try_for(|| requests.info(repository))?;
        if !is_commit(&info.sha) {
            bail!("{what}: the Hub names no commit; check HF_ENDPOINT");
        }
        let mut files = Vec::new();
        let mut page = Some(requests.tree(repository, &info.sha));
        while let Some(url) = page {
            let found;
            let patience = &mut Patience::new(&what, printer);
            (found, page) = patience.try_for(|| requests.page(repository, &url))?;
            files.extend(found.into_iter().filter(|file| is_relative(&file.name)));
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((info.sha, files))
    }

    /// Brings a file of a dataset into the cache.
    pub fn fetch_text(&self, dataset: &Dataset, name: &str, printer: &Printer) -> Result<PathBuf> {
        let (repository, commit) = (&dataset.repository, dataset.commit());
        if self.is_offline() {
            bail!(
                "{name} of {repository} is not in the cache {} and HF_HUB_OFFLINE is set; run the same \
                 command once without it",
                self.cache().display()
            );
        }
        self.reach()?;
        let (requests, cache) = (Requests::new(&self.settings), self.cache_of(repository));
        let download = Download { requests: &requests, cache: &cache, printer };
        download.file(RemoteFile { repository, commit, name })?;
        Ok(dataset.snapshot.join(name))
    }

    /// The address of a repository's page.
    pub fn page(&self, repository: &Repository) -> String {
        format!("{}/{}", self.endpoint(), repository.path())
    }
}

fn dataset(
    repository: &Repository,
    cache: &RepositoryCache,
    commit: String,
    files: Vec<DatasetFile>,
) -> Dataset {
    Dataset { repository: repository.clone(), snapshot: cache.snapshot(&commit), commit, files }
}

/// Files of a snapshot that came here by other means.
fn found(snapshot: &Path) -> Vec<DatasetFile> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(snapshot.join(&folder)).into_iter().flatten().flatten();
        for entry in entries {
            let Ok(about) = std::fs::metadata(entry.path()) else { continue };
            let name = format!("{folder}{}", entry.file_name().to_string_lossy());
            if about.is_dir() {
                folders.push(name + "/");
            } else {
                files.push(DatasetFile { name, size: about.len() });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (String, Option<String>, String) {
        let path = DatasetPath::parse(text).unwrap().unwrap();
        (path.repository.id, path.repository.revision, path.path)
    }

    #[test]
    fn a_dataset_may_have_a_revision_and_a_path() {
        let cases = [
            ("hf://datasets/a/b", None, ""),
            ("hf://datasets/a/b/", None, ""),
            ("hf://datasets/a/b/x/y.parquet", None, "x/y.parquet"),
            ("hf://datasets/a/b@v1.0", Some("v1.0"), ""),
            ("hf://datasets/a/b@v1/x/", Some("v1"), "x"),
            ("hf://datasets/a/b@refs/convert/parquet/x", Some("refs/convert/parquet"), "x"),
            ("hf://datasets/a/b@refs/pr/7", Some("refs/pr/7"), ""),
            ("hf://datasets/a/b@my%2Fbranch/x", Some("my/branch"), "x"),
            ("hf://datasets/a/b/x@y", None, "x@y"),
        ];
        for (text, revision, path) in cases {
            let expected = ("a/b".to_owned(), revision.map(str::to_owned), path.to_owned());
            assert_eq!(parse(text), expected, "{text}");
            let again = DatasetPath::parse(text).unwrap().unwrap().to_string();
            assert_eq!(parse(&again), expected, "{again}");
        }
        assert_eq!(DatasetPath::parse("some/folder").unwrap(), None);
        for text in ["hf://a/b", "hf://datasets/a", "hf://datasets/a/b@", "hf://datasets/a/b/../c"]
        {
            assert!(DatasetPath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_is_a_file_or_a_folder() {
        let holds = |path: &str, name: &str| {
            DatasetPath::parse(&format!("hf://datasets/a/b{path}")).unwrap().unwrap().holds(name)
        };
        assert!(holds("", "x/y.txt") && holds("/x", "x/y.txt") && holds("/x/y.txt", "x/y.txt"));
        assert!(!holds("/x", "xy.txt") && !holds("/x/y", "x/y.txt"));
    }
}
