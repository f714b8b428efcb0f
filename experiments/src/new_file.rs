//! A file that appears whole or not at all: it is written beside its place under another name.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// An error where there is something of that name.
pub fn check_free(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        bail!("{} exists already; name another file with --out", path.display());
    }
    Ok(())
}

/// Writes a new file; folders above it are made.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |draft| std::fs::write(draft, bytes).with_context(|| cannot(path)))
}

fn cannot(path: &Path) -> String {
    format!("cannot write {}; is its folder writable, its disk full?", path.display())
}

/// As [`write`], by what writes a file under the name that it is given.
pub fn write_with(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    check_free(path)?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    let cannot = || cannot(path);
    std::fs::create_dir_all(above).with_context(cannot)?;
    // What is made in a temporary folder is for whom the user likes, unlike temporary files.
    let around = tempfile::Builder::new().prefix(".making-").tempdir_in(above);
    let around = around.with_context(cannot)?;
    let draft = around.path().join("file");
    fill(&draft)?;
    check_free(path)?;
    std::fs::rename(&draft, path).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_new_and_nothing_is_left_beside_it() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a/b");
        write(&path, b"whole").unwrap();
        assert!(write(&path, b"other").unwrap_err().to_string().contains("exists already"));
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(above.path().join("a")).unwrap().count(), 1);
        let message = format!("{:#}", write(&path.join("c"), b"").unwrap_err());
        assert!(message.contains("cannot write"), "{message}");
    }
}
