//! The part of the cache that belongs to one repository, in the layout of Python's
//! `huggingface_hub`: contents under their checksum in `blobs`, names that link to them in
//! `snapshots/<commit>`, commits by revision in `refs`, locks beside them; and, of datasets, lists of a
//! commit's files. Knows no network.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow};
use hf_hub::{Cache, CacheRepo};

use super::dataset::DatasetFile;
use super::digest::Digest;
use super::repository::Repository;
use crate::printer::Printer;

/// One repository in the cache.
pub(super) struct RepositoryCache {
    layout: CacheRepo,
    root: PathBuf,
    revision: String,
    folder_name: String,
}

impl RepositoryCache {
    pub(super) fn new(root: &Path, repository: &Repository) -> Self {
        let revision = repository.revision().to_owned();
        let repo = repository.repo();
        Self {
            folder_name: repo.folder_name(),
            layout: Cache::new(root.to_path_buf()).repo(repo),
            root: root.to_path_buf(),
            revision,
        }
    }

    /// The folder of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.layout.pointer_path(commit)
    }

    /// The commit that the revision was when it was last pulled.
    pub(super) fn commit(&self) -> Option<String> {
        let named = std::fs::read_to_string(self.reference()).ok();
        let commit = named.as_deref().map_or(self.revision.as_str(), str::trim);
        Some(commit.to_owned()).filter(|commit| is_commit(commit))
    }

    /// The folder of that commit.
    pub(super) fn current(&self) -> Option<PathBuf> {
        self.commit().map(|commit| self.snapshot(&commit)).filter(|folder| folder.is_dir())
    }

    /// The files of a commit, where they were listed before.
    pub(super) fn list(&self, commit: &str) -> Option<Vec<DatasetFile>> {
        let list = std::fs::read(self.list_path(commit)).ok().filter(|_| is_commit(commit))?;
        serde_json::from_slice(&list).ok()
    }

    /// Keeps the list of a commit's files.
    pub(super) fn keep_list(&self, commit: &str, files: &[DatasetFile]) -> Result<()> {
        // Python's `huggingface_hub` takes a repository without this folder for a broken one.
        let snapshots = self.snapshot(commit);
        std::fs::create_dir_all(&snapshots).map_err(|error| cannot_write(&snapshots, &error))?;
        write_whole(&self.list_path(commit), &serde_json::to_vec(files)?)
    }

    fn list_path(&self, commit: &str) -> PathBuf {
        self.root.join(&self.folder_name).join(".spec").join(format!("{commit}.json"))
    }

    fn reference(&self) -> PathBuf {
        self.root.join(&self.folder_name).join("refs").join(&self.revision)
    }

    /// Notes which commit the revision is.
    pub(super) fn refer(&self, commit: &str) -> Result<()> {
        if commit == self.revision {
            return Ok(());
        }
        write_whole(&self.reference(), commit.as_bytes())
    }

    /// The place of a content.
    pub(super) fn blob(&self, digest: &Digest) -> Result<PathBuf> {
        let path = self.layout.blob_path(digest.digits());
        make_parent(&path)?;
        Ok(path)
    }

    /// The place of a content that is not yet whole.
    pub(super) fn incomplete(&self, digest: &Digest) -> Result<PathBuf> {
        Ok(extended(&self.blob(digest)?, "incomplete"))
    }

    /// Lets the name in a commit's folder stand for a content.
    pub(super) fn link(&self, commit: &str, name: &str, digest: &Digest) -> Result<()> {
        let (path, blob) =
            (self.snapshot(commit).join(name), self.layout.blob_path(digest.digits()));
        if std::fs::canonicalize(&path).ok().is_some_and(|at| at.exists()) {
            return Ok(());
        }
        make_parent(&path)?;
        // A link to nothing is a left-over.
        let _ = std::fs::remove_file(&path);
        let up = "../".repeat(name.split('/').count() + 1);
        let target = format!("{up}blobs/{}", digest.digits());
        symbolic_link(&target, &path)
            .or_else(|_| std::fs::copy(&blob, &path).map(|_| ()))
            .map_err(|error| cannot_write(&path, &error))
    }

    /// Takes the lock of a content, which lasts as long as the file that is returned; says so where
    /// another process has it. Where the file system has no locks there is none: contents are
    /// verified anyway.
    pub(super) fn lock(&self, digest: &Digest, name: &str, printer: &Printer) -> Result<File> {
        let folder = self.root.join(".locks").join(&self.folder_name);
        let path = folder.join(format!("{}.lock", digest.digits()));
        make_parent(&path)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| cannot_write(&path, &error))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                printer.say(&format!("{name}: another process downloads it; waiting for it"));
                file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => {
                return Err(anyhow!("cannot lock {}: {error}", path.display()));
            }
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        Ok(file)
    }
}

/// Whether a text can be the name of a commit.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Why the cache could not be written, and what to do.
pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let remedy = match error.kind() {
        StorageFull | QuotaExceeded => {
            "make room, or set HF_HUB_CACHE to a folder that has room; what is downloaded is kept, \
             and running the same command again goes on from there"
        }
        PermissionDenied | ReadOnlyFilesystem => "set HF_HUB_CACHE to a folder of yours",
        _ => "look at the cache folder, or set HF_HUB_CACHE to another one",
    };
    anyhow!("cannot write {}: {error}; {remedy}", path.display())
}

/// Writes a file under another name and renames it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let own = extended(path, &format!("{}.tmp", std::process::id()));
    make_parent(path)?;
    std::fs::write(&own, bytes).and_then(|()| std::fs::rename(&own, path)).map_err(|error| {
        let _ = std::fs::remove_file(&own);
        cannot_write(path, &error)
    })
}

fn extended(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{extension}"));
    name.into()
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent).map_err(|error| cannot_write(parent, &error))
}

#[cfg(unix)]
fn symbolic_link(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symbolic_link(_: &str, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
