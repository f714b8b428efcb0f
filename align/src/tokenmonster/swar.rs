//! ASCII text eight bytes at a time: which of them are letters, numbers, spaces, as masks with the high
//! bit of a byte for yes. Knows ASCII only, and no rule of capcode.
//!
//! It trades eight looks into a table, each of which waits for the one before, for some thirty
//! operations on a word.

const LOW: u64 = 0x0101_0101_0101_0101;
/// The high bit of each byte.
pub(super) const HIGH: u64 = 0x8080_8080_8080_8080;

/// Eight bytes below 0x7F, the first of them lowest.
#[derive(Clone, Copy)]
pub(super) struct Eight(u64);

impl Eight {
    /// The eight bytes that `bytes` begin with, if there are as many and all are below 0x7F.
    #[inline]
    pub(super) fn first(bytes: &[u8]) -> Option<Self> {
        let word = u64::from_le_bytes(*bytes.first_chunk()?);
        // A byte of 0x7F reaches the high bit by 1; one above has it, or carries into another.
        ((word | word.wrapping_add(LOW)) & HIGH == 0).then_some(Self(word))
    }

    /// Bytes from `low` to `high`.
    #[inline]
    pub(super) fn within(self, low: u8, high: u8) -> u64 {
        let reaches = |byte: u8| self.0 + LOW * u64::from(0x80 - byte);
        reaches(low) & !reaches(high + 1) & HIGH
    }

    #[inline]
    pub(super) fn letters(self) -> u64 {
        Self(self.0 | (LOW * 0x20)).within(b'a', b'z')
    }

    #[inline]
    pub(super) fn are(self, byte: u8) -> u64 {
        (HIGH - (self.0 ^ (LOW * u64::from(byte)))) & HIGH
    }
}

/// How many bytes `bytes` begin with that are ASCII.
pub(super) fn ascii_len(bytes: &[u8]) -> usize {
    let is_ascii = |eight: &&[u8; 8]| u64::from_le_bytes(**eight) & HIGH == 0;
    let (eights, _) = bytes.as_chunks();
    let whole = 8 * eights.iter().take_while(is_ascii).count();
    whole + bytes[whole..].iter().take_while(|byte| byte.is_ascii()).count()
}
