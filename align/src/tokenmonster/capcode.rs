//! The capcode levels of a vocabulary, and the encoder of the first: the delete marker.
//!
//! Knows which scalars want a space in front of them that the text does not have. Capitals are
//! another matter (`capitals`); undoing the markers is `decode`'s.

use super::normalize::{Source, Tape};
use super::scalar::{self, Class};
use super::swar::Eight;

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
enum Before {
    Other,
    Space,
    Letter,
    /// An apostrophe behind a letter, or a mark.
    Joint,
    Number,
}

impl Before {
    fn after(self, class: Class) -> Self {
        match class {
            Class::Space => Self::Space,
            Class::Upper | Class::Lower | Class::Letter => Self::Letter,
            Class::Apostrophe if self == Self::Letter => Self::Joint,
            Class::Mark => Self::Joint,
            Class::Number => Self::Number,
            Class::Apostrophe | Class::Other => Self::Other,
        }
    }

    fn wants_marker(self, class: Class) -> bool {
        match class {
            Class::Upper | Class::Lower | Class::Letter => {
                matches!(self, Self::Other | Self::Number)
            }
            Class::Number => !matches!(self, Self::Space | Self::Number),
            _ => false,
        }
    }
}

/// The same for the byte before eight others, in the high bit of the lowest byte.
#[derive(Clone, Copy)]
struct Carry {
    /// A letter or number goes on from here.
    letter_joins: u64,
    number_joins: u64,
    is_letter: u64,
}

impl Carry {
    fn of(before: Before) -> Self {
        let mask = |is_set: bool| if is_set { 0x80 } else { 0 };
        Self {
            letter_joins: mask(!before.wants_marker(Class::Letter)),
            number_joins: mask(!before.wants_marker(Class::Number)),
            is_letter: mask(before == Before::Letter),
        }
    }

    fn before(self) -> Before {
        match (self.letter_joins != 0, self.number_joins != 0) {
            (true, true) => Before::Space,
            (false, true) => Before::Number,
            (true, false) if self.is_letter != 0 => Before::Letter,
            (true, false) => Before::Joint,
            (false, false) => Before::Other,
        }
    }

    /// Where among eight bytes markers are wanted, and what the last of them carries.
    #[inline]
    fn over(self, eight: Eight) -> (u64, Self) {
        let letters = eight.letters();
        let numbers = eight.within(b'0', b'9');
        let spaces = eight.are(b' ');
        let apostrophes = eight.are(b'\'') & (letters << 8 | self.is_letter);
        let letter_joins = letters | spaces | apostrophes;
        let number_joins = numbers | spaces;
        let wanted = letters & !(letter_joins << 8 | self.letter_joins)
            | numbers & !(number_joins << 8 | self.number_joins);
        let after = Self {
            letter_joins: letter_joins >> 56,
            number_joins: number_joins >> 56,
            is_letter: letters >> 56,
        };
        (wanted, after)
    }
}

/// Writes `source` with delete markers.
pub(super) fn encode_delete<const MAPPED: bool>(source: Source<'_>, tape: &mut Tape<MAPPED>) {
    let bytes = source.bytes;
    let mut carry = Carry::of(Before::Other);
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        if let Some(eight) = Eight::first(&bytes[at..]) {
            let (mut wanted, after) = carry.over(eight);
            while wanted != 0 {
                let place = at + wanted.trailing_zeros() as usize / 8;
                tape.copy(source, copied..place);
                tape.insert(&[DELETE, b' ']);
                copied = place;
                wanted &= wanted - 1;
            }
            carry = after;
            at += 8;
            continue;
        }
        let before = carry.before();
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
        carry = Carry::of(before.after(class));
        at += width;
    }
    tape.copy(source, copied..bytes.len());
}
