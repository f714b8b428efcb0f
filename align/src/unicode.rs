//! Composition of drafted bytes: a vocabulary that decomposes text (NFD) drafts decomposed bytes,
//! and a target whose text is composed (NFC) reads them composed. Knows no tokens.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::utf8::{Run, runs};

/// Whether bytes are composed, as far as they are text.
pub fn is_composed(bytes: &[u8]) -> bool {
    bytes.is_ascii() || runs(bytes).all(|run| matches!(run, Run::Text(text) if is_nfc(text)))
}

/// The NFC form of bytes; what is no UTF-8 stays as it is.
pub fn compose(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_ascii() {
        return bytes.to_vec();
    }
    let mut composed = Vec::with_capacity(bytes.len());
    for run in runs(bytes) {
        match run {
            Run::Text(text) => composed.extend(text.nfc().collect::<String>().bytes()),
            Run::Bytes(raw) => composed.extend_from_slice(raw),
        }
    }
    composed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_composed_and_bytes_are_kept() {
        assert_eq!(compose("e\u{301}a".as_bytes()), "éa".as_bytes());
        assert_eq!(compose(&[b'e', 0xCC]), [b'e', 0xCC]);
        assert!(is_composed("é".as_bytes()));
        assert!(!is_composed("e\u{301}".as_bytes()));
    }
}
