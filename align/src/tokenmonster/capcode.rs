//! The capcode levels of a vocabulary, and the encoder of the first: the delete marker.
//!
//! Knows which scalars want a space in front of them that the text does not have. Capitals are
//! another matter (`capitals`); undoing the markers is `decode`'s.

use super::normalize::{Source, Tape};
use super::scalar::{self, Class};

/// How a vocabulary writes word beginnings and capitals.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Capcode {
    /// Text as it is.
    None,
    /// The delete marker `7F` before a space that is not in the text.
    Delete,
    /// Lower case only, with the markers `D`, `C` and `W`.
    Full,
}

impl Capcode {
    /// The level stored as `value` in a file's header.
    pub fn from_header(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::None),
            1 => Some(Self::Delete),
            2 => Some(Self::Full),
            _ => None,
        }
    }

    /// The value stored in a file's header.
    pub fn header(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Delete => 1,
            Self::Full => 2,
        }
    }

    /// The byte that says "the next space is not in the text".
    pub fn delete_marker(self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::Delete => Some(DELETE),
            Self::Full => Some(b'D'),
        }
    }
}

pub(super) const DELETE: u8 = 0x7F;
/// What stands for a DEL of the text, whose own byte is the marker.
const DELETE_SUBSTITUTE: u8 = 0x14;

/// What the scalars before this one allow without a marker.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Before {
    Other,
    Space,
    Letter,
    LetterApostrophe,
    Number,
    Mark,
}

const BEFORES: [Before; 6] = [
    Before::Other,
    Before::Space,
    Before::Letter,
    Before::LetterApostrophe,
    Before::Number,
    Before::Mark,
];

impl Before {
    const fn after(self, class: Class) -> Self {
        match class {
            Class::Space => Self::Space,
            Class::Upper | Class::Lower | Class::Letter => Self::Letter,
            Class::Apostrophe if matches!(self, Self::Letter) => Self::LetterApostrophe,
            Class::Number => Self::Number,
            Class::Mark => Self::Mark,
            Class::Apostrophe | Class::Other => Self::Other,
        }
    }

    const fn wants_marker(self, class: Class) -> bool {
        match class {
            Class::Upper | Class::Lower | Class::Letter => {
                matches!(self, Self::Other | Self::Number)
            }
            Class::Number => !matches!(self, Self::Space | Self::Number),
            _ => false,
        }
    }
}

const STOP: u8 = 0x80;

/// For each `Before` and byte: the next `Before`, or `STOP` where the byte needs a closer look.
static STEPS: [[u8; 256]; 8] = steps();

const fn steps() -> [[u8; 256]; 8] {
    let mut table = [[STOP; 256]; 8];
    let mut before = 0;
    while before < 6 {
        let mut byte = 0;
        while byte < 0x7F {
            let class = scalar::ASCII[byte];
            if !BEFORES[before].wants_marker(class) {
                table[before][byte] = BEFORES[before].after(class) as u8;
            }
            byte += 1;
        }
        before += 1;
    }
    table
}

/// Writes `source` with delete markers.
pub(super) fn encode_delete<const MAPPED: bool>(source: Source<'_>, tape: &mut Tape<MAPPED>) {
    let bytes = source.bytes;
    let mut state = Before::Other as u8;
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        let step = STEPS[usize::from(state & 7)][usize::from(bytes[at])];
        if step != STOP {
            state = step;
            at += 1;
            continue;
        }
        let before = BEFORES[usize::from(state)];
        let (class, width) = scalar::classify(&bytes[at..]);
        if before.wants_marker(class) {
            tape.copy(source, copied..at);
            tape.insert(&[DELETE, b' ']);
            copied = at;
        } else if bytes[at] == DELETE {
            tape.copy(source, copied..at);
            tape.replace(&[DELETE_SUBSTITUTE], source.end(at));
            copied = at + 1;
        }
        state = before.after(class) as u8;
        at += width;
    }
    tape.copy(source, copied..bytes.len());
}
