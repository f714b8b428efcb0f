//! A model as one GGUF file that llama.cpp loads: weights in one of its types, and the tokenizer as far
//! as llama.cpp can have it. Runs no model.

mod bare;
pub(crate) mod bytes;
mod lexicon;
pub(crate) mod pieces;

use std::path::Path;

use align::{AlignError, Tokenizer};
use anyhow::{Context, Result, anyhow, bail};
use draft::ModelError;
use draft::checkpoint::Checkpoint;
use draft::checkpoint::gguf::{Element, Value, export};
use draft::config::{ModelConfig, Shape};
use serde_json::Value as Json;

use crate::new_file;
use crate::source::{ends, fitting, read_tokenizer};
use crate::template::ChatTemplate;
use lexicon::{Kind, Lexicon, Roles};

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What the user called the model.
    pub name: &'a str,
    /// The type of its matrices.
    pub element: Element,
    /// Whether a tokenizer that llama.cpp cannot have is written for its texts alone.
    pub ids_only: bool,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its size in bytes.
    pub bytes: u64,
    /// Where llama.cpp's ids are not the tokenizer's own.
    pub caveat: Option<String>,
}

/// Writes the model of a folder as one file.
pub fn gguf(from: &Path, out: &Path, wanted: Wanted<'_>) -> Result<Written> {
    new_file::check_free(out)?;
    let config = ModelConfig::read(from)?;
    let shape = match &config.shape {
        Shape::Llama(shape) => shape,
        Shape::Qwen35(shape) => {
            let bias = "; llama.cpp's graph of it has no bias behind attention, as this one has";
            bail!(
                "{}: Qwen3.5 is not written as GGUF, models of Llama's architecture are{}",
                from.display(),
                if shape.decoder.attention_bias { bias } else { "" }
            );
        }
    };
    let tensors = shape.tensors();
    let checkpoint = Checkpoint::open(from, &tensors)?;
    let (mut more, caveat) = tokenizer(from, &config, wanted)?;
    let name =
        Path::new(wanted.name).file_name().map_or(wanted.name.into(), |own| own.to_string_lossy());
    more.insert(0, ("general.name".to_owned(), Value::text(name)));
    if let Some(caveat) = &caveat {
        more.insert(1, ("general.description".to_owned(), Value::text(caveat)));
    }
    let mut bytes = 0;
    new_file::write_with(out, |path| {
        bytes = export(path, shape, &checkpoint, wanted.element, more).map_err(
            |error| match error {
                ModelError::Format { reason, .. } => anyhow!("{}: {reason}", from.display()),
                other => other.into(),
            },
        )?;
        Ok(())
    })?;
    Ok(Written { bytes, caveat })
}

type Metadata = (Vec<(String, Value)>, Option<String>);

/// The tokenizer's part of the metadata, and what is to be known of it.
fn tokenizer(from: &Path, config: &ModelConfig, wanted: Wanted<'_>) -> Result<Metadata> {
    let rows = config.shape.vocab_size();
    let read = read_tokenizer(wanted.name, from).and_then(|own| fitting(own, from, rows));
    let tokenizer = match read {
        Ok(tokenizer) => tokenizer,
        Err(error) if wanted.ids_only && is_missing(&error) => {
            let none = ("tokenizer.ggml.model".to_owned(), Value::text("none"));
            return Ok((vec![none], Some("it has no tokenizer: feed it ids".to_owned())));
        }
        Err(error) => return Err(error),
    };
    let lexicon = lexicon(from, &tokenizer, (rows, wanted.ids_only))?;
    let caveat = lexicon.caveat.clone();
    let roles = roles(config, &tokenizer, &lexicon)
        .map_err(|reason| anyhow!("{}: {reason}", from.display()))?;
    let mut list = lexicon.metadata(roles);
    if let Some(template) = ChatTemplate::read(from)? {
        list.push(("tokenizer.chat_template".to_owned(), Value::text(template.source())));
    }
    Ok((list, caveat))
}

fn is_missing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(AlignError::NoTokenizer(_)))
}

/// The vocabulary in the way of llama.cpp that gives its ids, or for its texts alone.
fn lexicon(from: &Path, tokenizer: &Tokenizer, (rows, ids_only): (usize, bool)) -> Result<Lexicon> {
    let file = Tokenizer::file(from)?;
    let named = |reason: String| anyhow!("{}: {reason}", file.display());
    let bare = || bare::lexicon(tokenizer.vocabulary(), rows);
    let found = if tokenizer.is_tokenmonster() {
        Ok(bare())
    } else {
        let text =
            std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let json: Json = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no JSON", file.display()))?;
        let own = own_way(&json, rows);
        match own {
            Err(_) if ids_only => Ok(bare()),
            own => own.map_err(|reason| {
                format!(
                    "{reason}; --ids-only writes the model for ids, with the texts of its tokens"
                )
            }),
        }
    };
    let found = found.map_err(named)?;
    found.check().map_err(named)?;
    Ok(found)
}

/// A `tokenizer.json` in the way of llama.cpp that gives its ids.
fn own_way(json: &Json, rows: usize) -> Result<Lexicon, String> {
    let kind = json["model"]["type"].as_str().unwrap_or("BPE");
    if kind != "BPE" || json["model"]["merges"].is_null() {
        return Err(format!("a tokenizer of the kind {kind} is not written for llama.cpp"));
    }
    let text = [&json["decoder"], &json["pre_tokenizer"]].map(Json::to_string).concat();
    if text.contains("ByteLevel") {
        bytes::lexicon(json, rows)
    } else {
        pieces::lexicon(json, rows)
    }
}

/// Ids with a role. llama.cpp takes ids of its own where a file names no end, so a row that nothing
/// uses stands for it.
fn roles(config: &ModelConfig, tokenizer: &Tokenizer, lexicon: &Lexicon) -> Result<Roles, String> {
    let unused = lexicon.tokens.iter().position(|token| token.kind == Kind::Unused);
    let eos = ends(config, Some(tokenizer)).first().copied().or(unused.map(|id| id as u32));
    let eos = eos.ok_or(
        "neither its config.json nor its tokenizer names an end of text, and llama.cpp would take id \
         11 or 2 for it; set `eos_token_id` in config.json",
    )?;
    let (bos, adds_bos) = match tokenizer.prefix() {
        [] => (config.bos.or(tokenizer.bos()).unwrap_or(eos), false),
        [one] => (*one, true),
        several => {
            return Err(format!(
                "its texts begin with {} specials, and llama.cpp puts one in front",
                several.len()
            ));
        }
    };
    Ok(Roles { bos: Some(bos), eos: Some(eos), adds_bos })
}
