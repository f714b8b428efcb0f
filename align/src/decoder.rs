//! The bytes of ids that come one by one. The pieces joined together equal [`Tokenizer::decode`] of
//! the whole. Knows one tokenizer; knows nothing of characters that a piece may cut in two.

use crate::tokenizer::Tokenizer;
use crate::vocabulary::DecodeState;

/// What the ids so far leave for the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    state: DecodeState,
    /// Whether the text has begun, so that a space is a space of the text.
    begun: bool,
}

impl Decoder {
    /// A decoder in the middle of a text, where no space is taken away.
    pub fn within() -> Self {
        Self { begun: true, ..Self::default() }
    }

    /// A decoder that has seen `ids`.
    pub fn after(tokenizer: &Tokenizer, ids: &[u32]) -> Self {
        let mut decoder = Self::default();
        for &id in ids {
            decoder.push(tokenizer, id);
        }
        decoder
    }

    /// The bytes that `id` adds to the text.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        tokenizer.vocabulary().advance(&mut self.state, id, &mut bytes);
        self.begin(tokenizer, &mut bytes);
        bytes
    }

    /// The bytes that `id` would add to the text.
    pub fn peek(mut self, tokenizer: &Tokenizer, id: u32) -> Vec<u8> {
        self.push(tokenizer, id)
    }

    /// Ends the text: the bytes that were held back.
    pub fn finish(mut self, tokenizer: &Tokenizer) -> Vec<u8> {
        let mut bytes = Vec::new();
        tokenizer.vocabulary().flush(&mut self.state, &mut bytes);
        self.begin(tokenizer, &mut bytes);
        bytes
    }

    /// Takes away the space that the tokenizer puts in front of a text.
    fn begin(&mut self, tokenizer: &Tokenizer, bytes: &mut Vec<u8>) {
        if !self.begun && !bytes.is_empty() {
            self.begun = true;
            if tokenizer.puts_space_in_front() && bytes[0] == b' ' {
                bytes.remove(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenmonster::{Capcode, Vocab};
    use proptest::prelude::*;
    use serde_json::json;

    /// A SentencePiece-style tokenizer that puts a space in front.
    fn sentence_piece() -> Tokenizer {
        let vocab = json!([
            ["<unk>", 0.0],
            ["<s>", 0.0],
            ["▁", -1.0],
            ["▁a", -1.0],
            ["a", -2.0],
            ["▁▁", -1.5],
            ["b", -1.0],
            ["<0xE2>", -9.0]
        ]);
        let special = |id: u32, content: &str| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true})
        };
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [special(0, "<unk>"), special(1, "<s>")],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
            "pre_tokenizer": null, "post_processor": null,
            "decoder": {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": true}
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, file.to_string()).unwrap();
        Tokenizer::load(&path).unwrap()
    }

    fn token_monster() -> Tokenizer {
        let tokens = [&b"a"[..], b" a", b"C", b"W", b"D", b"\xC3", b"\xA9", b" ", b"b"];
        let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| token.to_vec()).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.vocab");
        let vocab = Vocab::from_tokens(&tokens, Capcode::Full, 4).unwrap();
        std::fs::write(&path, vocab.to_bytes()).unwrap();
        Tokenizer::load(&path).unwrap()
    }

    #[test]
    fn the_space_in_front_is_no_text() {
        let tokenizer = sentence_piece();
        assert!(tokenizer.puts_space_in_front());
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push(&tokenizer, 1), b"");
        assert_eq!(decoder.peek(&tokenizer, 5), b" ");
        assert_eq!(decoder.push(&tokenizer, 3), b"a");
        assert_eq!(decoder.push(&tokenizer, 3), b" a");
    }

    proptest! {
        #[test]
        fn pieces_joined_equal_the_whole(ids in prop::collection::vec(0u32..10, 0..30)) {
            for tokenizer in [sentence_piece(), token_monster()] {
                let mut decoder = Decoder::default();
                let mut bytes = Vec::new();
                for (index, &id) in ids.iter().enumerate() {
                    prop_assert_eq!(decoder, Decoder::after(&tokenizer, &ids[..index]));
                    bytes.extend(decoder.push(&tokenizer, id));
                }
                bytes.extend(decoder.finish(&tokenizer));
                prop_assert_eq!(bytes, tokenizer.decode(&ids));
            }
        }
    }
}
