//! Contexts: what is committed piece by piece reads as the whole does, for every kind of tokenizer.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use align::tokenmonster::Capcode;
use align::{Context, DecodeState, Tokenizer};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use support::shared;
use support::tokenizers::{bpe, tokenmonster};

/// Every tokenizer at hand: two small ones always, the real ones where the shared folder is.
fn tokenizers() -> Vec<(String, Tokenizer)> {
    let mut list = vec![
        ("small bpe".to_owned(), bpe("abcdefgh .", &[("a", "b"), (" ", "c"), (" c", "a")])),
        (
            "small tokenmonster".to_owned(),
            tokenmonster(
                &[b" ", b".", b"a", b"b", b"c", b"d", b"\x7f", b" a", b"ab", b" ca", b".\x7f"],
                Capcode::Delete,
            ),
        ),
    ];
    let real = [
        "tokenizers/gpt2",
        "tokenizers/llama2",
        "tokenizers/llama3",
        "tokenizers/mistral-v0.3",
        "tokenizers/qwen2.5",
        "tokenizers/smollm2",
        "tokenizers/tinyllama-v5",
        "weights/tinystories-656k",
        "weights/stories260k",
        "tokenizers/tokenmonster/english-8000-strict-nocapcode-v1.vocab",
        "tokenizers/tokenmonster/english-8000-consistent-v1.vocab",
    ];
    list.extend(real.iter().filter_map(|name| {
        shared::path(name).map(|path| ((*name).to_owned(), Tokenizer::load(&path).unwrap()))
    }));
    list
}

const TEXT: &str = "Once upon a time, there was a little girl named Lily. She didn't like   the \
    rain;\n\n\"It's 1,234.5 °C!\" she SAID, and HTTPServer café naïve 北京 🙂 went on. The end of \
    the tale is near but not yet, for there are many more words to come before it is over.";

fn random_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => "[a-z]{1,9}",
        1 => "[A-Z][a-z]{0,5}",
        1 => "[A-Z]{2,4}",
        1 => "[0-9]{1,5}",
        1 => prop::sample::select(vec!["don't", "é", "e\u{301}", "北", "🙂", "...", "\n", "  ", "--"])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 1..60).prop_map(|words| words.join(" "))
}

/// Commits a text in pieces and compares with the whole.
fn check(name: &str, tokenizer: &Tokenizer, text: &str, cuts: &[usize]) {
    let bytes = text.as_bytes();
    let start = cuts.first().copied().unwrap_or(0).min(bytes.len());
    let mut context = Context::of_text(tokenizer, &bytes[..start]).unwrap();
    let mut at = start;
    for cut in cuts.iter().skip(1) {
        let next = (at + cut).min(bytes.len());
        let before = context.ids().to_vec();
        let kept = context.commit(tokenizer, &bytes[at..next]).unwrap();
        assert_eq!(before[..kept], context.ids()[..kept], "{name}: kept ids changed");
        at = next;
    }
    context.commit(tokenizer, &bytes[at..]).unwrap();
    assert_eq!(context.text(), bytes);
    let whole = Context::of_text(tokenizer, bytes).unwrap();
    assert_eq!(context.ids(), whole.ids(), "{name}: {text:?}");
}

#[test]
fn text_in_pieces_reads_as_the_whole() {
    for (name, tokenizer) in tokenizers() {
        for step in [1, 2, 3, 7, 20, 64] {
            check(&name, &tokenizer, TEXT, &vec![step; TEXT.len() / step + 1]);
        }
    }
}

#[test]
fn random_texts_in_pieces_read_as_the_whole() {
    let tokenizers = tokenizers();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (random_text(), prop::collection::vec(1usize..40, 1..20));
    for _ in 0..40 {
        let (text, cuts) = strategy.new_tree(&mut runner).unwrap().current();
        for (name, tokenizer) in &tokenizers {
            check(name, tokenizer, &text, &cuts);
        }
    }
}

#[test]
fn spans_cover_the_text_and_ids_mean_their_spans() {
    for (name, tokenizer) in tokenizers() {
        let encoding = tokenizer.encode(TEXT.as_bytes()).unwrap();
        assert_eq!(encoding.ids.len(), encoding.ends.len());
        assert!(encoding.ends.is_sorted(), "{name}");
        assert_eq!(*encoding.ends.last().unwrap(), TEXT.len(), "{name}");
    }
}

#[test]
fn a_continuation_means_the_bytes_that_follow() {
    for (name, tokenizer) in tokenizers() {
        let lossless = tokenizer.encode(TEXT.as_bytes()).unwrap();
        if lossless.dropped + lossless.unknown > 0 || tokenizer.decomposes() {
            continue;
        }
        for cut in (1..TEXT.len()).filter(|&cut| TEXT.is_char_boundary(cut)) {
            let (before, after) = TEXT.as_bytes().split_at(cut);
            let mut context = Context::of_text(&tokenizer, before).unwrap();
            let next = &after[..after.len().min(24)];
            let encoding = context.continuation(&tokenizer, next).unwrap();
            let mut state = DecodeState::default();
            let mut bytes = Vec::new();
            for &id in &encoding.ids {
                bytes.extend(context.push(&tokenizer, &mut state, id));
            }
            assert_eq!(bytes, next, "{name} at {cut}");
        }
    }
}

#[test]
fn the_window_of_a_continuation_gives_what_the_whole_gives() {
    for (name, tokenizer) in tokenizers() {
        if tokenizer.decomposes() {
            continue;
        }
        let words: Vec<usize> = TEXT.match_indices(' ').map(|(at, _)| at).collect();
        for &cut in words.iter().filter(|&&cut| cut > 30) {
            let context = Context::of_text(&tokenizer, &TEXT.as_bytes()[..cut]).unwrap();
            let whole = Context::of_text(&tokenizer, TEXT.as_bytes()).unwrap();
            if !whole.ids().starts_with(context.ids()) {
                continue;
            }
            let rest = context.continuation(&tokenizer, &TEXT.as_bytes()[cut..]).unwrap();
            assert_eq!(rest.ids, whole.ids()[context.ids().len()..], "{name} at {cut}");
        }
    }
}

#[test]
fn letters_are_the_ids_that_the_tokenizer_itself_uses() {
    for (name, tokenizer) in tokenizers().into_iter().filter(|(name, _)| name.contains('/')) {
        for letter in b'a'..=b'z' {
            let own = tokenizer.encode_continuation(&[letter]).unwrap().ids;
            assert_eq!(tokenizer.vocabulary().find(&[letter]), own.first().copied(), "{name}");
        }
    }
}
