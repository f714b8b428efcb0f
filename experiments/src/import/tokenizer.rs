//! A `tokenizer.json` of what other formats have: tokens with kinds and scores, or merges. Knows
//! neither file; says where no tokenizer would give the same ids.

use serde_json::{Map, Value, json};

use crate::export::gguf::bytes::pre_tokenizer;
use crate::export::gguf::pieces::merges_of;

/// What an id is, as far as a `tokenizer.json` tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Normal,
    /// Text that is looked for before all other.
    Added,
    /// A control token.
    Special,
    /// The token for what no other stands for.
    Unknown,
    /// A byte, such as `<0x0A>`.
    Byte,
    /// A row without a token.
    Unused,
}

/// An id.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) kind: Kind,
    pub(super) score: f32,
}

/// What a tokenizer's files say beside the tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    pub(super) bos: Option<usize>,
    pub(super) eos: Option<usize>,
    /// Whether the beginning is put in front of every text.
    pub(super) adds_bos: bool,
    pub(super) template: Option<String>,
}

/// SentencePiece-style: the pair with the best score first, with a space in front of a text where
/// `space` is set.
pub(super) fn pieces(tokens: &[Token], roles: &Roles, space: bool) -> Value {
    let scored: Vec<(&str, f32)> = tokens
        .iter()
        .filter(|token| token.kind == Kind::Normal)
        .map(|token| (token.text.as_str(), token.score))
        .collect();
    let unknown = tokens.iter().find(|token| token.kind == Kind::Unknown);
    let bytes = tokens.iter().filter(|token| token.kind == Kind::Byte).count() == 256;
    let mut normalizers =
        vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if space {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    if !bytes {
        decoders.remove(1);
    }
    let mut whole = frame(tokens, roles);
    whole["normalizer"] = json!({"type": "Sequence", "normalizers": normalizers});
    whole["decoder"] = json!({"type": "Sequence", "decoders": decoders});
    whole["model"] = json!({
        "type": "BPE", "dropout": null, "unk_token": unknown.map(|token| &token.text),
        "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
        "byte_fallback": bytes, "ignore_merges": false,
        "vocab": vocabulary(tokens, |_| true), "merges": merges_of(&scored),
    });
    whole
}

/// Byte-level BPE with one of llama.cpp's pre-tokenizers; the error says that it is not known.
pub(super) fn bytes(
    tokens: &[Token],
    roles: &Roles,
    (pre, merges): (&str, &[&str]),
) -> Result<Value, String> {
    let (cuts, whole_words) = pre_tokenizer(pre)
        .ok_or_else(|| format!("llama.cpp's pre-tokenizer `{pre}` is not known here"))?;
    let merges = merges
        .iter()
        .map(|merge| {
            // A space may be the first of two, and only there.
            let at = merge.char_indices().skip(1).find(|(_, character)| *character == ' ');
            at.map(|(at, _)| [&merge[..at], &merge[at + 1..]])
                .ok_or_else(|| format!("`{merge}` of its merges is no pair"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut whole = frame(tokens, roles);
    whole["pre_tokenizer"] = cuts;
    whole["decoder"] = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
        "use_regex": true});
    whole["model"] = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
        "ignore_merges": whole_words, "merges": merges,
        "vocab": vocabulary(tokens, |kind| matches!(kind, Kind::Normal | Kind::Byte)),
    });
    Ok(whole)
}

/// Ids by their texts.
fn vocabulary(tokens: &[Token], wanted: impl Fn(Kind) -> bool) -> Map<String, Value> {
    let used = |kind| kind != Kind::Unused && wanted(kind);
    let ids = tokens.iter().enumerate().filter(|(_, token)| used(token.kind));
    ids.map(|(id, token)| (token.text.clone(), id.into())).collect()
}

/// What is around the model: added tokens, and the beginning in front of every text.
fn frame(tokens: &[Token], roles: &Roles) -> Value {
    let added: Vec<Value> = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| matches!(token.kind, Kind::Added | Kind::Special | Kind::Unknown))
        .map(|(id, token)| {
            json!({"id": id, "content": token.text, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": token.kind != Kind::Added})
        })
        .collect();
    let mut whole = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
    });
    let bos = roles.bos.filter(|_| roles.adds_bos).and_then(|id| Some((id, tokens.get(id)?)));
    if let Some((id, Token { text, .. })) = bos {
        let special = |type_id| json!({"SpecialToken": {"id": text, "type_id": type_id}});
        let text_of = |name, type_id| json!({"Sequence": {"id": name, "type_id": type_id}});
        whole["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [special(0), text_of("A", 0)],
            "pair": [special(0), text_of("A", 0), special(1), text_of("B", 1)],
            "special_tokens": {(text.clone()): {"id": text, "ids": [id], "tokens": [text]}},
        });
    }
    whole
}

/// The `tokenizer_config.json` beside it.
pub(super) fn config(tokens: &[Token], roles: &Roles) -> Value {
    let text = |id: Option<usize>| id.and_then(|id| tokens.get(id)).map(|token| &token.text);
    let mut config = json!({"tokenizer_class": "PreTrainedTokenizerFast"});
    for (key, own) in [("bos_token", text(roles.bos)), ("eos_token", text(roles.eos))] {
        if let Some(own) = own {
            config[key] = own.as_str().into();
        }
    }
    if let Some(template) = &roles.template {
        config["chat_template"] = template.as_str().into();
    }
    config
}
