//! Small cases on toy vocabularies: normalisation and its map, encoding, decoding, bad files.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::scalar::{self, Class, First};
use super::{Capcode, DecodeState, Vocab, VocabError, advance, flush};

fn vocab(tokens: &[&str], capcode: Capcode) -> Vocab {
    let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| token.as_bytes().to_vec()).collect();
    Vocab::from_tokens(&tokens, capcode, 0).unwrap()
}

/// All single bytes and a few words with their neighbours.
fn full(capcode: Capcode) -> Vocab {
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let words = [
        "the", " the", " cat", "cat", " ca", "ing", " doing", "do", " do", " of the", " of", "'s",
        ".C", ". \u{7F}", "(\u{7F}", " don't", "  ", "12", " 12", "C the", "W the", "DC", "D", "W",
    ];
    tokens.extend(words.iter().map(|word| word.as_bytes().to_vec()));
    Vocab::from_tokens(&tokens, capcode, 0).unwrap()
}

fn normal(capcode: Capcode, text: &str) -> String {
    String::from_utf8(vocab(&["a"], capcode).normalize(text.as_bytes()).bytes).unwrap()
}

#[test]
fn delete_markers_stand_where_a_space_is_missing() {
    let normal = |text| normal(Capcode::Delete, text).replace('\u{7F}', "~");
    assert_eq!(normal("The cat"), "~ The cat");
    assert_eq!(normal("a1"), "~ a~ 1");
    assert_eq!(normal("(x"), "(~ x");
    assert_eq!(normal("\nThe"), "\n~ The");
    assert_eq!(normal("don't 'tis"), "~ don't '~ tis");
    assert_eq!(normal("don\u{2019}t"), "~ don\u{2019}t");
    assert_eq!(normal("a\u{7F}b"), "~ a\u{14}~ b");
}

#[test]
fn full_capcode_marks_capitals() {
    let normal = |text| normal(Capcode::Full, text);
    assert_eq!(normal("The cat"), "DC the cat");
    assert_eq!(normal("THE CAT"), "DW theW cat");
    assert_eq!(normal("don't PANIC"), "D don'tW panic");
    assert_eq!(normal("iPhone"), "D iDC phone");
    assert_eq!(normal("ABc"), "DC aDC bc");
    assert_eq!(normal("HTTPServer"), "DC hDC tDC tDC pDC server");
    assert_eq!(normal("a The"), "D aC the");
}

#[test]
fn the_map_gives_raw_offsets() {
    let ends = |capcode, text: &str| vocab(&["a"], capcode).normalize(text.as_bytes()).raw_end;
    assert_eq!(ends(Capcode::Delete, "a1"), [0, 0, 1, 1, 1, 2]);
    assert_eq!(ends(Capcode::Delete, " \u{2019}"), [1, 2, 3, 4]);
    // U+00E9 is `e` and a mark of two bytes: only the last accounts for the character.
    assert_eq!(ends(Capcode::Delete, " \u{E9}."), [1, 1, 1, 3, 4]);
    assert_eq!(ends(Capcode::Full, "a The"), [0, 0, 1, 1, 2, 3, 4, 5]);
    assert_eq!(ends(Capcode::Full, "ABc"), [0, 0, 0, 1, 1, 1, 1, 2, 3]);
    // The two marks change places, and the first of them is not known to be read until the last.
    assert_eq!(ends(Capcode::None, "s\u{307}\u{323}"), [1, 1, 1, 1, 5]);
}

#[test]
fn long_runs_of_marks_are_joined() {
    let text = format!("a{}", "\u{301}".repeat(31));
    let normalized = vocab(&["a"], Capcode::None).normalize(text.as_bytes());
    let expected = format!("a{}\u{34F}\u{301}", "\u{301}".repeat(30));
    assert_eq!(normalized.bytes, expected.as_bytes());
    assert_eq!(normalized.raw_end[60..65], [61, 61, 61, 62, 63]);
}

#[test]
fn invalid_bytes_stand_by_themselves() {
    let vocab = vocab(&["a"], Capcode::Delete);
    let normalized = vocab.normalize(b"a\xE2\x80b");
    assert_eq!(normalized.bytes, b"\x7F a\xE2\x80\x7F b");
    assert_eq!(normalized.raw_end, [0, 0, 1, 2, 3, 3, 3, 4]);
}

#[test]
fn case_mappings_are_simple() {
    for (scalar, upper) in [('ß', 'ß'), ('ŉ', 'ŉ'), ('ﬁ', 'ﬁ'), ('ǆ', 'Ǆ'), ('ᾳ', 'ᾼ'), ('é', 'É')]
    {
        assert_eq!(scalar::upper(scalar), upper);
    }
    for scalar in ['ª', 'º', 'ʰ', 'ⓐ', 'ⅷ'] {
        assert_ne!(scalar::class(scalar), Class::Lower);
    }
}

#[test]
fn spans_cover_the_text() {
    let vocab = vocab(&["the", " cat", "s", "\u{7F}", "(", " "], Capcode::Delete);
    let encoding = vocab.encode_with_spans(b"#(the cats!?");
    let tokens: Vec<_> = encoding.ids.iter().map(|id| vocab.token(*id).unwrap()).collect();
    assert_eq!(tokens, [b"(" as &[u8], b"\x7F the", b" cat", b"\x7F s"]);
    assert_eq!(encoding.ends, [2, 5, 9, 12]);
    assert_eq!((encoding.dropped, encoding.unknown), (3, 0));
    assert_eq!(vocab.encode(b"#(the cats!?"), encoding.ids);
    assert!(vocab.encode_with_spans(b"").ids.is_empty());
}

#[test]
fn a_marker_and_the_token_behind_it() {
    let vocab = vocab(&["(", "The", "\u{7F}"], Capcode::Delete);
    let id = |token: &[u8]| (0..3).find(|id| vocab.token(*id) == Some(token)).unwrap();
    let (bracket, the) = (id(b"("), id(b"\x7F The"));
    let marker = vocab.delete_id().unwrap();
    assert_eq!(vocab.decode(&[the]), b"The");
    assert_eq!(vocab.decode(&[bracket, marker, the]), b"( The");
    assert_eq!(vocab.decode(&[marker, 99, marker, bracket]), b"(");
    assert_eq!(vocab.encode(b"The"), [the]);
}

#[test]
fn words_keep_their_capitals_over_one_space() {
    assert_eq!(whole(Capcode::Full, b"DW abcD def"), b"ABCDEF");
    assert_eq!(whole(Capcode::Full, b"W ab cd"), b" AB cd");
    assert_eq!(whole(Capcode::Full, b"DC \xC7\x86"), "\u{1C4}".as_bytes());
    assert_eq!(whole(Capcode::Full, b"D\xE2\x80a"), b"\x80a");
    assert_eq!(whole(Capcode::Delete, b"a\x7F\xE2\x80"), b"a\x80");
}

#[test]
fn bytes_come_out_as_soon_as_they_are_certain() {
    let mut state = DecodeState::default();
    let mut out = Vec::new();
    advance(Capcode::Full, &mut state, b"\xE2\x80", &mut out);
    assert!(state.is_clean());
    advance(Capcode::Full, &mut state, b"\x99W", &mut out);
    assert_eq!((out.as_slice(), state.is_clean()), ("\u{2019}".as_bytes(), false));
    advance(Capcode::Full, &mut state, b" \xC3", &mut out);
    assert_eq!(out, "\u{2019} ".as_bytes());
    flush(Capcode::Full, &mut state, &mut out);
    assert_eq!((out.as_slice(), state.is_clean()), (b"\xE2\x80\x99 \xC3" as &[u8], true));
}

#[test]
fn damaged_files_are_refused() {
    let bytes = full(Capcode::Full).to_bytes();
    assert_eq!(Vocab::from_bytes("toy", &bytes).unwrap().to_bytes(), bytes);
    for len in 0..bytes.len() {
        let error = Vocab::from_bytes("toy", &bytes[..len]).unwrap_err();
        assert!(matches!(error, VocabError::Truncated { .. }), "{len}: {error}");
    }
    let refused = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        Vocab::from_bytes("toy", &bytes).unwrap_err().to_string()
    };
    assert!(refused(0, 3).starts_with("toy: not a TokenMonster v1 vocabulary: capcode is 3"));
    assert!(refused(1, 2).starts_with("toy: charset 2 is not supported"));
    assert!(refused(2, 3).starts_with("toy: norm 3 is not supported"));
    assert!(refused(24, 41).starts_with("toy: record 0 is not 1 to 40 bytes long"));
    assert!(refused(28, 5).contains("record 0 has an alternative that is not an earlier record"));
    let error = Vocab::from_bytes("toy", &[bytes.as_slice(), &[0]].concat()).unwrap_err();
    assert!(error.to_string().starts_with("toy: 1 bytes are left over"));
    let error = Vocab::from_bytes("toy", b"version https://git-lfs.github.com/spec/v1\n");
    assert!(error.unwrap_err().to_string().contains("git lfs pull"));
}

#[test]
fn empty_and_unfit_vocabularies() {
    let empty = vocab(&[], Capcode::Delete);
    assert_eq!(empty.id_space(), 0);
    assert_eq!(empty.encode_with_spans(b"ab").dropped, 4);
    assert_eq!(Vocab::from_bytes("toy", &empty.to_bytes()).unwrap().id_space(), 0);
    let error = Vocab::from_tokens(&[b"a".to_vec(), vec![b'a'; 41]], Capcode::None, 0);
    assert!(matches!(error, Err(VocabError::TokenLength { token: 1, len: 41 })));
}

/// The rule for a whole sequence, scalar by scalar as the format states it.
fn whole(capcode: Capcode, mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut char, mut word, mut del, mut keep) = (false, false, false, false);
    while let Some(&byte) = bytes.first() {
        let (scalar, width) = match scalar::first(bytes) {
            First::Whole(scalar, width) if capcode == Capcode::Full => (Some(scalar), width),
            _ => (None, 1),
        };
        let raw = &bytes[..width];
        bytes = &bytes[width..];
        let class = scalar.map_or(Class::Other, scalar::class);
        match (capcode, byte) {
            (Capcode::Delete, 0x7F) => bytes = bytes.get(1..).unwrap_or_default(),
            (Capcode::None | Capcode::Delete, _) => out.push(byte),
            (Capcode::Full, b'C') => (char, word) = (true, false),
            (Capcode::Full, b'W') => (char, word, keep) = (false, true, true),
            (Capcode::Full, b'D') => del = true,
            (Capcode::Full, b' ') if del => (del, keep) = (false, false),
            (Capcode::Full, b' ') => {
                out.push(b' ');
                (word, keep) = (word && keep, false);
            }
            (Capcode::Full, _) => {
                let raised = char || word && matches!(class, Class::Upper | Class::Lower);
                let stays = matches!(class, Class::Number | Class::Apostrophe | Class::Mark);
                match scalar {
                    _ if del => {}
                    Some(scalar) if raised => out.extend(scalar::upper(scalar).to_string().bytes()),
                    _ => out.extend(raw),
                }
                if !del && !char && word {
                    word = raised || stays;
                }
                char &= del;
                (del, keep) = (false, false);
            }
        }
    }
    out
}

fn capcodes() -> impl Strategy<Value = Capcode> {
    prop::sample::select(vec![Capcode::None, Capcode::Delete, Capcode::Full])
}

/// Bytes rich in markers, spaces and pieces of longer characters.
fn awkward() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"C",
        b"W",
        b"D",
        b" ",
        b"\x7F",
        b"a",
        b"'",
        b"1",
        b"\xE2",
        b"\x80",
        b"\x99",
        b"\xC3",
        b"\xA9",
        b"\xF0\x9F",
        b"\xED\xA0",
        b".",
        b"\xCC\x81",
        b"D ",
        b"\xE4\xB8\xAD",
        b"Z",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_way_of_cutting_gives_the_same_text(
        capcode in capcodes(),
        bytes in awkward(),
        cuts in prop::collection::vec(0..40usize, 0..8),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut state = DecodeState::default();
        let mut out = Vec::new();
        for cut in cuts.windows(2) {
            advance(capcode, &mut state, &bytes[cut[0]..cut[1]], &mut out);
        }
        flush(capcode, &mut state, &mut out);
        prop_assert_eq!(out, whole(capcode, &bytes));
    }

    #[test]
    fn text_comes_back(capcode in capcodes(), text in "[ -~\n]{0,40}|(the|THE|The| |cat|[a-zA-Z'. ]){0,12}") {
        let vocab = full(capcode);
        prop_assert_eq!(vocab.decode(&vocab.encode(text.as_bytes())), text.as_bytes());
    }

    #[test]
    fn spans_never_go_back(capcode in capcodes(), bytes in awkward()) {
        let vocab = full(capcode);
        let normalized = vocab.normalize(&bytes);
        prop_assert_eq!(normalized.bytes.len(), normalized.raw_end.len());
        prop_assert!(normalized.raw_end.is_sorted());
        prop_assert_eq!(normalized.raw_end.last().map_or(0, |end| *end as usize), bytes.len());
        prop_assert_eq!(&normalized.bytes, &vocab.normalize_unmapped(&bytes));
        let encoding = vocab.encode_with_spans(&bytes);
        prop_assert_eq!(&encoding.ids, &vocab.encode(&bytes));
        prop_assert!(encoding.ends.is_sorted());
        prop_assert_eq!(encoding.ends.last().copied().unwrap_or(0), bytes.len());
    }

    #[test]
    fn no_damage_panics(at in 0..2000usize, value in any::<u8>()) {
        let mut bytes = full(Capcode::Delete).to_bytes();
        let len = bytes.len();
        bytes[at % len] = value;
        if let Ok(vocab) = Vocab::from_bytes("toy", &bytes) {
            vocab.decode(&vocab.encode(b"the cat is doing 12 of the (don't)"));
        }
    }
}
