//! A repository of the Hub on the loopback: its files, what they add up to, its commits, and who
//! may read it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The token whose account may read gated and private repositories.
pub const GOOD_TOKEN: &str = "hf_good";

/// Who may read a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Open,
    /// Its description is public; its files are for accounts that accepted the licence.
    Gated,
    /// It says that it exists to that account only.
    Private,
}

/// A file at a commit.
#[derive(Clone, Debug)]
pub struct HubFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl HubFile {
    /// Large files are kept apart, at the address of another host.
    pub fn is_large(&self) -> bool {
        let endings = ["safetensors", "bin", "gguf", "onnx", "vocab", "parquet", "gz", "zst"];
        endings.iter().any(|ending| self.name.ends_with(ending))
    }

    pub fn etag(&self) -> String {
        let sum = if self.is_large() {
            Sha256::digest(&self.bytes).to_vec()
        } else {
            let head = format!("blob {}\0", self.bytes.len());
            Sha1::new().chain_update(head).chain_update(&self.bytes).finalize().to_vec()
        };
        sum.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }
}

/// A repository. The first commit is the main branch.
#[derive(Clone, Debug)]
pub struct HubRepository {
    pub id: String,
    /// Where its pages are: `datasets/` before the id, or nothing.
    pub is_dataset: bool,
    pub access: Access,
    pub former_id: Option<String>,
    /// Revision name, commit, files.
    pub commits: Vec<(String, String, Vec<HubFile>)>,
}

impl HubRepository {
    /// A repository that holds the files of a folder.
    pub fn of(id: &str, folder: &Path) -> Self {
        Self { is_dataset: false, ..Self::dataset(id) }.with_files(files(folder))
    }

    /// A dataset without files.
    #[must_use]
    pub fn dataset(id: &str) -> Self {
        let commits = vec![("main".to_owned(), commit(1), Vec::new())];
        let (id, access) = (id.to_owned(), Access::Open);
        Self { id, is_dataset: true, access, former_id: None, commits }
    }

    fn with_files(mut self, files: Vec<HubFile>) -> Self {
        self.commits[0].2 = files;
        self
    }

    /// With the files of another folder at another revision.
    #[must_use]
    pub fn at(mut self, revision: &str, folder: &Path) -> Self {
        let number = self.commits.len() + 1;
        self.commits.push((revision.to_owned(), commit(number), files(folder)));
        self
    }

    /// With one more file in its main branch.
    #[must_use]
    pub fn with(mut self, name: &str, bytes: &[u8]) -> Self {
        self.commits[0].2.push(HubFile { name: name.to_owned(), bytes: bytes.to_vec() });
        self
    }

    /// With a main branch of another commit, which has these files more; the first keeps its own.
    #[must_use]
    pub fn moved_on(mut self, name: &str, bytes: &[u8]) -> Self {
        let mut files = self.commits[0].2.clone();
        files.push(HubFile { name: name.to_owned(), bytes: bytes.to_vec() });
        let number = commit(self.commits.len() + 1);
        let first = std::mem::replace(&mut self.commits[0], ("main".to_owned(), number, files));
        self.commits.push(("first".to_owned(), first.1, first.2));
        self
    }

    /// Whether a token's account may know of it.
    pub fn is_known_to(&self, token: Option<&str>) -> bool {
        self.access != Access::Private || token == Some(GOOD_TOKEN)
    }

    #[must_use]
    pub fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// With a name that it had before.
    #[must_use]
    pub fn formerly(self, id: &str) -> Self {
        Self { former_id: Some(id.to_owned()), ..self }
    }

    pub fn by_revision(&self, revision: &str) -> Option<&(String, String, Vec<HubFile>)> {
        self.commits.iter().find(|(name, commit, _)| name == revision || commit == revision)
    }
}

/// Commits of every repository, by number.
pub fn commit(number: usize) -> String {
    format!("{number:040x}")
}

fn files(folder: &Path) -> Vec<HubFile> {
    let mut names: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        names.insert(name, std::fs::read(entry.path()).unwrap());
    }
    names.into_iter().map(|(name, bytes)| HubFile { name, bytes }).collect()
}
