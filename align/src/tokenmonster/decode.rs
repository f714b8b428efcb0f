//! Ids to text: undoing the capcode over token bytes, a token at a time.
//!
//! Knows what must be carried from one token to the next, and gives bytes out as soon as they are
//! certain; they may stop inside a UTF-8 character. It does not recompose: the text is NFD.

use super::capcode::{Capcode, DELETE};
use super::scalar::{self, Class, First};

/// What the tokens so far mean for the next one.
///
/// Two states that are equal treat everything that follows alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct DecodeState {
    flags: u8,
    /// Bytes of a scalar that is not complete; there are some only while a flag is set.
    pending: [u8; 3],
    waiting: u8,
}

/// The next scalar is a capital.
const CHAR: u8 = 1;
/// The word is in capitals.
const WORD: u8 = 2;
/// The next scalar is deleted.
pub(super) const DEL: u8 = 4;
/// A space does not end the word; set only together with `WORD`.
const KEEP: u8 = 8;

impl DecodeState {
    /// Whether the next token reads as it would at the beginning of a text.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    /// The flags, if they are all there is.
    pub(super) fn flags(self) -> Option<u8> {
        (self.waiting == 0).then_some(self.flags)
    }

    pub(super) fn of_flags(flags: u8) -> Self {
        Self { flags, ..Self::default() }
    }

    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends to `out` what `token` adds to the text after `state`.
pub fn advance(capcode: Capcode, state: &mut DecodeState, token: &[u8], out: &mut Vec<u8>) {
    match capcode {
        Capcode::None => out.extend_from_slice(token),
        Capcode::Delete => undelete(state, token, out),
        Capcode::Full => {
            for &byte in token {
                byte_of_full(state, byte, out);
            }
        }
    }
}

/// Appends what was kept back, at the end of a sequence, and clears the state.
pub fn flush(capcode: Capcode, state: &mut DecodeState, out: &mut Vec<u8>) {
    if capcode == Capcode::Full {
        let (pending, waiting) = (state.pending, usize::from(state.waiting));
        for &byte in &pending[..waiting] {
            broken(state, byte, out);
        }
    }
    *state = DecodeState::default();
}

fn undelete(state: &mut DecodeState, token: &[u8], out: &mut Vec<u8>) {
    for &byte in token {
        if state.has(DEL) {
            state.flags = 0;
        } else if byte == DELETE {
            state.flags = DEL;
        } else {
            out.push(byte);
        }
    }
}

fn byte_of_full(state: &mut DecodeState, byte: u8, out: &mut Vec<u8>) {
    if state.flags == 0 {
        match byte {
            b'C' => state.flags = CHAR,
            b'W' => state.flags = WORD | KEEP,
            b'D' => state.flags = DEL,
            _ => out.push(byte),
        }
        return;
    }
    if state.waiting == 0 && byte.is_ascii() {
        whole(state, char::from(byte), out);
        return;
    }
    let kept = usize::from(state.waiting);
    let mut buffer = [0; 4];
    buffer[..kept].copy_from_slice(&state.pending[..kept]);
    buffer[kept] = byte;
    state.pending = [0; 3];
    state.waiting = 0;
    resolve(state, &buffer[..=kept], out);
}

/// Takes `bytes` scalar by scalar and keeps back an unfinished end.
fn resolve(state: &mut DecodeState, mut bytes: &[u8], out: &mut Vec<u8>) {
    while let Some(&byte) = bytes.first() {
        // A broken byte may have cleared the flags, and then nothing need be kept back.
        if state.flags == 0 {
            byte_of_full(state, byte, out);
            bytes = &bytes[1..];
            continue;
        }
        match scalar::first(bytes) {
            First::Whole(scalar, width) => {
                whole(state, scalar, out);
                bytes = &bytes[width..];
            }
            First::Broken => {
                broken(state, byte, out);
                bytes = &bytes[1..];
            }
            First::Unfinished => {
                state.pending[..bytes.len()].copy_from_slice(bytes);
                state.waiting = bytes.len() as u8;
                return;
            }
        }
    }
}

/// A byte that is a scalar by itself: copied raw, in no class.
fn broken(state: &mut DecodeState, byte: u8, out: &mut Vec<u8>) {
    if state.has(DEL) {
        state.flags &= !DEL;
    } else {
        out.push(byte);
        if state.has(CHAR) {
            state.flags &= !CHAR;
        } else {
            state.flags &= !WORD;
        }
    }
    forget_keep(state);
}

fn whole(state: &mut DecodeState, scalar: char, out: &mut Vec<u8>) {
    match scalar {
        'C' => state.flags = state.flags & DEL | CHAR,
        'W' => state.flags = state.flags & DEL | WORD | KEEP,
        'D' => state.flags |= DEL,
        ' ' => {
            if state.has(DEL) {
                state.flags &= !DEL;
            } else {
                out.push(b' ');
                if !state.has(KEEP) {
                    state.flags &= !WORD;
                }
            }
            forget_keep(state);
        }
        _ => {
            text(state, scalar, out);
            forget_keep(state);
        }
    }
}

/// A scalar that is neither a marker nor a space.
fn text(state: &mut DecodeState, scalar: char, out: &mut Vec<u8>) {
    if state.has(DEL) {
        state.flags &= !DEL;
        return;
    }
    let shown = if state.has(CHAR) {
        state.flags &= !CHAR;
        scalar::upper(scalar)
    } else if state.has(WORD) {
        match scalar::class(scalar) {
            Class::Upper | Class::Lower => scalar::upper(scalar),
            Class::Number | Class::Apostrophe | Class::Mark => scalar,
            Class::Other | Class::Space | Class::Letter => {
                state.flags &= !WORD;
                scalar
            }
        }
    } else {
        scalar
    };
    out.extend_from_slice(shown.encode_utf8(&mut [0; 4]).as_bytes());
}

fn forget_keep(state: &mut DecodeState) {
    state.flags &= !KEEP;
}
