//! `spec pull`: a model from the Hub into the cache, by [`crate::hub`].

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use indicatif::HumanBytes;
use serde::Serialize;

use crate::hub::{Hub, Pulled};
use crate::printer::Printer;
use crate::{source, tokenizer};

/// Flags of `spec pull`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A registry name (stentor2, llama-3.2-1b, …) or a Hub id (organisation/name).
    model: String,
    /// A branch, a tag or a commit [default: the main branch].
    #[arg(long, value_name = "R")]
    revision: Option<String>,
    /// Print a JSON object instead of the folder.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Object<'a> {
    #[serde(flatten)]
    pulled: &'a Pulled,
    /// The TokenMonster vocabulary from another repository, where the model has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    vocabulary: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        let (_, repository) = source::published(&self.model)?;
        let mut repository = repository.ok_or_else(|| {
            anyhow!("{} comes with this program and is on no Hub; use it by its name", self.model)
        })?;
        if let Some(revision) = &self.revision {
            repository = repository.at(Some(revision)).ok_or_else(|| {
                anyhow!("`{revision}` can be no revision; name a branch, a tag or a commit")
            })?;
        }
        let pulled = Hub::from_env().pull(&repository, printer)?;
        let vocabulary = tokenizer::fetch_vocabulary(&self.model, &pulled.folder, printer)?;
        if self.json {
            let object = Object { pulled: &pulled, vocabulary };
            printer.data(&serde_json::to_string_pretty(&object)?)?;
        } else {
            printer.say(&summary(&pulled));
            printer.data(&pulled.folder.display().to_string())?;
        }
        Ok(())
    }
}

fn summary(pulled: &Pulled) -> String {
    let new = pulled.files.iter().filter(|file| file.downloaded);
    let (count, size) = new.fold((0, 0), |(count, size), file| (count + 1, size + file.size));
    let (id, all) = (&pulled.id, pulled.files.len());
    format!("{id}: {all} files, {count} of them downloaded now ({})", HumanBytes(size))
}
