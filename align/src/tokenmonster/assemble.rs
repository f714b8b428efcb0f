//! A new vocabulary from its tokens: order, ids, duplicates, alternatives, next-byte table.
//!
//! Knows how the published vocabularies were put together, so that tokens taken from one give the
//! same records again. Which tokens to take is the caller's business.

use std::collections::BTreeSet;

use super::capcode::Capcode;
use super::error::VocabError;
use super::format::{DUPLICATE, LONGEST, NONE, Record, Vocab, check_size};
use super::matcher::Matcher;
use super::normalize::NFD;
use super::scalar;
use super::shape::{Kind, Shape};
use super::trie::Trie;
use super::utterance::Utterances;

/// Suffixes that are split off as they are.
const SUFFIXES: [&str; 2] = ["'s", "\u{2019}s"];

impl Vocab {
    /// Makes a vocabulary of normalised tokens; ids go by length, then by bytes.
    ///
    /// `mode` is noted down and nothing more. A token that is the duplicate form of another gets
    /// no id of its own.
    pub fn from_tokens(tokens: &[Vec<u8>], capcode: Capcode, mode: u8) -> Result<Self, VocabError> {
        let mut records = records(tokens, capcode)?;
        check_size("new vocabulary", &records)?;
        let id_space = records.iter().map(|record| record.id + 1).max().unwrap_or(0);
        add_alternatives(&mut records, capcode);
        let marker = capcode.delete_marker();
        let is_marker = |record: &&Record| marker.is_some_and(|marker| record.bytes == [marker]);
        let mut vocab = Self {
            capcode,
            charset: 1,
            norm: NFD,
            mode,
            byte_set: 0,
            reserved: [0; 3],
            unk_id: None,
            ids_in_use: id_space,
            id_space,
            delete_id: records.iter().find(is_marker).map(|record| record.id),
            max_len: records.last().map_or(0, |record| record.bytes.len() as u8),
            cls: next_bytes(&records, capcode),
            records,
            deleted: Vec::new(),
            reverse: Vec::new(),
            matcher: Matcher::default(),
            utterances: Utterances::default(),
        };
        vocab.build_tables();
        Ok(vocab)
    }
}

/// The records in file order, without alternatives.
fn records(tokens: &[Vec<u8>], capcode: Capcode) -> Result<Vec<Record>, VocabError> {
    let misfit = |token: &Vec<u8>| token.is_empty() || token.len() > LONGEST;
    if let Some(token) = tokens.iter().position(misfit) {
        return Err(VocabError::TokenLength { token, len: tokens[token].len() });
    }
    let ordered: BTreeSet<(usize, &[u8])> =
        tokens.iter().map(|token| (token.len(), token.as_slice())).collect();
    let mut duplicates = BTreeSet::new();
    let mut records = Vec::new();
    let mut id = 0;
    for (_, token) in ordered {
        if duplicates.contains(token) {
            continue;
        }
        let shape = Shape::of(token, capcode);
        records.push(record(token.to_vec(), shape, id, 0.0));
        if let Some(marker) = capcode.delete_marker()
            && shape.first.begins_word()
            && token.len() + 2 <= LONGEST
        {
            let bytes = [&[marker, b' '], token].concat();
            let shape = Shape::of(&bytes, capcode);
            duplicates.insert(bytes.clone());
            records.push(record(bytes, shape, id, DUPLICATE));
        }
        id += 1;
    }
    if records.len() >= NONE as usize {
        return Err(VocabError::TooMany { count: records.len() });
    }
    records.sort_by(|one, other| {
        (one.bytes.len(), &one.bytes).cmp(&(other.bytes.len(), &other.bytes))
    });
    Ok(records)
}

fn record(bytes: Vec<u8>, shape: Shape, id: u32, score: f32) -> Record {
    let Shape { flags, n_words, .. } = shape;
    Record { bytes, flags, n_words, alt1: None, alt2: None, id, score }
}

fn add_alternatives(records: &mut [Record], capcode: Capcode) {
    let strings: Vec<&[u8]> = records.iter().map(|record| record.bytes.as_slice()).collect();
    let trie = Trie::new(&strings);
    let alternatives: Vec<_> =
        strings.iter().map(|token| alternatives(&trie, token, capcode)).collect();
    for (record, [alt1, alt2]) in records.iter_mut().zip(alternatives) {
        record.alt1 = alt1;
        record.alt2 = alt2;
    }
}

/// A record that a longer one may give way to. Priority 0 stands for none.
#[derive(Clone, Copy, Default)]
struct Alternative {
    priority: u8,
    len: usize,
    index: u32,
}

impl Alternative {
    fn rank(self) -> (u8, usize) {
        (self.priority, self.len)
    }
}

/// The two best records that `token` begins with.
fn alternatives(trie: &Trie, token: &[u8], capcode: Capcode) -> [Option<u32>; 2] {
    let words = Shape::of(token, capcode).n_words;
    let spaced = token[0] == b' ' && Kind::of(scalar::at(&token[1..]), capcode).begins_word();
    // A phrase does not give way to its first space alone.
    let shortest = if spaced && words > 1 { 2 } else { 1 };
    let suffix = suffix_at(token, capcode);
    let mut best = [Alternative::default(); 2];
    for (index, len) in prefixes(trie, token).into_iter().rev() {
        if len < shortest {
            break;
        }
        let at_suffix = suffix == Some(len);
        let (priority, natural) = match boundary(token, len, capcode) {
            Some(priority) => (priority, true),
            None => (if at_suffix { 8 } else { 1 }, false),
        };
        let slot = usize::from(best[0].rank() > best[1].rank());
        if best[slot].priority < priority {
            best[slot] = Alternative { priority, len, index };
        }
        if at_suffix && !natural {
            break;
        }
    }
    best.sort_by_key(|alternative| std::cmp::Reverse(alternative.rank()));
    best.map(|alternative| (alternative.priority > 0).then_some(alternative.index))
}

/// The records shorter than `token` that it begins with, shortest first, with their lengths.
fn prefixes(trie: &Trie, token: &[u8]) -> Vec<(u32, usize)> {
    let mut found = Vec::new();
    let mut place = trie.start();
    for (at, &byte) in token[..token.len() - 1].iter().enumerate() {
        let Some((next, record)) = trie.step(place, byte) else { break };
        if record != 0 {
            found.push((record - 1, at + 1));
        }
        place = next;
    }
    found
}

/// Where the token's suffix begins, if letters stand before it.
fn suffix_at(token: &[u8], capcode: Capcode) -> Option<usize> {
    SUFFIXES.iter().find_map(|suffix| {
        let stem = token.strip_suffix(suffix.as_bytes())?;
        (Kind::of(scalar::last(stem), capcode) == Kind::Letter).then_some(stem.len())
    })
}

/// How good a place to cut `token` at is, where it is one by its scalars.
fn boundary(token: &[u8], at: usize, capcode: Capcode) -> Option<u8> {
    let rest = &token[at..];
    if rest[0] == b' ' && rest.len() > 1 {
        let next = Kind::of(scalar::at(&rest[1..]), capcode);
        if next.begins_word() {
            return Some(10);
        }
    }
    let before = scalar::last(&token[..at]);
    let after = scalar::at(rest);
    let [kind, next] = [before, after].map(|scalar| Kind::of(scalar, capcode));
    let [word, next_word] = [(kind, before), (next, after)]
        .map(|(kind, scalar)| kind == Kind::Letter || scalar == Some('_'));
    let [space, next_space] = [before, after].map(|scalar| scalar.is_some_and(char::is_whitespace));
    let number_ends = kind == Kind::Number && next != Kind::Number;
    let begins = !word && next_word || kind != Kind::Number && next == Kind::Number;
    if capcode == Capcode::None && begins || word && !next_word || number_ends {
        Some(9)
    } else if space && !next_space {
        Some(7)
    } else if !space && next_space {
        Some(8)
    } else if next == Kind::Marker {
        Some(9)
    } else {
        None
    }
}

/// The next-byte table: what the records that begin with each byte mostly are.
fn next_bytes(records: &[Record], capcode: Capcode) -> [u8; 256] {
    let mut counts = [[0u32; 4]; 256];
    for record in records {
        let class = match Shape::of(&record.bytes, capcode).first {
            Kind::Space => 0,
            Kind::Letter => 1,
            Kind::Number => 2,
            Kind::Marker | Kind::Other => 3,
        };
        counts[usize::from(record.bytes[0])][class] += 1;
    }
    counts.map(|counts| {
        let most = counts.iter().copied().max().unwrap_or(0);
        let single = counts.iter().filter(|count| **count == most).count() == 1;
        if most <= 2 || !single {
            return 0;
        }
        match counts.iter().position(|count| *count == most) {
            Some(0) => 12,
            Some(1) => 1,
            Some(3) => 10,
            _ => 0,
        }
    })
}
