//! Byte-level BPE from text, as a `tokenizer.json`. The `tokenizers` crate counts and merges; this
//! module decides what surrounds the merges. Knows no file.

use anyhow::{Result, anyhow, bail};
use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use super::texts::Texts;

/// Bytes and the two specials: what a vocabulary of any size begins with.
pub const LEAST: usize = 256 + 2;

/// Names of the special tokens.
#[derive(Clone, Debug)]
pub struct Specials {
    /// Put in front of every text.
    pub bos: String,
    /// Ends a text.
    pub eos: String,
}

impl Specials {
    /// Refuses names that merges could make out of text.
    pub fn check(&self) -> Result<()> {
        let is_name = |name: &str| {
            let enclosed = name.starts_with('<') && name.ends_with('>')
                || name.starts_with('[') && name.ends_with(']');
            enclosed && name.chars().any(char::is_alphanumeric)
        };
        match [&self.bos, &self.eos].into_iter().find(|name| !is_name(name)) {
            Some(name) => {
                bail!("`{name}` can be no special token; name it <like this> or [like this]")
            }
            None => Ok(()),
        }
    }

    /// What puts the first of them in front of a text.
    fn template(&self, id: u32) -> Value {
        let special = |kind: u32| json!({"SpecialToken": {"id": self.bos, "type_id": kind}});
        let text = |name: &str, kind: u32| json!({"Sequence": {"id": name, "type_id": kind}});
        json!({
            "type": "TemplateProcessing",
            "single": [special(0), text("A", 0)],
            "pair": [special(0), text("A", 0), special(1), text("B", 1)],
            "special_tokens": {
                (self.bos.as_str()): {"id": self.bos, "ids": [id], "tokens": [self.bos]},
            },
        })
    }

    /// The lines of `tokenizer_config.json` that name them.
    fn config(&self) -> Value {
        json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": self.bos,
            "eos_token": self.eos,
            "pad_token": self.eos,
            "add_bos_token": true,
            "clean_up_tokenization_spaces": false,
        })
    }
}

/// The files of a vocabulary.
#[derive(Clone, Debug)]
pub struct Files {
    /// `tokenizer.json`.
    pub tokenizer: String,
    /// `tokenizer_config.json`.
    pub config: String,
}

/// Trains a vocabulary of exactly `size` ids: the specials, all bytes, merges.
pub fn train(texts: &Texts, size: usize, specials: &Specials) -> Result<Files> {
    if size < LEAST {
        bail!(
            "--size {size}: a byte-level vocabulary has at least {LEAST} ids (256 bytes and two specials)"
        );
    }
    let special = |name: &String| AddedToken::from(name.clone(), true);
    let mut trainer: TrainerWrapper = BpeTrainer::builder()
        .vocab_size(size)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![special(&specials.bos), special(&specials.eos)])
        .build()
        .into();
    let failed = |error: tokenizers::Error| anyhow!("the BPE trainer failed: {error}");
    let mut tokenizer = Tokenizer::new(BPE::default());
    let byte_level = ByteLevel::default().add_prefix_space(false);
    tokenizer.with_pre_tokenizer(Some(byte_level));
    tokenizer.with_decoder(Some(byte_level));
    tokenizer.train(&mut trainer, texts.pieces.iter()).map_err(failed)?;
    let found = tokenizer.get_vocab_size(true);
    if found < size {
        bail!(
            "the text of {} bytes gives only {found} ids; give more text with --data or ask for a \
             smaller --size",
            texts.bytes
        );
    }
    let written = tokenizer.to_string(false).map_err(failed)?;
    let mut written: Value = serde_json::from_str(&written)?;
    let bos = tokenizer.token_to_id(&specials.bos);
    written["post_processor"] = specials.template(bos.unwrap_or_default());
    Ok(Files {
        tokenizer: serde_json::to_string(&written)?,
        config: serde_json::to_string_pretty(&specials.config())?,
    })
}
