//! One side of a pair as far as its vocabulary goes: a model folder, a tokenizer's file or a folder
//! that holds one alone. Says whether weights are at hand; loads none.

use std::path::{Path, PathBuf};

use align::Tokenizer;
use anyhow::{Context, Result};
use draft::checkpoint::Checkpoint;

use crate::printer::Printer;
use crate::source::Sources;
use crate::tokenizer;

/// A side without its weights.
pub(super) struct Opened {
    pub(super) name: String,
    /// What must be said of where it comes from.
    pub(super) note: Option<String>,
    /// Padded to the model's rows, where there is a model.
    pub(super) tokenizer: Tokenizer,
    /// Ids that end a text; the first stands for the others.
    pub(super) ends: Vec<u32>,
    /// The folder that holds the model, or why there is none.
    pub(super) weights: Result<PathBuf, String>,
}

impl Opened {
    pub(super) fn open(
        role: &str,
        name: &str,
        sources: &Sources,
        printer: &Printer,
    ) -> Result<Self> {
        let path = Path::new(name);
        if path.is_file() {
            return Self::alone(name, path, printer)
                .with_context(|| format!("cannot use the {role} `{name}`"));
        }
        let located =
            sources.locate(name).with_context(|| format!("cannot use the {role} `{name}`"))?;
        if !located.folder.join("config.json").exists() {
            return Self::alone(name, &located.folder, printer)
                .with_context(|| format!("cannot use the {role} `{name}`"));
        }
        let model = sources.describe_located(role, name, &located)?;
        let folder = model.located.folder;
        let weights = if Checkpoint::is_in(&folder) {
            Ok(folder)
        } else {
            Err(format!("{} holds no weights", folder.display()))
        };
        let (name, note, ends) = (model.name, model.located.note, model.eos);
        Ok(Self { name, note, tokenizer: model.tokenizer, ends, weights })
    }

    /// A tokenizer without a model.
    fn alone(name: &str, path: &Path, printer: &Printer) -> Result<Self> {
        let tokenizer = tokenizer::open(name, path, printer)?;
        Ok(Self {
            name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            note: None,
            ends: tokenizer.eos().into_iter().collect(),
            tokenizer,
            weights: Err(format!("{} is a tokenizer without a model", path.display())),
        })
    }
}
