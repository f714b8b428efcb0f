//! `spec card`: flags to runs and a model, both to [`crate::card`], the card to a file or to standard
//! output.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::flags::SourceFlags;
use crate::card::{Card, Model, Said};
use crate::new_file;
use crate::printer::Printer;
use crate::published::Published;

/// Flags of `spec card`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The folder of a run of spec train, distill, eval or bench; may be given several times.
    #[arg(long = "run", value_name = "DIR", required = true)]
    runs: Vec<PathBuf>,
    /// The model itself, for its shape and its hashes: a folder, a registry name or a Hub id.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The card to write, with its pictures beside it [default: to standard output, without pictures].
    #[arg(long, value_name = "README.md")]
    out: Option<PathBuf>,
    /// Its title [default: the model's name].
    #[arg(long)]
    name: Option<String>,
    /// Its licence, such as apache-2.0 [default: that of the published model of this name, else none].
    #[arg(long, value_name = "ID")]
    license: Option<String>,
    /// Its languages, such as en.
    #[arg(long = "language", value_name = "CODE,…", value_delimiter = ',')]
    languages: Vec<String>,
    /// The model that it was made from, by its Hub id.
    #[arg(long, value_name = "ID")]
    base_model: Option<String>,
    /// Datasets that it read, beside those that recipes fetch from the Hub.
    #[arg(long = "dataset", value_name = "ID,…", value_delimiter = ',')]
    datasets: Vec<String>,
    /// Further tags.
    #[arg(long = "tag", value_name = "TAG,…", value_delimiter = ',')]
    tags: Vec<String>,
    #[command(flatten)]
    source: SourceFlags,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        if let Some(out) = &self.out {
            new_file::check_free(out)?;
        }
        let (model, licence) = self.model()?;
        let said = Said {
            name: self.name.clone(),
            licence: self.license.clone().or(licence),
            languages: self.languages.clone(),
            base_model: self.base_model.clone(),
            datasets: self.datasets.clone(),
            tags: self.tags.clone(),
        };
        let folders: Vec<&Path> = self.runs.iter().map(PathBuf::as_path).collect();
        let card = Card::read(said, model, &folders)?;
        let Some(out) = &self.out else {
            printer.data(&card.text())?;
            return Ok(());
        };
        let beside = card.beside();
        let place = |name: &str| out.with_file_name(name);
        for file in &beside {
            new_file::check_free(&place(&file.name))?;
        }
        for file in &beside {
            new_file::write(&place(&file.name), &file.bytes)?;
        }
        new_file::write(out, card.text().as_bytes())?;
        printer.say(&format!("written: {}", out.display()));
        Ok(())
    }

    /// The model and the licence of the published one that it is.
    fn model(&self) -> Result<(Option<Model>, Option<String>)> {
        let Some(name) = &self.model else { return Ok((None, None)) };
        let described = self.source.open().describe("model", name)?;
        let folder = &described.located.folder;
        let path = folder.join("config.json");
        let cannot = || format!("cannot read {}", path.display());
        let config = std::fs::read_to_string(&path).with_context(cannot)?;
        let config = serde_json::from_str(&config).with_context(cannot)?;
        let info = described.info().with_hashes(folder)?;
        // What only stands for a published model has no licence of it.
        let is_itself = described.located.note.is_none();
        let published = Published::find(name, folder).filter(|own| is_itself && !own.by_shape);
        Ok((Some(Model { info, config }), published.map(|own| own.entry.licence.clone())))
    }
}
