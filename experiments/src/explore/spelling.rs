//! What ids say: the bytes that each adds behind the text so far, and those bytes as people read
//! them. Without a tokenizer everything is empty. Knows no model.

use align::{Decoder, Entry, Tokenizer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The text so far, as far as it decides what the next id says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spelling<'a> {
    tokenizer: Option<&'a Tokenizer>,
    decoder: Decoder,
}

/// What an id says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// The bytes that it adds, in base64.
    pub bytes_b64: String,
    /// Those bytes with invalid UTF-8 as U+FFFD, or the name of a special.
    pub text: String,
}

impl<'a> Spelling<'a> {
    /// At the beginning of a text.
    pub fn new(tokenizer: Option<&'a Tokenizer>) -> Self {
        Self { tokenizer, decoder: Decoder::default() }
    }

    /// What `id` would say here.
    pub fn peek(mut self, id: u32) -> Piece {
        self.push(id)
    }

    /// What `id` says here; the text goes on behind it.
    pub fn push(&mut self, id: u32) -> Piece {
        let Some(tokenizer) = self.tokenizer else { return Piece::default() };
        let bytes = self.decoder.push(tokenizer, id);
        let text = match tokenizer.vocabulary().entry(id) {
            Entry::Special(name) => name.to_string(),
            _ => String::from_utf8_lossy(&bytes).into_owned(),
        };
        Piece { bytes_b64: STANDARD.encode(bytes), text }
    }
}
