//! From a model's folder to a loaded model with its tokenizer. Does not know where folders come from,
//! and does no model maths.

use std::path::Path;

use align::Tokenizer;
use anyhow::{Context, Result, bail};
use draft::config::ModelConfig;
use draft::{Compute, Model, Session};
use target::Side;

use super::{Located, Sources};
use crate::bench::record::ModelInfo;
use crate::printer::Printer;
use crate::published::Published;
use crate::tokenizer;

/// A loaded model, ready for the loop, and what is known of it.
pub struct Loaded {
    /// The model.
    pub side: Side,
    /// What reports say of it.
    pub info: ModelInfo,
    /// Where it comes from.
    pub located: Located,
    /// The published model that it is, or whose shape it has.
    pub published: Option<Published>,
}

impl Loaded {
    /// Loads a model and its tokenizer from a folder.
    pub fn load(name: &str, located: Located, compute: Compute) -> Result<Self> {
        let folder = &located.folder;
        let tokenizer = read_tokenizer(name, folder)?;
        let model = Model::load(folder, compute)?;
        let tokenizer = fitting(tokenizer, folder, model.network.rows())?;
        let info = info(shown_name(name, folder), &located, (&model.config, &tokenizer));
        let eos = ends(&model.config, Some(&tokenizer));
        let side = Side::new(tokenizer, Session::new(model.network), eos);
        let published = Published::find(name, folder);
        Ok(Self { side, info, located, published })
    }
}

/// A model of which only the weights have not been read.
pub struct Described {
    /// The name for people.
    pub name: String,
    /// Where it comes from.
    pub located: Located,
    /// What its `config.json` says.
    pub config: ModelConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Ids that end a text. The first stands for the others.
    pub eos: Vec<u32>,
}

impl Described {
    /// What reports say of it.
    pub fn info(&self) -> ModelInfo {
        info(self.name.clone(), &self.located, (&self.config, &self.tokenizer))
    }
}

/// What reports say of a model that people know by `name`.
fn info(
    name: String,
    located: &Located,
    (config, tokenizer): (&ModelConfig, &Tokenizer),
) -> ModelInfo {
    ModelInfo {
        name,
        path: located.folder.display().to_string(),
        source: located.source.to_owned(),
        note: located.note.clone(),
        architecture: config.architecture.clone(),
        parameters: config.shape.parameters(),
        vocabulary: tokenizer.vocabulary().used_rows(),
        context: config.shape.decoder().context,
        tokenizer: tokenizer.description(),
        weights_sha256: None,
        tokenizer_sha256: None,
    }
}

/// A loaded model for which ids are enough: its tokenizer may be missing.
pub struct Bare {
    /// The name for people.
    pub name: String,
    /// What must be said of where it comes from.
    pub note: Option<String>,
    /// The model.
    pub session: Session,
    /// Ids that end a text.
    pub eos: Vec<u32>,
    /// Its tokenizer, or why there is none.
    pub tokenizer: Result<Tokenizer>,
}

impl Sources {
    /// Locates and loads a model.
    pub fn open(&self, role: &str, name: &str, compute: Compute) -> Result<Loaded> {
        let located = self.locate_for(role, name)?;
        Loaded::load(name, located, compute).with_context(|| cannot_load(role, name))
    }

    /// Locates a model and reads all but its weights.
    pub fn describe(&self, role: &str, name: &str) -> Result<Described> {
        self.describe_located(role, name, &self.locate_for(role, name)?)
    }

    /// Reads all but the weights of a model that has been located.
    pub fn describe_located(&self, role: &str, name: &str, located: &Located) -> Result<Described> {
        let folder = &located.folder;
        let read = || -> Result<Described> {
            let config = ModelConfig::read(folder)?;
            let rows = config.shape.vocab_size();
            let mut tokenizer = fitting(read_tokenizer(name, folder)?, folder, rows)?;
            tokenizer.pad_to(rows);
            let eos = ends(&config, Some(&tokenizer));
            let (name, located) = (shown_name(name, folder), located.clone());
            Ok(Described { name, located, config, tokenizer, eos })
        };
        read().with_context(|| cannot_load(role, name))
    }

    /// Locates and loads a model, with or without a tokenizer.
    pub fn open_bare(&self, role: &str, name: &str, compute: Compute) -> Result<Bare> {
        let Located { folder, note, .. } = self.locate_for(role, name)?;
        let load = || -> Result<Bare> {
            let model = Model::load(&folder, compute)?;
            let tokenizer = read_tokenizer(name, &folder)
                .and_then(|tokenizer| fitting(tokenizer, &folder, model.network.rows()));
            Ok(Bare {
                name: shown_name(name, &folder),
                note: note.clone(),
                eos: ends(&model.config, tokenizer.as_ref().ok()),
                session: Session::new(model.network),
                tokenizer,
            })
        };
        load().with_context(|| cannot_load(role, name))
    }

    fn locate_for(&self, role: &str, name: &str) -> Result<Located> {
        self.locate(name).with_context(|| format!("cannot use the {role} `{name}`"))
    }
}

fn cannot_load(role: &str, name: &str) -> String {
    format!("cannot load the {role} `{name}`")
}

/// Reads a folder's tokenizer and puts in front of every text what the published model needs there.
pub(crate) fn read_tokenizer(name: &str, folder: &Path) -> Result<Tokenizer> {
    let mut tokenizer = tokenizer::open(name, folder, &Printer::default())?;
    if let Some(published) = Published::find(name, folder) {
        published.begin(&mut tokenizer)?;
    }
    Ok(tokenizer)
}

/// A tokenizer that has no more ids than the model has rows.
pub(crate) fn fitting(tokenizer: Tokenizer, folder: &Path, rows: usize) -> Result<Tokenizer> {
    let used = tokenizer.vocabulary().used_rows();
    if used > rows {
        bail!(
            "{}: its tokenizer has ids up to {}, its embedding {rows} rows; the tokenizer and the \
             weights do not belong together",
            folder.display(),
            used - 1
        );
    }
    Ok(tokenizer)
}

/// Ids that end a text. The end that the tokenizer's own files name stands for the others.
pub(crate) fn ends(config: &ModelConfig, tokenizer: Option<&Tokenizer>) -> Vec<u32> {
    let mut eos = config.eos.clone();
    let own = tokenizer.and_then(Tokenizer::eos);
    if eos.is_empty() {
        eos.extend(own);
    }
    if let Some(own) = own.and_then(|own| eos.iter().position(|&id| id == own)) {
        eos.swap(0, own);
    }
    eos
}

/// A folder's own name, or the name that was typed for another source.
fn shown_name(name: &str, folder: &Path) -> String {
    let own = folder.file_name().filter(|_| Path::new(name).is_dir());
    own.map_or_else(|| name.to_owned(), |own| own.to_string_lossy().into_owned())
}
