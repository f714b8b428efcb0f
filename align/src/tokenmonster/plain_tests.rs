//! The fast encoder against the plain one: any records and any bytes, and every vocabulary at hand on
//! real text.

#![allow(clippy::print_stderr, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::encode::Encoding;
use super::plain::{self, Plain};
use super::{Capcode, DecodeState, Vocab, advance, flush};

/// What the fast encoder must say of `text`.
fn expected(vocab: &Vocab, plain: &Plain, text: &[u8]) -> Encoding {
    let normalized = vocab.normalize(text);
    let raw = |end: usize| end.checked_sub(1).map_or(0, |last| normalized.raw_end[last] as usize);
    let mut encoding = Encoding::default();
    for (id, end) in plain.encode(&normalized.bytes) {
        let Some(id) = id else {
            encoding.dropped += 1;
            if let Some(last) = encoding.ends.last_mut() {
                *last = raw(end);
            }
            continue;
        };
        encoding.unknown += usize::from(Some(id) == vocab.unk_id);
        encoding.ids.push(id);
        encoding.ends.push(raw(end));
    }
    encoding
}

fn check(vocab: &Vocab, plain: &Plain, text: &[u8], name: &str) {
    let expected = expected(vocab, plain, text);
    let encoding = vocab.encode_with_spans(text);
    assert!(encoding == expected, "{name}: {:?}", String::from_utf8_lossy(text));
    assert!(vocab.encode(text) == expected.ids, "{name}");
    if plain::is_settled(vocab, text) {
        assert!(vocab.normalize(text).bytes == plain::with_delete_markers(text), "{name}");
    }
    let mut state = DecodeState::default();
    let mut decoded = Vec::new();
    for &id in &expected.ids {
        advance(vocab.capcode, &mut state, vocab.token(id).unwrap_or_default(), &mut decoded);
    }
    flush(vocab.capcode, &mut state, &mut decoded);
    assert!(vocab.decode(&expected.ids) == decoded, "{name}");
}

/// Text that is rich in what the rules are about.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&str> = vec![
        " ",
        "a",
        "b",
        "c",
        "ab",
        " ab",
        " a",
        "'",
        "\u{2019}",
        "1",
        "23",
        "A",
        "BC",
        "W",
        "C",
        "D",
        "\u{7F}",
        ".",
        "\n",
        "(",
        "\u{E9}",
        "e\u{301}",
        "\u{323}\u{307}",
        "ß",
        "Ж",
        "中",
        "cab",
        "  ",
    ];
    let known = prop::collection::vec(prop::sample::select(pieces), 0..60)
        .prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![
        4 => known,
        1 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

/// Vocabularies of short tokens of few letters, so that many of them fit at every place. The flags of
/// some records are any: files may hold what no builder would.
fn vocab() -> impl Strategy<Value = Vocab> {
    let token = prop_oneof![
        "[abc]{1,5}",
        " [abc]{1,5}",
        "[ab ]{1,8}",
        "[abcDCW '1.]{1,6}",
        "[ab\u{7F} ]{1,5}",
        " [ab]{1,2} [ab]{1,3}( a)?",
        "\u{7F} [ab1]{1,3}"
    ];
    let tokens = prop::collection::vec(token, 0..80);
    let capcode = prop::sample::select(vec![Capcode::None, Capcode::Delete, Capcode::Full]);
    let flags = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (tokens, capcode, any::<bool>(), any::<bool>(), flags).prop_map(
        |(tokens, capcode, all_bytes, unknown, flags)| {
            let mut tokens: Vec<Vec<u8>> = tokens.into_iter().map(String::into_bytes).collect();
            if all_bytes {
                tokens.extend((0..=255).map(|byte| vec![byte]));
            }
            let mut vocab = Vocab::from_tokens(&tokens, capcode, 0).unwrap();
            if unknown {
                vocab.unk_id = Some(vocab.id_space);
                vocab.id_space += 1;
            }
            let count = vocab.records.len();
            for (index, flags) in flags.into_iter().filter(|_| count > 0) {
                vocab.records[index.index(count)].flags = flags;
            }
            vocab.build_tables();
            vocab
        },
    )
}

proptest! {
    #[test]
    fn any_records_and_any_text(vocab in vocab(), texts in prop::collection::vec(text(), 1..6)) {
        let plain = Plain::new(&vocab);
        for text in &texts {
            check(&vocab, &plain, text, "made up");
        }
        let slices: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let alone: Vec<_> = texts.iter().map(|text| vocab.encode(text)).collect();
        prop_assert_eq!(vocab.encode_all(&slices), alone);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// What is read ahead ends inside the text, at any place of it.
    #[test]
    fn long_texts(vocab in vocab(), texts in prop::collection::vec(text(), 40..41), times in 4..9usize) {
        check(&vocab, &Plain::new(&vocab), &texts.concat().repeat(times), "made up");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn check_file(path: &Path, text: &[u8]) {
    let vocab = Vocab::read(path).unwrap();
    let plain = Plain::new(&vocab);
    let name = path.display().to_string();
    check(&vocab, &plain, text, &name);
    // Beginnings anywhere, inside a character as well.
    for from in 0..40 {
        check(&vocab, &plain, &text[from..200 + 13 * from], &name);
    }
}

/// The project's own prose.
fn prose() -> Vec<u8> {
    let read = |name: &str| std::fs::read(root().join(name)).unwrap();
    [read("ARCHITECTURE.md"), read("align/src/tokenmonster/plain_tests.rs")].concat()
}

#[test]
fn the_bundled_vocabulary_on_prose() {
    let path = root().join("experiments/bundled/stentor2/tokenmonster.vocab");
    check_file(&path, &prose());
}

#[test]
fn published_vocabularies_on_prose() {
    let folder = root().join("../shared/tokenizers/tokenmonster");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: ../shared/tokenizers/tokenmonster is not here");
        return;
    };
    let fixtures = std::fs::read(folder.join("fixtures.jsonl")).unwrap();
    let text = [prose(), fixtures[..60_000].to_vec()].concat();
    let paths = files.map(|file| file.unwrap().path());
    let vocabularies: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "vocab")).collect();
    assert!(!vocabularies.is_empty());
    for path in vocabularies {
        check_file(&path, &text);
    }
}
