//! Element types of GGUF and how a row of numbers becomes their bytes: rounding to nearest even for
//! 16-bit floats, blocks of 32 numbers with a 16-bit scale for `Q8_0` and `Q4_0`, to the bit as ggml's
//! reference quantisers. Pure numbers.

use half::{bf16, f16};

/// Numbers in a block.
const BLOCK: usize = 32;

/// Bytes of a block: the scale, then its numbers.
const Q8_BYTES: usize = 2 + BLOCK;
const Q4_BYTES: usize = 2 + BLOCK / 2;

/// ggml's numbers of types that are known by name alone.
const OTHERS: [(u32, &str); 13] = [
    (3, "Q4_1"),
    (6, "Q5_0"),
    (7, "Q5_1"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (12, "Q4_K"),
    (13, "Q5_K"),
    (14, "Q6_K"),
    (15, "Q8_K"),
    (20, "IQ4_NL"),
    (23, "IQ4_XS"),
    (39, "MXFP4"),
];

/// An element type that is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// bfloat16.
    Bf16,
    /// Blocks of 32 numbers in 8 bits with a 16-bit scale.
    Q8,
    /// Blocks of 32 numbers in 4 bits with a 16-bit scale.
    Q4,
}

impl Element {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::Q8, Self::Q4];

    /// ggml's number of the type.
    pub(super) fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4 => 2,
            Self::Q8 => 8,
            Self::Bf16 => 30,
        }
    }

    /// llama.cpp's number of a file whose matrices are of this type.
    pub(super) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4 => 2,
            Self::Q8 => 7,
            Self::Bf16 => 32,
        }
    }

    /// The type of a number, or what is known of one that is not read.
    pub(super) fn of_code(code: u32) -> Result<Self, String> {
        let own = Self::ALL.into_iter().find(|element| element.code() == code);
        own.ok_or_else(|| match OTHERS.iter().find(|(other, _)| *other == code) {
            Some((_, name)) => (*name).to_owned(),
            None => format!("number {code}"),
        })
    }

    /// ggml's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q8 => "Q8_0",
            Self::Q4 => "Q4_0",
        }
    }

    /// Numbers that stand together; a row has a multiple of them.
    pub fn block(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q8 | Self::Q4 => BLOCK,
        }
    }

    /// Bytes of a row; `None` where it is no whole number of blocks.
    pub fn row_bytes(self, columns: usize) -> Option<usize> {
        let bytes = match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q8 => Q8_BYTES,
            Self::Q4 => Q4_BYTES,
        };
        let blocks = columns / self.block();
        columns.is_multiple_of(self.block()).then(|| blocks.checked_mul(bytes)).flatten()
    }

    /// Appends the bytes of a row that is a whole number of blocks. The error is a number that the type
    /// cannot hold.
    pub fn encode(self, row: &[f32], out: &mut Vec<u8>) -> Result<(), f32> {
        let largest = match self {
            Self::F32 => f32::INFINITY,
            Self::Bf16 => bf16::MAX.to_f32(),
            Self::F16 => f16::MAX.to_f32(),
            // Their scales are 16-bit floats.
            Self::Q8 => 127.0 * f16::MAX.to_f32(),
            Self::Q4 => 8.0 * f16::MAX.to_f32(),
        };
        if self != Self::F32
            && let Some(value) = row.iter().find(|value| value.is_nan() || value.abs() > largest)
        {
            return Err(*value);
        }
        match self {
            Self::F32 => out.extend(row.iter().flat_map(|value| value.to_le_bytes())),
            Self::F16 => {
                out.extend(row.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()));
            }
            Self::Bf16 => {
                out.extend(row.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()));
            }
            Self::Q8 => row.as_chunks::<BLOCK>().0.iter().for_each(|block| encode_q8(block, out)),
            Self::Q4 => row.as_chunks::<BLOCK>().0.iter().for_each(|block| encode_q4(block, out)),
        }
        Ok(())
    }

    /// The numbers of a row; `bytes` are as many as [`Self::row_bytes`] says.
    pub fn decode(self, bytes: &[u8], row: &mut [f32]) {
        match self {
            Self::F32 => {
                for (value, own) in row.iter_mut().zip(bytes.as_chunks().0) {
                    *value = f32::from_le_bytes(*own);
                }
            }
            Self::F16 => {
                for (value, own) in row.iter_mut().zip(bytes.as_chunks().0) {
                    *value = f16::from_le_bytes(*own).to_f32();
                }
            }
            Self::Bf16 => {
                for (value, own) in row.iter_mut().zip(bytes.as_chunks().0) {
                    *value = bf16::from_le_bytes(*own).to_f32();
                }
            }
            Self::Q8 => decode_q8(bytes, row),
            Self::Q4 => decode_q4(bytes, row),
        }
    }
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The scale is the largest magnitude over 127; numbers are rounded, halves away from zero.
fn encode_q8(block: &[f32; BLOCK], out: &mut Vec<u8>) {
    let largest = block.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    let inverse = inverse(scale);
    out.extend(f16::from_f32(scale).to_le_bytes());
    out.extend(block.iter().map(|value| ((value * inverse).round() as i8).cast_unsigned()));
}

/// The scale is the number of largest magnitude over -8, so that this one is exact; a number is the
/// sixteenth that it falls into. The first half of a block lies in the lower four bits.
fn encode_q4(block: &[f32; BLOCK], out: &mut Vec<u8>) {
    let mut largest = 0f32;
    for value in block {
        if largest.abs() < value.abs() {
            largest = *value;
        }
    }
    let scale = largest / -8.0;
    let inverse = inverse(scale);
    out.extend(f16::from_f32(scale).to_le_bytes());
    let number = |value: f32| ((value * inverse + 8.5) as i8).min(15).cast_unsigned();
    let (low, high) = block.split_at(BLOCK / 2);
    out.extend(low.iter().zip(high).map(|(&low, &high)| number(low) | number(high) << 4));
}

fn decode_q8(bytes: &[u8], row: &mut [f32]) {
    let blocks = bytes.as_chunks::<Q8_BYTES>().0;
    for (values, bytes) in row.as_chunks_mut::<BLOCK>().0.iter_mut().zip(blocks) {
        let scale = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        for (value, number) in values.iter_mut().zip(&bytes[2..]) {
            *value = f32::from(number.cast_signed()) * scale;
        }
    }
}

fn decode_q4(bytes: &[u8], row: &mut [f32]) {
    let blocks = bytes.as_chunks::<Q4_BYTES>().0;
    for (values, bytes) in row.as_chunks_mut::<BLOCK>().0.iter_mut().zip(blocks) {
        let scale = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        let value = |number: u8| f32::from(number.cast_signed() - 8) * scale;
        let (low, high) = values.split_at_mut(BLOCK / 2);
        for ((low, high), byte) in low.iter_mut().zip(high).zip(&bytes[2..]) {
            (*low, *high) = (value(byte & 15), value(byte >> 4));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn there_and_back(element: Element, row: &[f32]) -> Vec<f32> {
        let (mut bytes, mut back) = (Vec::new(), vec![0.0; row.len()]);
        element.encode(row, &mut bytes).unwrap();
        assert_eq!(Some(bytes.len()), element.row_bytes(row.len()));
        element.decode(&bytes, &mut back);
        back
    }

    proptest! {
        #[test]
        fn numbers_stay_within_a_step(row in prop::collection::vec(-3.0f32..3.0, 64)) {
            prop_assert_eq!(&there_and_back(Element::F32, &row), &row);
            for (element, share) in [(Element::F16, 1.0 / 2048.0), (Element::Bf16, 1.0 / 256.0)] {
                for (found, value) in there_and_back(element, &row).iter().zip(&row) {
                    prop_assert!((found - value).abs() <= share * value.abs() + 1e-7);
                }
            }
            // Half a step, and what rounding the scale adds; the far end of four bits is cut off.
            for (element, steps) in [(Element::Q8, 0.57 / 127.0), (Element::Q4, 1.01 / 8.0)] {
                let back = there_and_back(element, &row);
                for (found, value) in back.chunks(32).zip(row.chunks(32)) {
                    let largest = value.iter().fold(0f32, |largest, v| largest.max(v.abs()));
                    for (found, value) in found.iter().zip(value) {
                        prop_assert!((found - value).abs() <= steps * largest);
                    }
                }
            }
        }

        #[test]
        fn what_was_rounded_once_stays(row in prop::collection::vec(-3.0f32..3.0, 32)) {
            for element in [Element::F16, Element::Bf16] {
                let once = there_and_back(element, &row);
                prop_assert_eq!(&there_and_back(element, &once), &once);
            }
        }
    }

    #[test]
    fn halves_go_where_ggml_puts_them() {
        let mut row = [0f32; 32];
        (row[0], row[1], row[2], row[3]) = (127.0, 0.5, -0.5, 2.5);
        let mut bytes = Vec::new();
        Element::Q8.encode(&row, &mut bytes).unwrap();
        assert_eq!(bytes[..6], [0x00, 0x3C, 127, 1, 0xFF, 3]);
        (row[0], row[16], row[17]) = (-8.0, 8.0, -7.5);
        (row[1], row[2], row[3]) = (0.5, -0.5, 7.4);
        bytes.clear();
        Element::Q4.encode(&row, &mut bytes).unwrap();
        assert_eq!(bytes[..6], [0x00, 0x3C, 0xF0, 0x19, 0x88, 0x8F]);
    }

    #[test]
    fn sixteen_bits_are_rounded_to_even() {
        let mut bytes = Vec::new();
        let halves = [f32::from_bits(0x3F80_8000), f32::from_bits(0x3F81_8000)];
        Element::Bf16.encode(&halves, &mut bytes).unwrap();
        assert_eq!(bytes, [0x80, 0x3F, 0x82, 0x3F]);
        bytes.clear();
        Element::F16.encode(&[1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0], &mut bytes).unwrap();
        assert_eq!(bytes, [0x00, 0x3C, 0x02, 0x3C]);
    }

    #[test]
    fn what_a_type_cannot_hold_is_an_error() {
        let mut bytes = Vec::new();
        assert_eq!(Element::F16.encode(&[1.0, 7e4], &mut bytes), Err(7e4));
        assert!(Element::Q8.encode(&[f32::NAN; 32], &mut bytes).is_err());
        assert_eq!(Element::Q4.row_bytes(280), None);
        assert_eq!(Element::of_code(14), Err("Q6_K".to_owned()));
        assert!(Element::ALL.iter().all(|own| Element::of_code(own.code()) == Ok(*own)));
    }
}
