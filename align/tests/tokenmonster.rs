//! The `TokenMonster` fixtures: ids, decoded bytes and streaming of every published case.

#![allow(clippy::print_stderr, clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use align::tokenmonster::{DecodeState, Record, Vocab, advance, flush};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The published counts: a folder with fewer cases was cut short.
const FIXTURES: usize = 1271;
const SEQUENCES: usize = 180;
const VOCABULARIES: usize = 6;

fn folder() -> Option<PathBuf> {
    let folder =
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/tokenizers/tokenmonster"));
    if !folder.is_dir() {
        eprintln!("skipped: ../shared/tokenizers/tokenmonster is not here");
        return None;
    }
    Some(folder.to_owned())
}

fn vocabularies(folder: &Path) -> BTreeMap<String, Vocab> {
    let facts: Value =
        serde_json::from_slice(&std::fs::read(folder.join("VOCABS.json")).unwrap()).unwrap();
    let names = facts["vocabs"].as_object().unwrap().keys();
    let read = |name: &String| Vocab::read(&folder.join(format!("{name}.vocab"))).unwrap();
    let vocabularies: BTreeMap<_, _> = names.map(|name| (name.clone(), read(name))).collect();
    assert_eq!(vocabularies.len(), VOCABULARIES);
    vocabularies
}

struct Case {
    vocab: String,
    text: Option<String>,
    ids: Vec<u32>,
    decoded: Vec<u8>,
}

fn cases(path: &Path) -> Vec<Case> {
    let lines = std::fs::read_to_string(path).unwrap();
    let case = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        Case {
            vocab: value["vocab"].as_str().unwrap().to_owned(),
            text: value["text"].as_str().map(str::to_owned),
            ids: serde_json::from_value(value["ids"].clone()).unwrap(),
            decoded: STANDARD.decode(value["decoded_b64"].as_str().unwrap()).unwrap(),
        }
    };
    lines.lines().map(case).collect()
}

fn streamed(vocab: &Vocab, ids: &[u32]) -> Vec<u8> {
    let mut state = DecodeState::default();
    let mut out = Vec::new();
    for &id in ids {
        advance(vocab.capcode, &mut state, vocab.token(id).unwrap_or_default(), &mut out);
    }
    flush(vocab.capcode, &mut state, &mut out);
    out
}

#[test]
fn every_fixture_encodes_and_decodes() {
    let Some(folder) = folder() else { return };
    let vocabularies = vocabularies(&folder);
    let mut run = 0;
    for case in cases(&folder.join("fixtures.jsonl")) {
        let vocab = &vocabularies[&case.vocab];
        let text = case.text.unwrap();
        assert_eq!(vocab.encode(text.as_bytes()), case.ids, "{}: {text:?}", case.vocab);
        let encoding = vocab.encode_with_spans(text.as_bytes());
        assert_eq!(encoding.ids, case.ids, "{}: {text:?}", case.vocab);
        assert_eq!(encoding.ends.len(), case.ids.len());
        assert!(encoding.ends.is_sorted(), "{}: {text:?}", case.vocab);
        if let Some(last) = encoding.ends.last() {
            assert_eq!(*last, text.len(), "{}: {text:?}", case.vocab);
        }
        assert_eq!(encoding.unknown, 0);
        assert_eq!(vocab.decode(&case.ids), case.decoded, "{}: {text:?}", case.vocab);
        assert_eq!(streamed(vocab, &case.ids), case.decoded, "{}: {text:?}", case.vocab);
        run += 1;
    }
    assert_eq!(run, FIXTURES);
}

#[test]
fn every_sequence_decodes() {
    let Some(folder) = folder() else { return };
    let vocabularies = vocabularies(&folder);
    let mut run = 0;
    for case in cases(&folder.join("decode.jsonl")) {
        let vocab = &vocabularies[&case.vocab];
        assert_eq!(vocab.decode(&case.ids), case.decoded, "{}: {:?}", case.vocab, case.ids);
        assert_eq!(streamed(vocab, &case.ids), case.decoded, "{}: {:?}", case.vocab, case.ids);
        run += 1;
    }
    assert_eq!(run, SEQUENCES);
}

#[test]
fn every_file_is_written_back_byte_for_byte() {
    let Some(folder) = folder() else { return };
    for (name, vocab) in vocabularies(&folder) {
        let bytes = std::fs::read(folder.join(format!("{name}.vocab"))).unwrap();
        assert!(vocab.to_bytes() == bytes, "{name}");
    }
}

#[test]
fn every_file_is_made_again_from_its_tokens() {
    let Some(folder) = folder() else { return };
    for (name, vocab) in vocabularies(&folder) {
        let originals = vocab.records().iter().filter(|record| !record.is_duplicate());
        let tokens: Vec<Vec<u8>> = originals.map(|record| record.bytes.clone()).collect();
        let made = Vocab::from_tokens(&tokens, vocab.capcode, vocab.mode()).unwrap();
        assert_eq!(made.records().len(), vocab.records().len(), "{name}");
        for (made, stored) in made.records().iter().zip(vocab.records()) {
            assert_eq!(made.is_duplicate(), stored.is_duplicate());
            let scored = Record { score: stored.score, ..made.clone() };
            assert_eq!(scored, *stored, "{name}");
        }
        assert_eq!(made.cls(), vocab.cls(), "{name}");
        assert_eq!(made.delete_id(), vocab.delete_id(), "{name}");
        assert_eq!(made.max_len(), vocab.max_len(), "{name}");
        assert_eq!(made.vocab_size(), vocab.vocab_size(), "{name}");
    }
}
