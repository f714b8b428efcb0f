//! A text cut where the tokens of a vocabulary end, as people read it: bytes that are no characters by
//! themselves are named. Knows no model.

use align::{AlignError, Tokenizer};

/// Bytes as text where they are text, else their numbers.
pub(super) fn shown(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let numbers: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("⟨{}⟩", numbers.join(" "))
}

/// The pieces of what stands behind the first `from` bytes of a text, as a tokenizer cuts the whole. A
/// token that runs over that place is shown from there on.
pub(super) fn pieces(
    tokenizer: &Tokenizer,
    text: &[u8],
    from: usize,
) -> Result<Vec<String>, AlignError> {
    let mut start = from;
    let mut pieces = Vec::new();
    for end in tokenizer.encode(text)?.ends {
        if end > start {
            pieces.push(shown(&text[start..end]));
            start = end;
        }
    }
    if start < text.len() {
        pieces.push(shown(&text[start..]));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::tokenizers::bpe;

    #[test]
    fn pieces_are_the_text() {
        let tokenizer = bpe("abcd ", &[("a", "b"), ("c", "d")]);
        assert_eq!(pieces(&tokenizer, b"abcd ab", 0).unwrap(), ["ab", "cd", " ", "ab"]);
        assert_eq!(pieces(&tokenizer, b"abcd ab", 3).unwrap(), ["d", " ", "ab"]);
        assert!(pieces(&tokenizer, b"ab", 2).unwrap().is_empty());
        assert_eq!(shown("é".as_bytes()), "é");
        assert_eq!(shown(&[0xe2, 0x80]), "⟨E2 80⟩");
    }
}
