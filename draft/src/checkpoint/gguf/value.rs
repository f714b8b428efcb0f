//! Metadata of GGUF files: typed values under names, in bytes and back. Knows no key's meaning.

use std::fmt::Write as _;

/// Bytes that a text or a list may not exceed, so that a damaged length is an error and not a wish
/// for memory.
const LONGEST: u64 = 1 << 40;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number of 8, 16, 32 or 64 bits without a sign, with its width in bytes.
    Unsigned(u64, u8),
    /// A whole number with a sign, with its width in bytes.
    Signed(i64, u8),
    /// A 32-bit float.
    Float(f32),
    /// A 64-bit float.
    Double(f64),
    /// Yes or no.
    Bool(bool),
    /// A text.
    Text(String),
    /// Values of one type; the number is that of the type.
    List(u32, Vec<Self>),
}

impl Value {
    /// A 32-bit whole number without a sign, which most keys ask for.
    pub fn number(value: usize) -> Self {
        Self::Unsigned(value as u64, 4)
    }

    /// A text.
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    /// A list of texts.
    pub fn texts(values: Vec<String>) -> Self {
        Self::List(8, values.into_iter().map(Self::Text).collect())
    }

    /// A list of 32-bit floats.
    pub fn floats(values: &[f32]) -> Self {
        Self::List(6, values.iter().map(|&value| Self::Float(value)).collect())
    }

    /// A list of 32-bit whole numbers.
    pub fn integers(values: &[i32]) -> Self {
        Self::List(5, values.iter().map(|&value| Self::Signed(value.into(), 4)).collect())
    }

    /// The number of its type.
    fn code(&self) -> u32 {
        match self {
            Self::Unsigned(_, 1) => 0,
            Self::Signed(_, 1) => 1,
            Self::Unsigned(_, 2) => 2,
            Self::Signed(_, 2) => 3,
            Self::Unsigned(_, 4) => 4,
            Self::Signed(_, 4) => 5,
            Self::Float(_) => 6,
            Self::Bool(_) => 7,
            Self::Text(_) => 8,
            Self::List(..) => 9,
            Self::Unsigned(..) => 10,
            Self::Signed(..) => 11,
            Self::Double(_) => 12,
        }
    }

    /// The whole number that it is, if it is one and none below 0.
    pub fn as_number(&self) -> Option<usize> {
        match self {
            Self::Unsigned(value, _) => usize::try_from(*value).ok(),
            Self::Signed(value, _) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The float that it is. One of 32 bits is read as it is written down: 0.1 and not
    /// 0.10000000149.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => value.to_string().parse().ok(),
            Self::Double(value) => Some(*value),
            _ => None,
        }
    }

    /// Whether it is yes, if it is yes or no.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text that it is.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(value) => Some(value),
            _ => None,
        }
    }

    /// The values of a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(_, values) => Some(values),
            _ => None,
        }
    }

    /// Appends its bytes, without its type.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unsigned(value, width) => {
                out.extend(&value.to_le_bytes()[..usize::from(*width)]);
            }
            Self::Signed(value, width) => out.extend(&value.to_le_bytes()[..usize::from(*width)]),
            Self::Float(value) => out.extend(value.to_le_bytes()),
            Self::Double(value) => out.extend(value.to_le_bytes()),
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::Text(value) => write_text(value, out),
            Self::List(code, values) => {
                out.extend(code.to_le_bytes());
                out.extend((values.len() as u64).to_le_bytes());
                for value in values {
                    value.write(out);
                }
            }
        }
    }
}

/// Appends a text with its length.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Appends a name, the type of its value, and the value.
pub(super) fn write_pair(name: &str, value: &Value, out: &mut Vec<u8>) {
    write_text(name, out);
    out.extend(value.code().to_le_bytes());
    value.write(out);
}

/// A place in the bytes of a file. Errors say what is wrong with them.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let taken = end.map(|end| &self.bytes[self.at..end]);
        self.at = end.unwrap_or(self.at);
        taken.ok_or_else(|| format!("it ends after {} bytes, inside its header", self.bytes.len()))
    }

    fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], String> {
        let mut bytes = [0; SIZE];
        bytes.copy_from_slice(self.take(SIZE)?);
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length or count; what is longer than any file is damage.
    pub(super) fn count(&mut self) -> Result<usize, String> {
        let count = self.u64()?;
        let most = LONGEST.min(self.bytes.len() as u64);
        let fits = count <= most;
        fits.then_some(count as usize).ok_or_else(|| format!("its header counts {count} things"))
    }

    pub(super) fn text(&mut self) -> Result<String, String> {
        let length = self.count()?;
        let bytes = self.take(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|error| {
            let mut shown = String::new();
            for byte in &error.as_bytes()[..length.min(16)] {
                let _ = write!(shown, "{byte:02x}");
            }
            format!("a text of its header is no UTF-8 (it begins with the bytes {shown})")
        })
    }

    /// A value of a type.
    pub(super) fn value(&mut self, code: u32) -> Result<Value, String> {
        Ok(match code {
            0 => Value::Unsigned(u64::from(self.array::<1>()?[0]), 1),
            1 => Value::Signed(i64::from(self.array::<1>()?[0].cast_signed()), 1),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.array()?)), 2),
            3 => Value::Signed(i64::from(i16::from_le_bytes(self.array()?)), 2),
            4 => Value::Unsigned(u64::from(self.u32()?), 4),
            5 => Value::Signed(i64::from(self.u32()?.cast_signed()), 4),
            6 => Value::Float(f32::from_le_bytes(self.array()?)),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 => {
                let code = self.u32()?;
                if code == 9 {
                    return Err("a list of lists in its header is not read".to_owned());
                }
                let count = self.count()?;
                let values = (0..count).map(|_| self.value(code)).collect::<Result<_, _>>()?;
                Value::List(code, values)
            }
            10 => Value::Unsigned(self.u64()?, 8),
            11 => Value::Signed(self.u64()?.cast_signed(), 8),
            12 => Value::Double(f64::from_le_bytes(self.array()?)),
            other => return Err(format!("its header has a value of the unknown type {other}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Value> {
        let mut samples = vec![
            Value::Float(0.1),
            Value::Double(-2.5),
            Value::Bool(true),
            Value::text("a ▁ text"),
            Value::texts(vec!["a".to_owned(), String::new()]),
            Value::floats(&[1.0, -1.5]),
            Value::integers(&[-1, 7]),
        ];
        for width in [1, 2, 4, 8] {
            samples.push(Value::Unsigned(200, width));
            samples.push(Value::Signed(-100, width));
        }
        samples
    }

    #[test]
    fn values_come_back() {
        for value in samples() {
            let mut bytes = Vec::new();
            write_pair("name", &value, &mut bytes);
            let mut cursor = Cursor::new(&bytes);
            assert_eq!(cursor.text().unwrap(), "name");
            let code = cursor.u32().unwrap();
            assert_eq!(cursor.value(code).unwrap(), value);
            assert_eq!(cursor.at(), bytes.len());
        }
        assert_eq!(Value::Float(1e-5).as_float(), Some(1e-5));
    }

    #[test]
    fn what_is_cut_off_anywhere_is_an_error() {
        for value in samples() {
            let mut bytes = Vec::new();
            write_pair("name", &value, &mut bytes);
            for end in 0..bytes.len() {
                let mut cursor = Cursor::new(&bytes[..end]);
                let read = cursor.text().and_then(|_| cursor.u32());
                assert!(read.and_then(|code| cursor.value(code)).is_err(), "{value:?} at {end}");
            }
        }
    }

    #[test]
    fn damaged_lengths_ask_for_no_memory() {
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        assert!(Cursor::new(&bytes).text().unwrap_err().contains("counts"));
        bytes.splice(..0, 8u32.to_le_bytes());
        assert!(Cursor::new(&bytes).value(9).unwrap_err().contains("counts"));
        assert!(Cursor::new(&bytes).value(77).unwrap_err().contains("unknown type 77"));
    }
}
