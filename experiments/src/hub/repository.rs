//! The name of a repository on the Hub, perhaps at a revision. Knows which names are safe to put
//! into an address and into a path of the cache; asks nobody whether they exist.

use std::fmt;

use hf_hub::{Repo, RepoType};

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model.
    Model,
    /// Data.
    Dataset,
}

impl Kind {
    /// What users read.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
        }
    }
}

/// A repository: `organisation/name`, or `organisation/name@revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// What it holds.
    pub kind: Kind,
    /// Organisation and name.
    pub id: String,
    /// A branch, a tag or a commit; `None` is the main branch.
    pub revision: Option<String>,
}

impl Repository {
    /// The main branch of a model's repository.
    pub fn new(id: &str) -> Self {
        Self { kind: Kind::Model, id: id.to_owned(), revision: None }
    }

    /// The dataset of that name.
    #[must_use]
    pub fn as_dataset(self) -> Self {
        Self { kind: Kind::Dataset, ..self }
    }

    /// Reads `organisation/name` or `organisation/name@revision`; `None` where the text is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, revision) = split_revision(text);
        let parts: Vec<&str> = id.split('/').collect();
        let is_part =
            |part: &&str| !part.is_empty() && !part.starts_with('.') && part.chars().all(is_plain);
        if parts.len() != 2 || !parts.iter().all(is_part) {
            return None;
        }
        Self::new(id).at(revision)
    }

    /// The same repository at a revision; `None` where no revision can have that name.
    pub fn at(self, revision: Option<&str>) -> Option<Self> {
        let is_good = |revision: &str| {
            is_relative(revision) && revision.chars().all(|c| is_plain(c) || "/+".contains(c))
        };
        if !revision.is_none_or(is_good) {
            return None;
        }
        Some(Self { revision: revision.map(str::to_owned), ..self })
    }

    /// The revision by name.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// Where it is below the Hub's address.
    pub(super) fn path(&self) -> String {
        self.repo().url()
    }

    /// As `hf_hub` names it.
    pub(super) fn repo(&self) -> Repo {
        let kind = match self.kind {
            Kind::Model => RepoType::Model,
            Kind::Dataset => RepoType::Dataset,
        };
        Repo::with_revision(self.id.clone(), kind, self.revision().to_owned())
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.revision {
            Some(revision) => write!(formatter, "{}@{revision}", self.id),
            None => formatter.write_str(&self.id),
        }
    }
}

/// A name and the revision behind its `@`, where it has one.
pub fn split_revision(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('@') {
        Some((name, revision)) => (name, Some(revision)),
        None => (name, None),
    }
}

/// Whether a path with `/` stays below the folder that it is put behind.
pub(super) fn is_relative(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(['\\', '\0'])
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_ids_are_told_from_paths() {
        assert_eq!(
            Repository::parse("meta-llama/Llama-3.2-1B"),
            Some(Repository::new("meta-llama/Llama-3.2-1B"))
        );
        for path in ["a/b/c", "./model", "../model", "stentor2", "/models/x", "a/", "a/b c"] {
            assert_eq!(Repository::parse(path), None, "{path}");
        }
    }

    #[test]
    fn revisions_are_safe_in_paths() {
        for revision in ["main", "v1.0", "refs/pr/1", "0123abc", "a+b"] {
            let repository = Repository::parse(&format!("a/b@{revision}")).unwrap();
            assert_eq!((repository.id.as_str(), repository.revision()), ("a/b", revision));
            assert_eq!(repository.to_string(), format!("a/b@{revision}"));
        }
        for revision in ["", "..", "a/../b", "/etc", "a//b", "a b", "a?b", "a%2e"] {
            assert_eq!(Repository::parse(&format!("a/b@{revision}")), None, "{revision}");
        }
    }
}
