//! Scalars inside bytes that need not be UTF-8, their classes, and the simple case mappings.
//!
//! Classes are general categories, not the derived properties that `char::is_lowercase` and its
//! like use; a byte that begins no valid scalar stands by itself and is in no class.

use unicode_general_category::{GeneralCategory, get_general_category};

/// What the capcode rules ask of a scalar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    Other,
    Space,
    Upper,
    Lower,
    /// A letter that is neither upper nor lower case.
    Letter,
    Number,
    Mark,
    Apostrophe,
}

impl Class {
    pub(super) const fn is_letter(self) -> bool {
        matches!(self, Self::Upper | Self::Lower | Self::Letter)
    }

    /// Whether a letter after this one needs no delete marker inside a run of capitals.
    pub(super) const fn joins(self) -> bool {
        self.is_letter() || matches!(self, Self::Apostrophe | Self::Mark)
    }
}

/// The classes of the ASCII bytes.
pub(super) static ASCII: [Class; 128] = ascii();

const fn ascii() -> [Class; 128] {
    let mut table = [Class::Other; 128];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b' ' => Class::Space,
            b'\'' => Class::Apostrophe,
            b'A'..=b'Z' => Class::Upper,
            b'a'..=b'z' => Class::Lower,
            b'0'..=b'9' => Class::Number,
            _ => Class::Other,
        };
        byte += 1;
    }
    table
}

/// The class of a scalar.
pub(super) fn class(scalar: char) -> Class {
    if scalar.is_ascii() {
        return ASCII[scalar as usize];
    }
    if scalar == '\u{2019}' {
        return Class::Apostrophe;
    }
    match get_general_category(scalar) {
        GeneralCategory::UppercaseLetter => Class::Upper,
        GeneralCategory::LowercaseLetter => Class::Lower,
        GeneralCategory::TitlecaseLetter
        | GeneralCategory::ModifierLetter
        | GeneralCategory::OtherLetter => Class::Letter,
        GeneralCategory::DecimalNumber
        | GeneralCategory::LetterNumber
        | GeneralCategory::OtherNumber => Class::Number,
        GeneralCategory::NonspacingMark
        | GeneralCategory::SpacingMark
        | GeneralCategory::EnclosingMark => Class::Mark,
        _ => Class::Other,
    }
}

/// What stands first in some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum First {
    /// A whole scalar and its width in bytes.
    Whole(char, usize),
    /// A byte that begins no valid scalar.
    Broken,
    /// The bytes end inside what may become a scalar.
    Unfinished,
}

/// Reads the first scalar of `bytes`.
pub(super) fn first(bytes: &[u8]) -> First {
    let width = match bytes.first() {
        None => return First::Unfinished,
        Some(&byte @ 0..=0x7F) => return First::Whole(char::from(byte), 1),
        Some(0xC2..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF4) => 4,
        Some(_) => return First::Broken,
    };
    match std::str::from_utf8(&bytes[..width.min(bytes.len())]) {
        Ok(text) => text.chars().next().map_or(First::Broken, |scalar| First::Whole(scalar, width)),
        Err(error) if error.error_len().is_none() => First::Unfinished,
        Err(_) => First::Broken,
    }
}

/// The scalar that `bytes` begin with, or nothing where they begin with none that is complete.
pub(super) fn at(bytes: &[u8]) -> Option<char> {
    match first(bytes) {
        First::Whole(scalar, _) => Some(scalar),
        First::Broken | First::Unfinished => None,
    }
}

/// The class and width of what `bytes` begin with.
#[inline]
pub(super) fn classify(bytes: &[u8]) -> (Class, usize) {
    if let Some(&byte) = bytes.first()
        && let Some(&class) = ASCII.get(usize::from(byte))
    {
        return (class, 1);
    }
    match first(bytes) {
        First::Whole(scalar, width) => (class(scalar), width),
        First::Broken | First::Unfinished => (Class::Other, 1),
    }
}

/// The simple lower-case mapping.
pub(super) fn lower(scalar: char) -> char {
    // The only scalar whose full mapping is longer than its simple one.
    if scalar == '\u{130}' {
        return 'i';
    }
    only(scalar.to_lowercase(), scalar)
}

/// The simple upper-case mapping.
pub(super) fn upper(scalar: char) -> char {
    match scalar {
        // Greek with iota subscript: the full mapping is two scalars, the simple one its title case.
        '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => {
            char::from_u32(scalar as u32 + 8).unwrap_or(scalar)
        }
        '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => char::from_u32(scalar as u32 + 9).unwrap_or(scalar),
        _ => only(scalar.to_uppercase(), scalar),
    }
}

fn only(mut mapped: impl Iterator<Item = char>, otherwise: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        _ => otherwise,
    }
}

/// The scalar that `bytes` end with, or nothing where they end with none that is complete.
pub(super) fn last(bytes: &[u8]) -> Option<char> {
    let start = bytes.iter().rposition(|byte| byte & 0xC0 != 0x80)?;
    match first(&bytes[start..]) {
        First::Whole(scalar, width) if start + width == bytes.len() => Some(scalar),
        _ => None,
    }
}
