//! What a model's files are, as hashes: of its weights and of its tokenizer. Reads whole files, but takes
//! the Hub's word for those of its cache, whose names are their hashes.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::bench::record::ModelInfo;
use crate::prompts::hex;

/// Files that a tokenizer may consist of.
const TOKENIZER: [&str; 4] =
    ["tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"];

/// Bytes that are read at once.
const PIECE: usize = 1 << 18;

impl ModelInfo {
    /// The same with the hashes of the files in its folder.
    pub fn with_hashes(mut self, folder: &Path) -> Result<Self> {
        self.weights_sha256 = of_files(&files(folder, |name| name.ends_with(".safetensors"))?)?;
        self.tokenizer_sha256 = tokenizer(folder)?;
        Ok(self)
    }
}

/// SHA-256 of the files of a folder's tokenizer.
pub fn tokenizer(folder: &Path) -> Result<Option<String>> {
    let is_vocab = |name: &str| Path::new(name).extension().is_some_and(|own| own == "vocab");
    of_files(&files(folder, |name| TOKENIZER.contains(&name) || is_vocab(name))?)
}

/// Files of a folder, by name.
fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The hash of one file, or that of several ones' names and hashes; `None` for none.
fn of_files(paths: &[PathBuf]) -> Result<Option<String>> {
    match paths {
        [] => Ok(None),
        [only] => of_file(only).map(Some),
        several => {
            let mut all = Sha256::new();
            for path in several {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                all.update(format!("{name} {}\n", of_file(path)?));
            }
            Ok(Some(hex(&all.finalize())))
        }
    }
}

/// SHA-256 of a file, in hexadecimal.
pub fn of_file(path: &Path) -> Result<String> {
    if let Some(hash) = in_cache(path) {
        return Ok(hash);
    }
    let unreadable = || format!("cannot read {}", path.display());
    let mut hash = Sha256::new();
    let file = File::open(path).with_context(unreadable)?;
    io::copy(&mut BufReader::with_capacity(PIECE, file), &mut hash).with_context(unreadable)?;
    Ok(hex(&hash.finalize()))
}

/// The hash that the Hub's cache has a large file under: `snapshots/…/name` links to `blobs/HASH`.
fn in_cache(path: &Path) -> Option<String> {
    let link = std::fs::read_link(path).ok()?;
    let (name, folder) = (link.file_name()?.to_str()?, link.parent()?.file_name()?);
    let is_hash = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hash && folder == "blobs").then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_its_own_hash_and_several_have_one_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(tokenizer(path).unwrap(), None);
        std::fs::write(path.join("a.vocab"), "abc").unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(tokenizer(path).unwrap().as_deref(), Some(known));
        std::fs::write(path.join("tokenizer_config.json"), "{}").unwrap();
        let both = tokenizer(path).unwrap();
        std::fs::write(path.join("tokenizer_config.json"), "{ }").unwrap();
        assert_ne!(tokenizer(path).unwrap(), both);
    }

    #[cfg(unix)]
    #[test]
    fn the_cache_knows_its_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, link) = (folder.path().join("blobs"), folder.path().join("model.safetensors"));
        std::fs::create_dir(&blobs).unwrap();
        let hash = "0123456789abcdef".repeat(4);
        std::fs::write(blobs.join(&hash), "never read").unwrap();
        std::os::unix::fs::symlink(blobs.join(&hash), &link).unwrap();
        assert_eq!(of_file(&link).unwrap(), hash);
    }
}
