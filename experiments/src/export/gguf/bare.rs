//! A vocabulary for its texts alone: llama.cpp writes ids down as the bytes of their tokens, and cuts
//! text otherwise than the tokenizer does. For TokenMonster, and for what llama.cpp cannot cut. Text is
//! cut by the longest token that fits where llama.cpp can do that, else into single bytes.

use std::collections::HashSet;
use std::fmt::Write as _;

use align::tokenmonster::Capcode;
use align::vocabulary::{Entry, Vocabulary};

use super::lexicon::{Cut, Kind, Lexicon, Token, unused};

/// The bytes of a token with escapes, as llama.cpp reads them for the longest token. `raw` spells a byte
/// otherwise than a token would, so that two ids may have the same byte.
fn escaped(bytes: &[u8], raw: bool) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'\\' if !raw => text.push_str(r"\\"),
            0x20..0x7F if !raw => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, r"\x{byte:02x}");
            }
        }
    }
    text
}

/// The bytes of a token in GPT-2's alphabet: printable characters of Latin-1 are themselves, the other
/// bytes the characters behind.
fn in_alphabet(bytes: &[u8]) -> String {
    let is_own = |byte: &u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let character = |byte: &u8| {
        let others = (0..*byte).filter(|other| !is_own(other)).count() as u32;
        let moved = || char::from_u32(0x100 + others).unwrap_or(char::from(*byte));
        if is_own(byte) { char::from(*byte) } else { moved() }
    };
    bytes.iter().map(character).collect()
}

/// Whether each byte that a token begins with is a token by itself: llama.cpp never ends to look for the
/// longest token where a longer one begins as the text does and none that is shorter fits.
fn can_look_for_longest(vocabulary: &Vocabulary, rows: usize) -> bool {
    let (mut singles, mut firsts) = (HashSet::new(), HashSet::new());
    for id in 0..rows as u32 {
        match vocabulary.entry(id) {
            Entry::Token(bytes) => {
                firsts.extend(bytes.first());
                singles.extend(bytes.first().filter(|_| bytes.len() == 1));
            }
            Entry::Byte(byte) => {
                singles.insert(*byte);
            }
            Entry::Special(_) | Entry::Padding => {}
        }
    }
    firsts.is_subset(&singles)
}

/// The vocabulary, and what is to be known of it.
pub(super) fn lexicon(vocabulary: &Vocabulary, rows: usize) -> Lexicon {
    let longest = can_look_for_longest(vocabulary, rows);
    let spelt = |bytes: &[u8], raw| if longest { escaped(bytes, raw) } else { in_alphabet(bytes) };
    let token = |id: usize| {
        let (text, kind) = match vocabulary.entry(id as u32) {
            Entry::Token(bytes) => (spelt(bytes, false), Kind::Normal),
            Entry::Byte(byte) => (spelt(&[*byte], true), Kind::Normal),
            Entry::Special(name) => (name.to_string(), Kind::Control),
            Entry::Padding => return unused(id),
        };
        Token { text, kind, score: 0.0 }
    };
    let cut = if longest { Cut::Longest } else { Cut::Bytes { pre: "gpt-2", merges: Vec::new() } };
    let caveat = caveat(vocabulary.capcode(), longest);
    Lexicon { tokens: (0..rows).map(token).collect(), cut, caveat: Some(caveat) }
}

fn caveat(capcode: Capcode, longest: bool) -> String {
    let cuts = if longest { "by the longest token" } else { "into single bytes" };
    let markers = match capcode {
        Capcode::None => "",
        Capcode::Delete => {
            "; it writes tokens down as they are, so take every byte 0x7F out of its text together \
             with the byte behind it"
        }
        Capcode::Full => {
            "; it writes tokens down as they are, with the markers D, C and W: turn its ids into text \
             with `spec tokenize --decode`"
        }
    };
    format!(
        "llama.cpp cuts text {cuts}, which gives other ids than the model was trained on: feed it ids \
         (`spec tokenize`){markers}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(entries: &[Entry]) -> (Vec<String>, Cut) {
        let found = lexicon(&Vocabulary::plain(entries.to_vec()), entries.len() + 1);
        assert!(found.check().is_ok());
        (found.tokens.into_iter().map(|token| token.text).collect(), found.cut)
    }

    #[test]
    fn bytes_are_spelt_as_llama_cpp_reads_them() {
        assert_eq!(escaped(b" a\\\n\x7f\xff", false), r" a\\\x0a\x7f\xff");
        assert_eq!(escaped(b"a", true), r"\x61");
        assert_eq!(in_alphabet(b"a \n\x7f\xad\xff"), "a\u{120}\u{10a}\u{121}\u{143}\u{ff}");
    }

    #[test]
    fn a_first_byte_that_is_no_token_rules_the_longest_out() {
        let token = |bytes: &[u8]| Entry::Token(bytes.into());
        let special = Entry::Special("<e>".into());
        let all = [token(b"a"), token(b"ab"), Entry::Byte(b'a'), special.clone()];
        let (found, cut) = texts(&all);
        assert_eq!(
            (&found[..], cut),
            (&["a", "ab", r"\x61", "<e>", "[PAD4]"].map(str::to_owned)[..], Cut::Longest)
        );
        let (found, cut) = texts(&[token(b"a"), token(b"\xe2\x80"), special]);
        assert_eq!(found[..3], ["a", "\u{e2}\u{122}", "<e>"]);
        assert_eq!(cut, Cut::Bytes { pre: "gpt-2", merges: Vec::new() });
    }
}
