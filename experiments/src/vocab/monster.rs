//! TokenMonster vocabularies from text, as the files of a model folder. What the tokens are decides
//! [`align::tokenmonster::Build`]; this module puts the special tokens behind them.

use align::tokenmonster::{Build, Progress};
use anyhow::Result;
use serde_json::json;

use super::bpe::Specials;
use super::texts::Texts;
use crate::printer::Printer;

/// The name of the vocabulary's file in a model folder.
pub const FILE: &str = "tokenmonster.vocab";

/// The files of a vocabulary.
#[derive(Clone, Debug)]
pub struct Files {
    /// `tokenmonster.vocab`.
    pub vocab: Vec<u8>,
    /// `tokenizer_config.json`: end of text behind the last token, beginning of text behind that.
    pub config: String,
}

/// Builds a vocabulary.
pub fn build(texts: &Texts, build: Build, specials: &Specials, printer: &Printer) -> Result<Files> {
    let mut shown: Option<(crate::printer::Progress, u64)> = None;
    let vocab = build.run(&texts.pieces, &mut |Progress { done, total }| {
        let (bar, before) =
            shown.get_or_insert_with(|| (printer.bytes(0, total, "choosing tokens"), 0));
        bar.advance_by(done - *before);
        *before = done;
    })?;
    if let Some((bar, _)) = shown {
        bar.finish();
    }
    let size = vocab.id_space();
    let config = json!({
        "tokenizer_type": "tokenmonster",
        "vocab_file": FILE,
        "eos_token": specials.eos,
        "bos_token": specials.bos,
        "pad_token": specials.eos,
        "eos_token_id": size,
        "bos_token_id": size + 1,
        "pad_token_id": size,
        "vocab_size": size + 2,
    });
    Ok(Files { vocab: vocab.to_bytes(), config: serde_json::to_string_pretty(&config)? })
}
