//! The builder on small texts: all bytes, the exact size, the same result again, round trips, and
//! that choosing by the encoder beats choosing by frequency.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use super::super::{Capcode, Vocab, VocabError};
use super::{Build, Mode};

/// Sentences of a few words in an order that only looks random.
fn text(sentences: usize) -> Vec<String> {
    let words = [
        "the",
        "of",
        "a",
        "reading",
        "reader",
        "readers",
        "writing",
        "writer",
        "letter",
        "letters",
        "in",
        "house",
        "houses",
        "1984",
        "12",
        "don't",
        "quickly",
        "Paris",
        "unreadable",
        "rewritten",
    ];
    let mut state = 1u32;
    let mut next = |count: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // The product of two is small more often than large, as ranks of words are.
        let (one, other) = ((state >> 8) as usize % count, (state >> 20) as usize % count);
        one * other / count
    };
    let sentence = |_| {
        let chosen: Vec<&str> = (0..9).map(|_| words[next(words.len())]).collect();
        format!("{}, ({}) {}.\n", chosen[..4].join(" "), chosen[4], chosen[5..].join(" "))
    };
    (0..sentences).map(sentence).collect()
}

fn build(size: usize, mode: Mode, capcode: Capcode, seed: u64) -> Vocab {
    Build { size, mode, capcode, seed }.run(&text(3_000), &mut |_| ()).unwrap()
}

fn tokens(vocab: &Vocab) -> BTreeSet<Vec<u8>> {
    let own = vocab.records().iter().filter(|record| !record.is_duplicate());
    own.map(|record| record.bytes.clone()).collect()
}

fn ids(vocab: &Vocab) -> usize {
    text(3_000).iter().map(|text| vocab.encode(text.as_bytes()).len()).sum()
}

const KINDS: [(Mode, Capcode); 4] = [
    (Mode::Strict, Capcode::Delete),
    (Mode::Strict, Capcode::Full),
    (Mode::Clean, Capcode::Delete),
    (Mode::Clean, Capcode::None),
];

static BUILT: LazyLock<Vec<Vocab>> =
    LazyLock::new(|| KINDS.iter().map(|(mode, capcode)| build(320, *mode, *capcode, 7)).collect());

#[test]
fn the_size_is_exact_and_every_byte_has_a_token() {
    for (vocab, (mode, capcode)) in BUILT.iter().zip(KINDS) {
        assert_eq!((vocab.vocab_size(), vocab.id_space()), (320, 320), "{mode:?} {capcode:?}");
        let tokens = tokens(vocab);
        assert_eq!(tokens.len(), 320);
        assert!((0..=255).all(|byte| tokens.contains(&vec![byte])));
        assert_eq!(vocab.mode(), mode.header());
        let again = Vocab::from_bytes("built", &vocab.to_bytes()).unwrap();
        assert_eq!(again.records(), vocab.records());
        let shares: f32 = vocab.records().iter().map(|record| record.score.max(0.0)).sum();
        assert!((shares - 1.0).abs() < 1e-3, "{shares}");
    }
}

#[test]
fn strict_tokens_are_of_one_kind() {
    for vocab in &BUILT[..2] {
        let kind = |token: &[u8]| {
            let markers: &[u8] = if vocab.capcode == Capcode::Full { b"CWD" } else { b"\x7f" };
            let letters = token.iter().any(|b| b.is_ascii_alphabetic() && !markers.contains(b));
            let digits = token.iter().any(u8::is_ascii_digit);
            let others = token.iter().any(|b| b"(),.\n".contains(b) || markers.contains(b));
            u32::from(letters) + u32::from(digits) + u32::from(others)
        };
        let mixed: Vec<_> = tokens(vocab).into_iter().filter(|token| kind(token) > 1).collect();
        assert!(mixed.is_empty(), "{mixed:?}");
    }
    let has = |vocab: &Vocab, token: &[u8]| tokens(vocab).contains(token);
    assert!(has(&BUILT[0], b" the") && has(&BUILT[0], b" the the"), "{:?}", tokens(&BUILT[0]));
    assert!(!tokens(&BUILT[2]).is_subset(&tokens(&BUILT[0])), "clean ones may mix");
}

#[test]
fn threads_decide_nothing() {
    let [(mode, capcode), ..] = KINDS;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let alone = pool.install(|| build(320, mode, capcode, 7));
    assert_eq!(alone.to_bytes(), BUILT[0].to_bytes());
}

#[test]
fn the_encoder_chooses_better_than_frequency() {
    let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
    for text in text(3_000) {
        let bytes = BUILT[0].normalize(text.as_bytes()).bytes;
        for len in 2..=12 {
            bytes.windows(len).for_each(|part| *counts.entry(part.to_vec()).or_default() += 1);
        }
    }
    counts.retain(|part, _| !part.starts_with(b"\x7f "));
    let most_used = |weight: fn(usize, usize) -> usize| {
        let mut ranked: Vec<_> = counts.iter().collect();
        ranked.sort_by_key(|(part, count)| (std::cmp::Reverse(weight(**count, part.len())), *part));
        let chosen = ranked[..320 - 256].iter().map(|(part, _)| (*part).clone());
        let all: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).chain(chosen).collect();
        Vocab::from_tokens(&all, Capcode::Delete, 0).unwrap()
    };
    let built = ids(&BUILT[0]);
    for vocab in [most_used(|count, _| count), most_used(|count, len| count * (len - 1))] {
        assert_eq!(vocab.vocab_size(), 320);
        assert!(built * 10 < ids(&vocab) * 9, "{built} {}", ids(&vocab));
    }
}

#[test]
fn what_cannot_be_built_is_said() {
    let build = |size, text: &str| {
        let build = Build { size, mode: Mode::Strict, capcode: Capcode::Delete, seed: 0 };
        build.run(&[text], &mut |_| ()).unwrap_err()
    };
    assert!(matches!(build(255, "a"), VocabError::TooSmall { size: 255, least: 256 }));
    assert!(matches!(
        build(300, "ab ab"),
        VocabError::TooFewCandidates { size: 300, found: 258.. }
    ));
}

proptest! {
    #[test]
    fn any_text_comes_back_in_nfd(text in "\\PC{0,40}|[a-zA-Z0-9 .,'\\n\u{e9}\u{301}\u{4e2d}]{0,60}") {
        for vocab in BUILT.iter() {
            let decoded = vocab.decode(&vocab.encode(text.as_bytes()));
            prop_assert_eq!(String::from_utf8(decoded).unwrap(), text.nfd().collect::<String>());
            prop_assert_eq!(vocab.encode_with_spans(text.as_bytes()).dropped, 0);
        }
    }
}
