//! Folders that are made once, under a name that all that decides them decides. A folder of that name
//! is whole: it was made under another name and renamed. Knows nothing of what is in them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::source::Identity;
use crate::prompts::hex;

/// What tells one state of a folder's files from another.
pub fn identities(folder: &Path) -> Result<Vec<Identity>> {
    let cannot = || format!("cannot read {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(cannot)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    paths.iter().map(|path| Identity::here(path)).collect()
}

/// The folder in `cache` that `key` names, made by `make` where it is not there.
pub fn folder(
    cache: &Path,
    (kind, key): (&str, &impl Serialize),
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let hash = Sha256::digest(serde_json::to_vec(key)?);
    let folder = cache.join(format!("{kind}-{}", hex(&hash[..10])));
    if folder.is_dir() {
        return Ok(folder);
    }
    let cannot = || format!("cannot make a folder in {}", cache.display());
    std::fs::create_dir_all(cache).with_context(cannot)?;
    let draft =
        tempfile::Builder::new().prefix(".making-").tempdir_in(cache).with_context(cannot)?;
    make(draft.path())?;
    // Another process may have been faster: its folder is the same.
    if let Err(error) = std::fs::rename(draft.path(), &folder)
        && !folder.is_dir()
    {
        return Err(error).with_context(cannot);
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn a_folder_is_made_once_and_whole() {
        let cache = tempfile::tempdir().unwrap();
        let failing = folder(cache.path(), ("a", &1), |path| {
            std::fs::write(path.join("half"), "")?;
            bail!("no")
        });
        assert!(failing.is_err() && std::fs::read_dir(cache.path()).unwrap().count() == 0);
        let made = folder(cache.path(), ("a", &1), |path| Ok(std::fs::write(path.join("x"), "")?));
        let again = folder(cache.path(), ("a", &1), |_| bail!("not again"));
        assert_eq!(made.unwrap(), again.unwrap());
    }
}
