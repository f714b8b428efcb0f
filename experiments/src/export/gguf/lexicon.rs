//! A tokenizer as llama.cpp has it: a text and a kind for each id, and what its way of cutting text
//! needs. Knows the keys of GGUF; whether ids come out the same is decided by those who fill it.

use draft::checkpoint::gguf::Value;
use serde_json::Value as Json;

/// What llama.cpp knows of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    fn code(self) -> i32 {
        match self {
            Self::Normal => 1,
            Self::Unknown => 2,
            Self::Control => 3,
            Self::UserDefined => 4,
            Self::Unused => 5,
            Self::Byte => 6,
        }
    }
}

/// An id.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) kind: Kind,
    pub(super) score: f32,
}

/// Which of llama.cpp's ways to cut text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cut {
    /// Byte-level BPE with the pre-tokenizer of that name.
    Bytes { pre: &'static str, merges: Vec<String> },
    /// SentencePiece: the pair with the best score first; perhaps with a space in front.
    Pieces { space: bool },
    /// The longest token that fits, over raw bytes.
    Longest,
}

/// A whole vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lexicon {
    pub(super) tokens: Vec<Token>,
    pub(super) cut: Cut,
    /// Where llama.cpp's ids are not the tokenizer's own.
    pub(super) caveat: Option<String>,
}

/// Ids with a role.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Roles {
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    /// Whether the beginning is put in front of every text.
    pub(super) adds_bos: bool,
}

/// The tokens of a `tokenizer.json`: its vocabulary, what was added, and rows of the embedding that
/// nothing uses.
pub(super) fn tokens(json: &Json, rows: usize) -> Result<Vec<Token>, String> {
    let mut found: Vec<Option<Token>> = vec![None; rows];
    let mut put = |id: Option<u64>, text: &str, kind| {
        let place = id.and_then(|id| found.get_mut(id as usize));
        let place = place.ok_or_else(|| format!("the token `{text}` has no row"))?;
        *place = Some(Token { text: text.to_owned(), kind, score: 0.0 });
        Ok::<(), String>(())
    };
    let vocab = json["model"]["vocab"].as_object().ok_or("its model has no vocabulary")?;
    for (text, id) in vocab {
        put(id.as_u64(), text, Kind::Normal)?;
    }
    for token in json["added_tokens"].as_array().into_iter().flatten() {
        let text = token["content"].as_str().unwrap_or_default();
        let special = token["special"].as_bool() == Some(true);
        put(token["id"].as_u64(), text, if special { Kind::Control } else { Kind::UserDefined })?;
    }
    Ok(found
        .into_iter()
        .enumerate()
        .map(|(id, token)| token.unwrap_or_else(|| unused(id)))
        .collect())
}

/// A row that no token uses.
pub(super) fn unused(id: usize) -> Token {
    Token { text: format!("[PAD{id}]"), kind: Kind::Unused, score: 0.0 }
}

/// The pairs of a BPE model's merges, in order.
pub(super) fn merges(model: &Json) -> Vec<(&str, &str)> {
    model["merges"].as_array().map_or(&[][..], Vec::as_slice).iter().filter_map(pair).collect()
}

/// A merge, in the older spelling or the newer.
fn pair(merge: &Json) -> Option<(&str, &str)> {
    match merge {
        Json::String(text) => text.split_once(' '),
        Json::Array(pair) => Some((pair.first()?.as_str()?, pair.get(1)?.as_str()?)),
        _ => None,
    }
}

impl Lexicon {
    /// An error where two ids would have one text, which llama.cpp does not survive.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut seen = std::collections::HashSet::new();
        match self.tokens.iter().find(|token| !seen.insert(token.text.as_str())) {
            Some(token) => Err(format!("two of its ids have the text `{}`", token.text)),
            None => Ok(()),
        }
    }

    /// The tokenizer's part of a file's metadata.
    pub(super) fn metadata(self, roles: Roles) -> Vec<(String, Value)> {
        let id = |id: u32| Value::number(id as usize);
        let mut list = vec![("add_bos_token", Value::Bool(roles.adds_bos))];
        list.push(("add_eos_token", Value::Bool(false)));
        list.extend(roles.bos.map(|bos| ("bos_token_id", id(bos))));
        list.extend(roles.eos.map(|eos| ("eos_token_id", id(eos))));
        let kinds: Vec<i32> = self.tokens.iter().map(|token| token.kind.code()).collect();
        list.push(("token_type", Value::integers(&kinds)));
        if let Some(unknown) = self.tokens.iter().position(|token| token.kind == Kind::Unknown) {
            list.push(("unknown_token_id", Value::number(unknown)));
        }
        match self.cut {
            Cut::Bytes { pre, merges } => {
                list.push(("model", Value::text("gpt2")));
                list.push(("pre", Value::text(pre)));
                list.push(("merges", Value::texts(merges)));
            }
            Cut::Pieces { space } => {
                let scores: Vec<f32> = self.tokens.iter().map(|token| token.score).collect();
                list.push(("model", Value::text("llama")));
                list.push(("pre", Value::text("default")));
                list.push(("scores", Value::floats(&scores)));
                list.push(("add_space_prefix", Value::Bool(space)));
            }
            Cut::Longest => list.push(("model", Value::text("rwkv"))),
        }
        let texts = self.tokens.into_iter().map(|token| token.text).collect();
        list.push(("tokens", Value::texts(texts)));
        list.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).collect()
    }
}
