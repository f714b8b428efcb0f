//! The tokenizer in a GGUF file's metadata.

use draft::checkpoint::gguf::{File, Value as Entry};
use serde_json::Value;

use super::tokenizer::{Kind, Roles, Token, bytes, pieces};
use crate::export::gguf::pieces::byte;

/// A tokenizer that was found: its ids, roles, and its `tokenizer.json` or why there is none.
pub(super) struct Found {
    pub(super) tokens: Vec<Token>,
    pub(super) roles: Roles,
    pub(super) json: Result<Value, String>,
}

/// Reads a file's tokenizer. An error is damage; what cannot be rebuilt is said in [`Found`].
pub(super) fn read(file: &File) -> Result<Found, String> {
    let get = |key: &str| file.get(&format!("tokenizer.ggml.{key}"));
    let model = get("model").and_then(Entry::as_text).unwrap_or("none");
    let tokens = tokens(file)?;
    let pre = get("pre").and_then(Entry::as_text).unwrap_or("default");
    // What llama.cpp does where a file does not say.
    let adds = model == "llama" || matches!(pre, "llama-bpe" | "llama3" | "llama-v3");
    let adds_bos = get("add_bos_token").and_then(Entry::as_bool).unwrap_or(adds);
    let id = |key: &str| get(key).and_then(Entry::as_number).filter(|&id| id < tokens.len());
    let template = file.get("tokenizer.chat_template").and_then(Entry::as_text);
    let roles = Roles {
        bos: id("bos_token_id"),
        eos: id("eos_token_id"),
        adds_bos,
        template: template.map(str::to_owned),
    };
    let json = match model {
        "llama" => {
            let space = get("add_space_prefix").and_then(Entry::as_bool).unwrap_or(true);
            Ok(pieces(&tokens, &roles, space))
        }
        "gpt2" => {
            let list = get("merges").and_then(Entry::as_list).unwrap_or_default();
            let merges: Vec<&str> = list.iter().filter_map(Entry::as_text).collect();
            bytes(&tokens, &roles, (pre, &merges))
        }
        "none" | "no_vocab" => Err("it has no tokenizer".to_owned()),
        other => Err(format!("a tokenizer of llama.cpp's kind `{other}` is not rebuilt")),
    };
    Ok(Found { tokens, roles, json })
}

fn tokens(file: &File) -> Result<Vec<Token>, String> {
    let list = |key: &str| {
        file.get(&format!("tokenizer.ggml.{key}")).and_then(Entry::as_list).unwrap_or_default()
    };
    let (texts, kinds, scores) = (list("tokens"), list("token_type"), list("scores"));
    for (name, own) in [("token_type", kinds), ("scores", scores)] {
        if !own.is_empty() && own.len() < texts.len() {
            return Err(format!(
                "`tokenizer.ggml.{name}` has {} entries for {} tokens",
                own.len(),
                texts.len()
            ));
        }
    }
    let one = |(id, text): (usize, &Entry)| {
        let text = text.as_text().ok_or_else(|| format!("the token {id} is no text"))?;
        let kind = match kinds.get(id).and_then(Entry::as_number) {
            Some(2) => Kind::Unknown,
            Some(3) => Kind::Special,
            Some(4) => Kind::Added,
            Some(5) => Kind::Unused,
            Some(6) if byte(text).is_some() => Kind::Byte,
            _ => Kind::Normal,
        };
        let score = scores.get(id).and_then(Entry::as_float).unwrap_or(0.0) as f32;
        Ok(Token { text: text.to_owned(), kind, score })
    };
    texts.iter().enumerate().map(one).collect()
}
