//! Which published model a name or a folder stands for: by its name, its Hub id, or a shape that is
//! exactly the same. Reads a folder's `config.json` and nothing else of it.

use std::path::Path;

use align::Tokenizer;
use anyhow::{Result, anyhow};
use draft::config::Shape;
use serde_json::Value;

use crate::registry::{self, Entry};

/// A published model, and how it was recognised.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// The registry's entry.
    pub entry: &'static Entry,
    /// Only the shape is the same.
    pub by_shape: bool,
}

impl Published {
    /// The published model behind `name`, whose files are in `folder`. Where `name` is the folder
    /// itself it names no model; a shape counts only where its entry says how the model is used.
    pub fn find(name: &str, folder: &Path) -> Option<Self> {
        if folder != Path::new(name) {
            let (plain, _revision) = name.split_once('@').unwrap_or((name, ""));
            let named =
                |entry: &&Entry| entry.name == plain || entry.hub_id.as_deref() == Some(plain);
            if let Some(entry) = registry::models().iter().find(named) {
                return Some(Self { entry, by_shape: false });
            }
        }
        let shape = shape_of(folder)?;
        let alike = |entry: &&Entry| {
            (entry.sampling.is_some() || entry.begins_with.is_some())
                && Shape::from_json(&entry.config).is_ok_and(|own| own == shape)
        };
        let entry = registry::models().iter().find(alike)?;
        Some(Self { entry, by_shape: true })
    }

    /// Puts the special that the published model begins with in front of every text, where the
    /// tokenizer's own files put nothing there.
    pub fn begin(&self, tokenizer: &mut Tokenizer) -> Result<()> {
        let Some(special) = self.entry.begins_with.as_deref() else { return Ok(()) };
        if !tokenizer.prefix().is_empty() {
            return Ok(());
        }
        let vocabulary = tokenizer.vocabulary();
        match vocabulary.special(special).or_else(|| vocabulary.find(special.as_bytes())) {
            Some(id) => tokenizer.set_prefix(vec![id]),
            None if self.by_shape => {}
            None => {
                return Err(anyhow!(
                    "the texts of {} begin with `{special}`, and its tokenizer has no such token; \
                     fetch its files again, or name its folder to go without",
                    self.entry.name
                ));
            }
        }
        Ok(())
    }
}

fn shape_of(folder: &Path) -> Option<Shape> {
    let json: Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).ok()?).ok()?;
    Shape::from_json(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::tokenizers::{add_special, bpe, write_bpe};

    /// A folder with the `config.json` of a published model.
    fn folder_of(name: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let entry = registry::find(name).unwrap();
        std::fs::write(folder.path().join("config.json"), entry.config.to_string()).unwrap();
        folder
    }

    #[test]
    fn a_model_is_known_by_its_name_its_id_or_its_shape() {
        let folder = folder_of("stentor2");
        let found = |name: &str| {
            Published::find(name, folder.path()).map(|it| (it.entry.name.clone(), it.by_shape))
        };
        assert_eq!(found("er"), Some(("er".to_owned(), false)));
        assert_eq!(found("fromziro/Er-13M"), Some(("er".to_owned(), false)));
        assert_eq!(found("er@main"), Some(("er".to_owned(), false)));
        let path = folder.path().display().to_string();
        assert_eq!(found(&path), Some(("stentor2".to_owned(), true)));
        let other = folder_of("smollm2-135m");
        let path = other.path().display().to_string();
        assert!(Published::find(&path, other.path()).is_none(), "its card recommends nothing");
    }

    #[test]
    fn the_special_in_front_is_an_id_and_not_its_letters() {
        let folder = folder_of("er");
        let mut published = Published::find(&folder.path().display().to_string(), folder.path());
        let published = published.as_mut().unwrap();
        published.by_shape = false;
        let mut without = bpe("ab", &[]);
        let message = published.begin(&mut without).unwrap_err().to_string();
        assert!(message.contains("`<|bos|>`") && message.contains("no such token"), "{message}");
        published.by_shape = true;
        published.begin(&mut without).unwrap();
        assert!(without.prefix().is_empty());
        write_bpe(folder.path(), "ab", &[]);
        let special = add_special(folder.path(), "<|bos|>");
        let mut with = Tokenizer::load(folder.path()).unwrap();
        published.begin(&mut with).unwrap();
        assert_eq!(with.prefix(), [special]);
        let reading = crate::bench::fit::read(&with, None, "ab").unwrap();
        assert_eq!(reading.context.ids(), [special, 0, 1]);
        with.set_prefix(vec![1]);
        published.begin(&mut with).unwrap();
        assert_eq!(with.prefix(), [1], "what the tokenizer's files say counts");
    }
}
