//! Incremental decoding of bytes into text. Knows where a UTF-8 character may still be unfinished;
//! knows nothing of tokens.

/// Turns bytes that arrive in pieces into text, holding back an unfinished character.
///
/// For every way of cutting the bytes, the pieces joined together equal
/// `String::from_utf8_lossy` of the whole.
#[derive(Clone, Debug, Default)]
pub struct Utf8Stream {
    held: Vec<u8>,
}

impl Utf8Stream {
    /// Takes the next bytes and gives out the text that is certain now; invalid bytes become
    /// U+FFFD.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let keep = unfinished_suffix(&self.held);
        let ready = self.held.len() - keep;
        let text = String::from_utf8_lossy(&self.held[..ready]).into_owned();
        self.held.drain(..ready);
        text
    }

    /// Ends the text: what was held back comes out as U+FFFD.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.held).into_owned();
        self.held.clear();
        text
    }
}

/// Length of the longest suffix (0 to 3 bytes) that is a proper prefix of some UTF-8 character.
pub fn unfinished_suffix(bytes: &[u8]) -> usize {
    for length in (1..=bytes.len().min(3)).rev() {
        let tail = &bytes[bytes.len() - length..];
        if let Err(error) = std::str::from_utf8(tail)
            && error.valid_up_to() == 0
            && error.error_len().is_none()
        {
            return length;
        }
    }
    0
}

/// Splits bytes into runs that are valid UTF-8 and runs that are not, in order.
pub fn runs(bytes: &[u8]) -> impl Iterator<Item = Run<'_>> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let valid = (!chunk.valid().is_empty()).then(|| Run::Text(chunk.valid()));
        let invalid = (!chunk.invalid().is_empty()).then(|| Run::Bytes(chunk.invalid()));
        valid.into_iter().chain(invalid)
    })
}

/// A run of bytes that is text, or that no text can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run<'a> {
    /// Valid UTF-8.
    Text(&'a str),
    /// Bytes that are no UTF-8.
    Bytes(&'a [u8]),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unfinished_character_waits() {
        let mut stream = Utf8Stream::default();
        assert_eq!(stream.push(&[b'a', 0xE2]), "a");
        assert_eq!(stream.push(&[0x80]), "");
        assert_eq!(stream.push(&[0x99, 0xF0]), "\u{2019}");
        assert_eq!(stream.finish(), "\u{FFFD}");
    }

    proptest! {
        #[test]
        fn pieces_joined_equal_the_whole(
            bytes in prop::collection::vec(prop_oneof![Just(0xE2u8), Just(0x80), Just(0x99), Just(0xF0), any::<u8>()], 0..40),
            cut in 1usize..4,
        ) {
            let mut stream = Utf8Stream::default();
            let mut text = String::new();
            for piece in bytes.chunks(cut) {
                text.push_str(&stream.push(piece));
            }
            text.push_str(&stream.finish());
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }
}
