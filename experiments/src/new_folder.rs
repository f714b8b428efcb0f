//! A folder that appears whole or not at all: its files are written beside it under another name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// A folder on its way.
#[derive(Debug)]
pub struct NewFolder {
    path: PathBuf,
    /// Deleted with whatever is left in it.
    around: TempDir,
}

impl NewFolder {
    /// An error where there is something of that name.
    pub fn check_free(path: &Path) -> Result<()> {
        if path.symlink_metadata().is_ok() {
            bail!("{} exists already; name another folder with --out", path.display());
        }
        Ok(())
    }

    /// Begins a folder; those above it are made.
    pub fn begin(path: &Path) -> Result<Self> {
        Self::check_free(path)?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        let above = above.unwrap_or(Path::new("."));
        let cannot = || format!("cannot make a folder in {}", above.display());
        std::fs::create_dir_all(above).with_context(cannot)?;
        let around = tempfile::Builder::new().prefix(".making-").tempdir_in(above);
        let folder = Self { path: path.to_path_buf(), around: around.with_context(cannot)? };
        // Temporary folders are for their owner alone, what is made in them for whom the user likes.
        std::fs::create_dir(folder.draft()).with_context(cannot)?;
        Ok(folder)
    }

    /// Where its files are for now.
    pub fn draft(&self) -> PathBuf {
        self.around.path().join("folder")
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        std::fs::write(self.draft().join(name), bytes).with_context(|| {
            format!("cannot write {name} for {}; is the disk full?", self.path.display())
        })
    }

    /// Gives the folder its name.
    pub fn finish(self) -> Result<()> {
        Self::check_free(&self.path)?;
        std::fs::rename(self.draft(), &self.path)
            .with_context(|| format!("cannot make the folder {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_whole_or_not_there() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a/b");
        let broken_off = NewFolder::begin(&path).unwrap();
        broken_off.write("file", b"half").unwrap();
        drop(broken_off);
        assert_eq!(std::fs::read_dir(above.path().join("a")).unwrap().count(), 0);
        let folder = NewFolder::begin(&path).unwrap();
        folder.write("file", b"whole").unwrap();
        assert!(!path.exists());
        folder.finish().unwrap();
        assert_eq!(std::fs::read(path.join("file")).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(above.path().join("a")).unwrap().count(), 1);
        assert!(NewFolder::begin(&path).unwrap_err().to_string().contains("exists already"));
    }
}
