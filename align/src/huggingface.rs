//! `tokenizer.json` files behind the face of this crate: byte-level BPE, and SentencePiece-style
//! vocabularies with `▁` for the space and `<0xNN>` for bytes. The `tokenizers` crate encodes; this
//! module knows what each id means in bytes and which ids a text begins with. It knows nothing of
//! TokenMonster.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;
use tokenizers::Tokenizer as Library;

use crate::error::AlignError;
use crate::tokenizer::Encoding;
use crate::vocabulary::{DecodeState, Entry, Vocabulary};

/// How a tokenizer writes the bytes of a token down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// Each character stands for one byte (GPT-2's alphabet).
    ByteLevel,
    /// Characters stand for themselves, `▁` for a space; `<0xNN>` for a byte where `bytes` is set.
    SentencePiece { bytes: bool },
}

/// What a tokenizer puts in front of a text that does not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prepends {
    Nothing,
    /// A space, always.
    Space,
    /// A space, where the text does not begin with one.
    MissingSpace,
}

/// A loaded `tokenizer.json`.
#[derive(Debug)]
pub struct HuggingFace {
    /// Reads special-token text as ordinary text.
    plain: Library,
    /// Reads special-token text as special tokens; made when first needed.
    parsing: OnceLock<Library>,
    prepends: Prepends,
    prefix: Vec<u32>,
    unknown: Option<u32>,
    /// Types of the file's normalisers, in order.
    normalizers: Vec<String>,
}

impl HuggingFace {
    /// Reads a `tokenizer.json` and the bytes of its vocabulary.
    pub fn read(path: &Path) -> Result<(Self, Vocabulary), AlignError> {
        let bytes =
            std::fs::read(path).map_err(|source| AlignError::Read { path: path.into(), source })?;
        let bad = |reason: String| AlignError::Json { path: path.into(), reason };
        let json: Value = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        let mut library = Library::from_bytes(&bytes).map_err(|error| bad(error.to_string()))?;
        library.set_encode_special_tokens(true);
        let spelling = spelling(&json).ok_or_else(|| AlignError::Unsupported {
            path: path.into(),
            what: format!("a decoder of type {}", json["decoder"]["type"]),
        })?;
        let vocabulary = vocabulary(&library, spelling);
        let unknown =
            json["model"]["unk_token"].as_str().and_then(|text| library.token_to_id(text));
        let mut normalizers = Vec::new();
        collect_types(&json["normalizer"], &mut normalizers);
        normalizers.retain(|kind| kind != "Sequence");
        let mut tokenizer = Self {
            plain: library,
            parsing: OnceLock::new(),
            prepends: Prepends::Nothing,
            prefix: Vec::new(),
            unknown,
            normalizers,
        };
        tokenizer.prepends = tokenizer.probe_prepends(&vocabulary)?;
        tokenizer.prefix = tokenizer.probe_prefix()?;
        Ok((tokenizer, vocabulary))
    }

    /// The special ids that the tokenizer puts in front of every text, such as BOS.
    pub fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// What is done to a text first: the file's normalisers by their types, and the space in front.
    pub fn normalisation(&self) -> Vec<String> {
        let space = self.puts_space_in_front().then(|| "a space in front".to_owned());
        self.normalizers.iter().cloned().chain(space).collect()
    }

    /// Whether a space is put in front of a text.
    pub fn puts_space_in_front(&self) -> bool {
        self.prepends != Prepends::Nothing
    }

    /// The id of a token by its text, specials included.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.plain.token_to_id(token)
    }

    /// Ids of a text as the reference gives them: special-token text becomes special tokens, and
    /// `with_specials` adds BOS and the like.
    pub fn encode_reference(
        &self,
        text: &str,
        with_specials: bool,
    ) -> Result<Vec<u32>, AlignError> {
        let library = self.parsing.get_or_init(|| {
            let mut library = self.plain.clone();
            library.set_encode_special_tokens(false);
            library
        });
        run(library, text, with_specials).map(|encoding| encoding.get_ids().to_vec())
    }

    /// Ids and spans of a text that begins a document. Special-token text stays text.
    pub fn encode(&self, text: &str, vocabulary: &Vocabulary) -> Result<Encoding, AlignError> {
        let encoding = run(&self.plain, text, false)?;
        let ids = encoding.get_ids().to_vec();
        let unknown = ids.iter().filter(|&&id| Some(id) == self.unknown).count();
        let (ends, missing) = matched_ends(&ids, text.as_bytes(), vocabulary)
            .unwrap_or_else(|| (reported_ends(encoding.get_offsets(), text.len()), 0));
        let dropped = if unknown == 0 { missing } else { 0 };
        Ok(Encoding { ids, ends, unknown, dropped })
    }

    /// Ids and spans of a text that goes on where another ended, so that nothing is put in front.
    /// `None` where the tokenizer cannot say it without merging it into what it puts in front.
    pub fn encode_continuation(
        &self,
        text: &str,
        vocabulary: &Vocabulary,
    ) -> Result<Option<Encoding>, AlignError> {
        if text.is_empty() {
            return Ok(Some(Encoding::default()));
        }
        match self.prepends {
            Prepends::Nothing => self.encode(text, vocabulary).map(Some),
            Prepends::MissingSpace if text.starts_with(' ') => {
                self.encode(text, vocabulary).map(Some)
            }
            Prepends::Space | Prepends::MissingSpace => {
                if let Some(rest) = text.strip_prefix(' ') {
                    let mut encoding = self.encode(rest, vocabulary)?;
                    encoding.ends.iter_mut().for_each(|end| *end += 1);
                    if vocabulary.decode(&encoding.ids) == text.as_bytes() {
                        return Ok(Some(encoding));
                    }
                }
                self.encode_behind_newline(text, vocabulary)
            }
        }
    }

    /// Encodes a text behind a line feed and cuts the line feed off where a token ends there.
    fn encode_behind_newline(
        &self,
        text: &str,
        vocabulary: &Vocabulary,
    ) -> Result<Option<Encoding>, AlignError> {
        let whole = self.encode(&format!("\n{text}"), vocabulary)?;
        let Some(cut) = whole.ends.iter().position(|&end| end == 1) else { return Ok(None) };
        let ids = whole.ids[cut + 1..].to_vec();
        let ends = whole.ends[cut + 1..].iter().map(|end| end - 1).collect();
        let unknown = ids.iter().filter(|&&id| Some(id) == self.unknown).count();
        Ok(Some(Encoding { ids, ends, unknown, dropped: 0 }))
    }

    fn probe_prepends(&self, vocabulary: &Vocabulary) -> Result<Prepends, AlignError> {
        let bytes = |text| {
            run(&self.plain, text, false).map(|encoding| vocabulary.decode(encoding.get_ids()))
        };
        Ok(match (bytes("a")?.starts_with(b" "), bytes(" a")?.starts_with(b"  ")) {
            (true, true) => Prepends::Space,
            (true, false) => Prepends::MissingSpace,
            (false, _) => Prepends::Nothing,
        })
    }

    fn probe_prefix(&self) -> Result<Vec<u32>, AlignError> {
        let bare = run(&self.plain, "a", false)?;
        let dressed = run(&self.plain, "a", true)?;
        let (bare, dressed) = (bare.get_ids(), dressed.get_ids());
        let at = (0..=dressed.len().saturating_sub(bare.len()))
            .find(|&at| dressed[at..].starts_with(bare))
            .unwrap_or(0);
        Ok(dressed[..at].to_vec())
    }
}

fn run(library: &Library, text: &str, specials: bool) -> Result<tokenizers::Encoding, AlignError> {
    library
        .encode(text, specials)
        .map_err(|error| AlignError::Encode { length: text.len(), reason: error.to_string() })
}

/// Ends by finding the tokens' own bytes in the text, in order, and the number of bytes that no
/// token has. Bytes between two tokens belong to the one before them, or to the token without bytes
/// (the unknown token) that stands there. `None` where the tokens' bytes are not in the text, as
/// behind a normaliser.
fn matched_ends(ids: &[u32], text: &[u8], vocabulary: &Vocabulary) -> Option<(Vec<usize>, usize)> {
    let tokens: Vec<Vec<u8>> = ids
        .iter()
        .map(|&id| {
            vocabulary.bytes_after(DecodeState::default(), id).map_or(Vec::new(), |(b, _)| b)
        })
        .collect();
    let whole = find_in_order(&tokens, text, 0);
    // A space that the tokenizer put in front is not in the text.
    let space_in_front = tokens.first().is_some_and(|token| token.first() == Some(&b' '));
    let places =
        whole.or_else(|| space_in_front.then(|| find_in_order(&tokens, text, 1)).flatten())?;
    let mut ends = vec![text.len(); ids.len()];
    let mut next_start = text.len();
    for (index, place) in places.iter().enumerate().rev() {
        let followed_by_empty = places.get(index + 1).is_some_and(Option::is_none);
        ends[index] =
            place.map_or(next_start, |(_, end)| if followed_by_empty { end } else { next_start });
        next_start = place.map_or(next_start, |(start, _)| start);
    }
    let covered: usize = tokens.iter().map(Vec::len).sum();
    Some((ends, text.len().saturating_sub(covered)))
}

/// Where the tokens' bytes stand in the text, as `(start, end)`, one behind the other, the first
/// `skip` bytes of the first token left out; `None` for a token without bytes.
fn find_in_order(
    tokens: &[Vec<u8>],
    text: &[u8],
    skip: usize,
) -> Option<Vec<Option<(usize, usize)>>> {
    let mut at = 0;
    let mut places = Vec::with_capacity(tokens.len());
    for (index, token) in tokens.iter().enumerate() {
        let token = if index == 0 { &token[skip.min(token.len())..] } else { &token[..] };
        let mut place: Option<(usize, usize)> = None;
        for byte in token {
            at += text[at..].iter().position(|other| other == byte)? + 1;
            place = Some((place.map_or(at - 1, |(start, _)| start), at));
        }
        // A lone space that was put in front stands for no byte, but is no unknown token.
        let lone = index == 0 && skip > 0 && token.is_empty();
        places.push(if lone { Some((0, 0)) } else { place });
    }
    Some(places)
}

/// Ends as the library reports them, made non-decreasing and complete.
fn reported_ends(offsets: &[(usize, usize)], length: usize) -> Vec<usize> {
    let mut reached = 0;
    let mut ends: Vec<usize> = offsets
        .iter()
        .map(|&(_, end)| {
            reached = reached.max(end.min(length));
            reached
        })
        .collect();
    if let Some(last) = ends.last_mut() {
        *last = length;
    }
    ends
}

fn spelling(json: &Value) -> Option<Spelling> {
    let mut kinds = Vec::new();
    collect_types(&json["decoder"], &mut kinds);
    collect_types(&json["pre_tokenizer"], &mut kinds);
    if kinds.iter().any(|kind| kind == "ByteLevel") {
        return Some(Spelling::ByteLevel);
    }
    let mut normalizers = Vec::new();
    collect_types(&json["normalizer"], &mut normalizers);
    let marks = json["decoder"].to_string().contains('▁')
        || kinds.iter().any(|kind| kind == "Metaspace")
        || json["normalizer"].to_string().contains('▁');
    let bytes = kinds.iter().any(|kind| kind == "ByteFallback")
        || json["model"]["byte_fallback"].as_bool() == Some(true);
    marks.then_some(Spelling::SentencePiece { bytes })
}

/// The `type` names of a component and of what it is made of.
fn collect_types(component: &Value, kinds: &mut Vec<String>) {
    if let Some(kind) = component["type"].as_str() {
        kinds.push(kind.to_owned());
    }
    for list in ["decoders", "pretokenizers", "normalizers"] {
        for part in component[list].as_array().into_iter().flatten() {
            collect_types(part, kinds);
        }
    }
}

fn vocabulary(library: &Library, spelling: Spelling) -> Vocabulary {
    let added = library.get_added_tokens_decoder();
    let all = library.get_vocab(true);
    let rows = all.values().max().map_or(0, |&last| last as usize + 1);
    let mut entries = vec![Entry::Padding; rows];
    let alphabet = byte_alphabet();
    for (text, id) in &all {
        entries[*id as usize] = match added.get(id) {
            Some(token) if token.special => Entry::Special(text.as_str().into()),
            Some(token) => Entry::Token(token.content.as_bytes().into()),
            None => token(text, spelling, &alphabet),
        };
    }
    Vocabulary::plain(entries)
}

fn token(text: &str, spelling: Spelling, alphabet: &HashMap<char, u8>) -> Entry {
    let bytes = match spelling {
        Spelling::ByteLevel => text
            .chars()
            .map(|character| alphabet.get(&character).copied())
            .collect::<Option<Vec<u8>>>()
            .unwrap_or_else(|| text.as_bytes().to_vec()),
        Spelling::SentencePiece { bytes } => {
            if let Some(byte) = byte_name(text).filter(|_| bytes) {
                return Entry::Byte(byte);
            }
            text.replace('▁', " ").into_bytes()
        }
    };
    Entry::Token(bytes.into())
}

/// `<0x0A>` means the byte 0x0A.
fn byte_name(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// GPT-2's alphabet: printable Latin-1 characters stand for themselves, the other bytes for the
/// characters from U+0100 on, in order.
fn byte_alphabet() -> HashMap<char, u8> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut next = 0x100u32;
    (0..=255u8)
        .filter_map(|byte| {
            let code = if printable(byte) {
                u32::from(byte)
            } else {
                next += 1;
                next - 1
            };
            char::from_u32(code).map(|character| (character, byte))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_alphabet_has_every_byte_once() {
        let alphabet = byte_alphabet();
        assert_eq!(alphabet.len(), 256);
        assert_eq!(alphabet.get(&'Ġ'), Some(&b' '));
        assert_eq!(alphabet.get(&'Ċ'), Some(&b'\n'));
        assert_eq!(alphabet.get(&'a'), Some(&b'a'));
    }

    #[test]
    fn byte_names() {
        assert_eq!(byte_name("<0x0A>"), Some(10));
        assert_eq!(byte_name("<0x0>"), None);
        assert_eq!(byte_name("<s>"), None);
    }
}
