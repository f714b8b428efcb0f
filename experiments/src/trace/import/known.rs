//! The target of imported texts, of which the tokenizer is at hand: how it reads prompts. Knows no answers.

use std::path::{Path, PathBuf};

use align::Tokenizer;
use anyhow::{Context, Result, bail};
use draft::config::ModelConfig;
use target::Reader;
use target::trace::{Bytes, Target};

use super::response::{Asked, Exchange};
use crate::bench::fit;
use crate::printer::Printer;
use crate::source::{Sources, ends, fitting, read_tokenizer};
use crate::template::ChatTemplate;
use crate::tokenizer;
use crate::trace::record::hash_of;

/// The target as far as its tokenizer says.
pub(super) struct Known {
    name: String,
    place: PathBuf,
    pub(super) tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    rows: usize,
    context: Option<usize>,
    pub(super) eos: Vec<u32>,
}

impl Known {
    /// Finds and opens a tokenizer, and what stands beside it.
    pub(super) fn open(sources: &Sources, name: &str) -> Result<Self> {
        let path = Path::new(name);
        let open = || -> Result<Self> {
            let place =
                if path.is_file() { path.into() } else { sources.locate_tokenizer(name)? };
            let own = read_tokenizer(name, &place)?;
            let config = ModelConfig::read(&place).ok();
            let rows = config.as_ref().map_or(own.vocabulary().rows(), |it| it.shape.vocab_size());
            let mut own = fitting(own, &place, rows)?;
            own.pad_to(rows);
            let eos = match &config {
                Some(config) => ends(config, Some(&own)),
                None => own.eos().into_iter().collect(),
            };
            let context = config.map(|config| config.shape.context());
            let template = ChatTemplate::read(&place)?;
            Ok(Self { name: name.to_owned(), place, tokenizer: own, template, rows, context, eos })
        };
        open().with_context(|| format!("cannot use the tokenizer `{name}`"))
    }

    /// How the target reads and writes.
    pub(super) fn reader(&self) -> Reader<'_> {
        let context = self.context.unwrap_or(usize::MAX);
        Reader { tokenizer: &self.tokenizer, eos: &self.eos, rows: self.rows, context }
    }

    /// A prompt's text, its ids, and what a template made of it.
    pub(super) fn prompt(&self, exchange: &Exchange) -> Result<(String, Vec<u32>, Option<Bytes>)> {
        let vocabulary = self.tokenizer.vocabulary();
        let (text, said) = match &exchange.asked {
            Asked::Text(text) => (text.clone(), exchange.prompt_ids.as_ref()),
            Asked::Ids(ids) => {
                let text = String::from_utf8(self.tokenizer.decode(ids));
                (text.context("the prompt's ids are no UTF-8 text")?, Some(ids))
            }
            Asked::Message(text) => {
                let ids = match (&exchange.prompt_ids, &self.template) {
                    (Some(ids), _) => ids.clone(),
                    (None, Some(template)) => {
                        self.tokenizer.encode_reference(&template.render(&[text])?, false)?
                    }
                    (None, None) => bail!(
                        "the server does not say the prompt's ids (vLLM: \"return_token_ids\": true), \
                         and beside the tokenizer there is no chat template"
                    ),
                };
                let rendered = Bytes(vocabulary.decode(&ids));
                return Ok((text.clone(), ids, Some(rendered)));
            }
        };
        let reading = fit::read(&self.tokenizer, None, &text)?;
        if !reading.expressible || reading.context.ids().is_empty() {
            bail!("the tokenizer cannot express the prompt");
        }
        let ids = reading.context.ids().to_vec();
        if said.is_some_and(|said| *said != ids) {
            bail!(
                "the server read the prompt as other ids than this tokenizer; is it the target's?"
            );
        }
        Ok((text, ids, None))
    }

    /// What a trace says of the target, whose longest text has so many ids with its prompt.
    pub(super) fn identity(&self, longest: usize) -> Result<Target> {
        let file = tokenizer::file(&self.name, &self.place, &Printer::default())?;
        let path = self.place.canonicalize().unwrap_or_else(|_| self.place.clone());
        Ok(Target {
            name: self.name.clone(),
            path: path.display().to_string(),
            source: "imported".to_owned(),
            note: None,
            architecture: None,
            parameters: None,
            rows: self.rows,
            vocabulary: self.tokenizer.vocabulary().used_rows(),
            context: self.context.unwrap_or(longest),
            tokenizer: self.tokenizer.description(),
            eos: self.eos.clone(),
            prefix: self.tokenizer.prefix().to_vec(),
            vocabulary_file: hash_of(&file)?,
            tokenizer_sha256: None,
            weights_sha256: None,
        })
    }
}
