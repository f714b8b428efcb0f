//! The card of a model as the Hugging Face Hub has it, made of folders that runs left behind: what was
//! trained, evaluated and accepted. Every figure is one of a run; what no run measured is said to be not
//! measured. Knows what is in the folders; runs no model.

pub mod evidence;
pub mod front;
pub mod measured;
pub mod page;
mod tables;
mod training;

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::bench::record::ModelInfo;
use evidence::{Evidence, Run};
use measured::Measured;

/// What people say of a model, and no run can.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Its title, where it is not the model's own name.
    pub name: Option<String>,
    /// Licence, by the Hub's identifier.
    pub licence: Option<String>,
    /// Languages, by their codes.
    pub languages: Vec<String>,
    /// The model that it was made from, by its Hub id.
    pub base_model: Option<String>,
    /// Datasets beside those of the recipes, by their Hub ids.
    pub datasets: Vec<String>,
    /// Further tags.
    pub tags: Vec<String>,
}

/// The model itself, where it is at hand.
#[derive(Clone, Debug)]
pub struct Model {
    /// What reports say of it.
    pub info: ModelInfo,
    /// The object of its `config.json`.
    pub config: Value,
}

/// All that a card is made of.
#[derive(Debug)]
pub struct Card {
    pub(crate) said: Said,
    pub(crate) model: Option<Model>,
    pub(crate) runs: Vec<Run>,
    pub(crate) measured: Vec<Measured>,
}

/// A file that stands beside the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Card {
    /// Reads the folders of runs. All have to be of one model.
    pub fn read(said: Said, model: Option<Model>, folders: &[&Path]) -> Result<Self> {
        let mut runs = Vec::new();
        for folder in folders {
            runs.extend(Run::read(folder)?);
        }
        let mut card = Self { said, model, runs, measured: Vec::new() };
        let Some(parameters) = card.parameters() else {
            bail!("the runs do not say of which model they are; name it with --model");
        };
        for run in &card.runs {
            run.check_is_of(card.name(), parameters)?;
        }
        card.measured = measured::all(&card.runs, parameters);
        Ok(card)
    }

    /// What reports say of the model.
    pub(crate) fn info(&self) -> Option<&ModelInfo> {
        let own = self.model.as_ref().map(|model| &model.info);
        own.or_else(|| self.runs.iter().find_map(|run| run.evidence.model()))
    }

    /// The model's parameters, as far as anything says them.
    pub(crate) fn parameters(&self) -> Option<u64> {
        let trained = || self.runs.iter().find_map(|run| run.evidence.parameters());
        self.info().map(|info| info.parameters).or_else(trained)
    }

    /// The title.
    pub(crate) fn name(&self) -> &str {
        let trained = || self.runs.first().map(|run| run.name.as_str());
        let known =
            self.said.name.as_deref().or_else(|| self.info().map(|info| info.name.as_str()));
        known.or_else(trained).unwrap_or("model")
    }

    /// Runs of a kind, each with its name.
    pub(crate) fn of<'a, T: 'a>(
        &'a self,
        kind: impl Fn(&'a Evidence) -> Option<&'a T> + 'a,
    ) -> impl Iterator<Item = (&'a Run, &'a T)> {
        self.runs.iter().filter_map(move |run| Some((run, kind(&run.evidence)?)))
    }

    /// The card: its front matter and its page.
    pub fn text(&self) -> String {
        format!("{}\n{}", front::matter(self), page::page(self))
    }

    /// Pictures that the page shows.
    pub fn beside(&self) -> Vec<Beside> {
        let pictures = self.of(Evidence::training).enumerate().filter_map(|(index, (_, own))| {
            let bytes = own.picture.clone()?.into_bytes();
            Some(Beside { name: training::picture(index), bytes })
        });
        pictures.collect()
    }
}
