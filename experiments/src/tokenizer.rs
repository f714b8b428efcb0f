//! The tokenizer of a model that has been located. Where a TokenMonster model comes without its
//! vocabulary, takes that from the Hub repository in which its author publishes them all; never
//! writes into the model's folder.

use std::path::{Path, PathBuf};

use align::Tokenizer;
use anyhow::{Result, anyhow};
use serde_json::Value;

use crate::hub::{Hub, Repository, split_revision};
use crate::printer::Printer;
use crate::registry;

const VOCABULARIES: &str = "alasdairforsythe/tokenmonster";

/// The name of a vocabulary file that names no vocabulary.
const PLAIN: &str = "tokenmonster";

/// How TokenMonster's vocabularies choose their tokens; a part of each vocabulary's name.
const MODES: [&str; 5] = ["unfiltered", "clean", "balanced", "consistent", "strict"];

/// Loads the tokenizer of a file or model folder. `name` is what the user typed for it.
pub fn open(name: &str, path: &Path, printer: &Printer) -> Result<Tokenizer> {
    match fetch_vocabulary(name, path, printer)? {
        Some(vocabulary) => Ok(Tokenizer::load_with_vocab(path, &vocabulary)?),
        None => Ok(Tokenizer::load(path)?),
    }
}

/// The file that has the vocabulary of a model folder, or the file itself that was named.
pub fn file(name: &str, path: &Path, printer: &Printer) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    match fetch_vocabulary(name, path, printer)? {
        Some(vocabulary) => Ok(vocabulary),
        None => Ok(Tokenizer::file(path)?),
    }
}

/// The vocabulary that stands for the one that a TokenMonster folder lacks; `None` where it lacks
/// none.
pub fn fetch_vocabulary(name: &str, folder: &Path, printer: &Printer) -> Result<Option<PathBuf>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let Some(missing) = Tokenizer::missing_vocab(folder)? else { return Ok(None) };
    let (missing_path, hub) = (missing.display(), Hub::from_env());
    let page = format!("{}/{VOCABULARIES}", hub.endpoint());
    let Some(vocabulary) = vocabulary_name(name, folder, &missing) else {
        return Err(anyhow!(
            "{missing_path} is missing, and nothing says which TokenMonster vocabulary it is; get \
             the model's own from {page}/tree/main/vocabs and put it there"
        ));
    };
    let file = format!("vocabs/{vocabulary}.vocab");
    let fetched = hub.fetch_file(&Repository::new(VOCABULARIES), &file, printer);
    fetched.map(Some).map_err(|error| {
        anyhow!(
            "{missing_path} is missing and cannot be fetched from the Hub: {error:#}; it can be had \
             from {page}/resolve/main/{file}"
        )
    })
}

/// Which vocabulary a folder means: by its file's name, by a field of `tokenizer_config.json`, or by
/// the model's own name.
fn vocabulary_name(name: &str, folder: &Path, missing: &Path) -> Option<String> {
    let stem = missing.file_stem()?.to_string_lossy().into_owned();
    if stem != PLAIN {
        return Some(stem);
    }
    in_config(folder).or_else(|| {
        let (name, _) = split_revision(name);
        let own = Path::new(name).file_name()?.to_str()?;
        let entry = registry::find(own).or_else(|| registry::find_published(name))?;
        entry.vocabulary.split(' ').find_map(vocabulary_in)
    })
}

fn in_config(folder: &Path) -> Option<String> {
    let bytes = std::fs::read(folder.join("tokenizer_config.json")).ok()?;
    let config: Value = serde_json::from_slice(&bytes).ok()?;
    config.as_object()?.values().filter_map(Value::as_str).find_map(vocabulary_in)
}

/// The vocabulary that a text names, such as `english-8000-strict-nocapcode-v1`, perhaps as a file.
fn vocabulary_in(text: &str) -> Option<String> {
    let last = text.rsplit('/').next()?;
    let name = last.strip_suffix(".vocab").unwrap_or(last);
    let parts: Vec<&str> = name.split('-').collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let [_, size, mode, .., version] = parts[..] else { return None };
    let is_name = is_number(size)
        && MODES.contains(&mode)
        && version.strip_prefix('v').is_some_and(is_number);
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn name_of(config: &Value, typed: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        let missing = Tokenizer::missing_vocab(folder.path()).unwrap().unwrap();
        vocabulary_name(typed, folder.path(), &missing)
    }

    #[test]
    fn a_vocabulary_is_named_by_its_file_then_a_field_then_the_registry() {
        let kind = "tokenmonster";
        let file = json!({"tokenizer_type": kind, "vocab_file": "code-4096-clean-v1.vocab",
            "vocabulary": "english-8000-strict-v1"});
        assert_eq!(name_of(&file, "stentor2").unwrap(), "code-4096-clean-v1");
        let field = json!({"tokenizer_type": kind, "vocab_file": "tokenmonster.vocab",
            "source": "vocabs/fiction-2048-consistent-nocapcode-v1.vocab", "eos_token": "</s>"});
        assert_eq!(name_of(&field, "stentor2").unwrap(), "fiction-2048-consistent-nocapcode-v1");
        let plain = json!({"tokenizer_type": kind, "eos_token": "a-b-c-d"});
        let registered = Some("english-8000-strict-nocapcode-v1".to_owned());
        for typed in ["stentor2", "StentorLabs/Stentor2-12M@main", "models/stentor2"] {
            assert_eq!(name_of(&plain, typed), registered, "{typed}");
        }
        for typed in ["stentor", "unknown"] {
            assert_eq!(name_of(&plain, typed), None, "{typed}");
        }
    }
}
