//! A vocabulary seen as bytes, whatever the tokenizer it came from: what each id adds to the text.
//!
//! For a plain vocabulary a token is a byte string. For TokenMonster it is a byte string with a
//! state before it and after it: some tokens end in a marker that deletes the next space, others
//! change the case of what follows. This module knows neither how text is cut into ids nor where a
//! vocabulary is stored.

use std::collections::HashMap;

use crate::tokenmonster::{self, Capcode};

pub use crate::tokenmonster::DecodeState;

/// What an id is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Text. For TokenMonster the bytes are in normalised form, markers included.
    Token(Box<[u8]>),
    /// A byte that stands in where no token has the character (`<0x41>` in SentencePiece). Where a
    /// text token has the same bytes, that one is meant.
    Byte(u8),
    /// A control token such as BOS: an entry of no bytes.
    Special(Box<str>),
    /// A row of the embedding that no token uses; it is never proposed.
    Padding,
}

impl Entry {
    /// Whether the id adds text.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Token(_) | Self::Byte(_))
    }
}

/// The bytes of every id of a vocabulary.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    entries: Vec<Entry>,
    capcode: Capcode,
    /// Ids of text tokens with the bytes they add in the clean state, sorted by bytes, ordinary
    /// tokens before bytes that stand in, then by id.
    by_bytes: Vec<(Box<[u8]>, u32)>,
    single_bytes: HashMap<u8, u32>,
}

impl Vocabulary {
    /// A vocabulary whose tokens are plain byte strings.
    pub fn plain(entries: Vec<Entry>) -> Self {
        Self::new(entries, Capcode::None)
    }

    /// A vocabulary whose tokens are in TokenMonster's normalised form.
    pub fn new(entries: Vec<Entry>, capcode: Capcode) -> Self {
        let mut vocabulary =
            Self { entries, capcode, by_bytes: Vec::new(), single_bytes: HashMap::new() };
        let mut by_bytes: Vec<(Box<[u8]>, u32)> = Vec::new();
        for id in 0..vocabulary.rows() as u32 {
            if let Some((bytes, state)) = vocabulary.bytes_after(DecodeState::default(), id)
                && state.is_clean()
                && !bytes.is_empty()
            {
                if let [byte] = bytes[..] {
                    vocabulary.single_bytes.entry(byte).or_insert(id);
                }
                by_bytes.push((bytes.into(), id));
            }
        }
        let stands_in = |id: u32| matches!(vocabulary.entries[id as usize], Entry::Byte(_));
        by_bytes.sort_by(|(a, first), (b, second)| {
            (a, stands_in(*first), first).cmp(&(b, stands_in(*second), second))
        });
        vocabulary.by_bytes = by_bytes;
        vocabulary
    }

    /// Number of ids, padding included.
    pub fn rows(&self) -> usize {
        self.entries.len()
    }

    /// Appends padding until there are `rows` ids, the number of rows of a model's embedding.
    pub fn pad_to(&mut self, rows: usize) {
        if rows > self.rows() {
            self.entries.resize(rows, Entry::Padding);
        }
    }

    /// The highest id that is no padding, plus one.
    pub fn used_rows(&self) -> usize {
        self.entries.iter().rposition(|entry| *entry != Entry::Padding).map_or(0, |last| last + 1)
    }

    /// Number of text tokens.
    pub fn token_count(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_text()).count()
    }

    /// What `id` is; ids beyond the last row are padding.
    pub fn entry(&self, id: u32) -> &Entry {
        self.entries.get(id as usize).unwrap_or(&Entry::Padding)
    }

    /// Whether `id` stands for text.
    pub fn is_token(&self, id: u32) -> bool {
        self.entry(id).is_text()
    }

    /// Whether `id` is a control token.
    pub fn is_special(&self, id: u32) -> bool {
        matches!(self.entry(id), Entry::Special(_))
    }

    /// How its tokens write word beginnings and capitals.
    pub fn capcode(&self) -> Capcode {
        self.capcode
    }

    /// Whether the bytes of a token depend on the tokens before it.
    pub fn is_stateful(&self) -> bool {
        self.capcode != Capcode::None
    }

    /// Appends to `out` the bytes that `id` adds to the text after `state`, and moves the state on.
    /// Specials and padding add nothing and leave the state alone.
    pub fn advance(&self, state: &mut DecodeState, id: u32, out: &mut Vec<u8>) {
        match (self.entry(id), self.capcode) {
            (Entry::Token(token), Capcode::None) => out.extend_from_slice(token),
            (Entry::Token(token), capcode) => tokenmonster::advance(capcode, state, token, out),
            (Entry::Byte(byte), _) => out.push(*byte),
            (Entry::Special(_) | Entry::Padding, _) => {}
        }
    }

    /// The bytes that a text token adds after `state`, and the state it leaves; `None` for
    /// specials and padding.
    pub fn bytes_after(&self, mut state: DecodeState, id: u32) -> Option<(Vec<u8>, DecodeState)> {
        if !self.is_token(id) {
            return None;
        }
        let mut bytes = Vec::new();
        self.advance(&mut state, id, &mut bytes);
        Some((bytes, state))
    }

    /// The bytes of a whole sequence.
    pub fn decode(&self, ids: &[u32]) -> Vec<u8> {
        let (mut state, mut bytes) = (DecodeState::default(), Vec::new());
        for &id in ids {
            self.advance(&mut state, id, &mut bytes);
        }
        self.flush(&mut state, &mut bytes);
        bytes
    }

    /// Ends a sequence: appends what the state held back.
    pub fn flush(&self, state: &mut DecodeState, out: &mut Vec<u8>) {
        if self.capcode != Capcode::None {
            tokenmonster::flush(self.capcode, state, out);
        }
    }

    /// The state after a sequence that began in the clean state.
    pub fn state_after(&self, ids: &[u32]) -> DecodeState {
        let (mut state, mut bytes) = (DecodeState::default(), Vec::new());
        if self.is_stateful() {
            for &id in ids {
                self.advance(&mut state, id, &mut bytes);
                bytes.clear();
            }
        }
        state
    }

    /// Text tokens that begin and end in the clean state, with their bytes, sorted by bytes. Tokens
    /// that leave a marker pending are left out.
    pub fn clean_tokens(&self) -> &[(Box<[u8]>, u32)] {
        &self.by_bytes
    }

    /// The id whose bytes in the clean state are exactly `bytes`: an ordinary token before a byte
    /// that stands in, the lowest of several.
    pub fn find(&self, bytes: &[u8]) -> Option<u32> {
        let first = self.by_bytes.partition_point(|(token, _)| &**token < bytes);
        self.by_bytes.get(first).filter(|(token, _)| &**token == bytes).map(|&(_, id)| id)
    }

    /// The id of a control token by its name.
    pub fn special(&self, name: &str) -> Option<u32> {
        let is_it = |entry: &Entry| matches!(entry, Entry::Special(own) if **own == *name);
        self.entries.iter().position(is_it).map(|id| id as u32)
    }

    /// The id of a single byte.
    pub fn byte(&self, byte: u8) -> Option<u32> {
        self.single_bytes.get(&byte).copied()
    }

    /// Whether some token is longer than `bytes` and begins with them.
    pub fn has_extension(&self, bytes: &[u8]) -> bool {
        let after = self.by_bytes.partition_point(|(token, _)| &**token <= bytes);
        self.by_bytes.get(after).is_some_and(|(token, _)| token.starts_with(bytes))
    }

    /// Whether no token holds a space behind another byte, so that a single space between words
    /// always begins a token.
    pub fn spaces_begin_tokens(&self) -> bool {
        !self.is_stateful()
            && self
                .by_bytes
                .iter()
                .all(|(token, _)| !token.windows(2).any(|pair| pair[0] != b' ' && pair[1] == b' '))
    }

    /// Whether two vocabularies mean the same by every id; padding at the end does not count.
    pub fn same_as(&self, other: &Self) -> bool {
        let used = self.used_rows().max(other.used_rows()) as u32;
        self.capcode == other.capcode && (0..used).all(|id| self.entry(id) == other.entry(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(list: &[&str]) -> Vocabulary {
        let mut entries = vec![Entry::Special("<s>".into())];
        entries.extend(list.iter().map(|token| Entry::Token(token.as_bytes().into())));
        Vocabulary::plain(entries)
    }

    #[test]
    fn lookup_by_bytes_and_by_prefix() {
        let vocabulary = tokens(&["a", "b", "ab", " the", " them"]);
        assert_eq!(vocabulary.find(b"ab"), Some(3));
        assert_eq!(vocabulary.find(b"abc"), None);
        assert_eq!(vocabulary.byte(b'b'), Some(2));
        assert!(vocabulary.has_extension(b" the"));
        assert!(!vocabulary.has_extension(b" them"));
        assert!(vocabulary.spaces_begin_tokens());
        assert!(!tokens(&["upon a"]).spaces_begin_tokens());
    }

    #[test]
    fn padding_is_no_difference() {
        let short = tokens(&["a"]);
        let mut padded = tokens(&["a"]);
        padded.pad_to(16);
        assert!(short.same_as(&padded));
        assert!(!short.same_as(&tokens(&["b"])));
        assert_eq!((padded.rows(), padded.used_rows()), (16, 2));
    }

    #[test]
    fn an_ordinary_token_comes_before_a_byte_that_stands_in() {
        let entries = vec![Entry::Byte(b'a'), Entry::Byte(b'b'), Entry::Token(b"a"[..].into())];
        let vocabulary = Vocabulary::plain(entries);
        assert_eq!((vocabulary.find(b"a"), vocabulary.find(b"b")), (Some(2), Some(1)));
        assert_eq!(vocabulary.decode(&[0, 1, 2]), b"aba");
    }

    #[test]
    fn specials_add_no_bytes() {
        let vocabulary = tokens(&["a", "b"]);
        assert_eq!(vocabulary.decode(&[0, 1, 0, 2, 99]), b"ab");
    }
}
