//! Matrices as the products of this engine read them: in panels of 32 rows, column behind column, so
//! that one column of a panel is a few vectors that one input is multiplied with. Whatever they are
//! stored in, products are of 32-bit floats; 8-bit weights have a scale for each row.

use super::lanes::PANEL;
use super::memory::Memory;
use super::quantised::BLOCK;
use crate::checkpoint::rounded_row;

/// What weights are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats of IEEE 754.
    Fp16,
    /// The upper halves of 32-bit floats.
    Bf16,
    /// 8-bit whole numbers, one scale for each row.
    Int8,
}

impl Format {
    pub(super) fn size(self) -> usize {
        match self {
            Self::Fp32 => 4,
            Self::Fp16 | Self::Bf16 => 2,
            Self::Int8 => 1,
        }
    }

    /// The bytes of a float, in the format of floats that this is.
    pub(super) fn put(self, values: &[f32], bytes: &mut Vec<u8>) {
        bytes.clear();
        match self {
            Self::Fp16 => bytes.extend(values.iter().flat_map(|value| fp16(*value))),
            Self::Bf16 => bytes.extend(values.iter().flat_map(|value| bf16(*value))),
            Self::Fp32 | Self::Int8 => {
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
    }

    /// Columns of a packed matrix of `depth` columns: whole blocks of 8-bit weights.
    pub(super) fn depth(self, depth: usize) -> usize {
        if self == Self::Int8 { depth.next_multiple_of(BLOCK) } else { depth }
    }

    /// Bytes of a packed matrix.
    pub(super) fn bytes(self, rows: usize, depth: usize) -> usize {
        rows.next_multiple_of(PANEL) * self.depth(depth) * self.size()
    }
}

/// A matrix `[rows, depth]`; rows are filled up to whole panels with zeros.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) format: Format,
    pub(super) rows: usize,
    pub(super) depth: usize,
    /// Of each row of the panels; none where weights are floats.
    pub(super) scales: Vec<f32>,
    /// Added to each row of a product, where there is one.
    pub(super) bias: Option<Vec<f32>>,
    first: usize,
}

impl Packed {
    /// Takes room for a matrix of zeros.
    pub(super) fn new(memory: &mut Memory, format: Format, rows: usize, depth: usize) -> Self {
        let bytes = format.bytes(rows, depth);
        let first = memory.take(bytes);
        let is_rounded = format == Format::Int8;
        if is_rounded {
            // Weights of 8 bits are stored 128 too large.
            memory.part_mut(first, bytes).fill(128);
        }
        let scales = if is_rounded { vec![1.0; rows.next_multiple_of(PANEL)] } else { Vec::new() };
        Self { format, rows, depth, scales, bias: None, first }
    }

    pub(super) fn panels(&self) -> usize {
        self.rows.div_ceil(PANEL)
    }

    /// The bytes of a panel.
    pub(super) fn panel<'a>(&self, memory: &'a Memory, index: usize) -> &'a [u8] {
        let size = self.format.bytes(PANEL, self.depth);
        memory.part(self.first + index * size, size)
    }

    /// Writes rows of `depth` values, one behind the other, from one of the matrix on. Column by column, which
    /// for whole panels is several times faster than row by row.
    pub(super) fn set(&mut self, memory: &mut Memory, row: usize, values: &[f32]) {
        let (first, rest) =
            values.split_at(self.depth * (PANEL - row % PANEL).min(values.len() / self.depth));
        self.set_in_panel(memory, row, first);
        if !rest.is_empty() {
            self.set(memory, row + first.len() / self.depth, rest);
        }
    }

    fn set_in_panel(&mut self, memory: &mut Memory, row: usize, values: &[f32]) {
        let (depth, lane) = (self.depth, row % PANEL);
        let size = self.format.bytes(PANEL, depth);
        let panel = memory.part_mut(self.first + row / PANEL * size, size);
        match self.format {
            Format::Fp32 => transpose(panel, lane, (values, depth), f32::to_le_bytes),
            Format::Fp16 => transpose(panel, lane, (values, depth), fp16),
            Format::Bf16 => transpose(panel, lane, (values, depth), bf16),
            Format::Int8 => {
                for (index, values) in values.chunks_exact(depth).enumerate() {
                    let (numbers, scale) = rounded_row(values);
                    for (column, number) in numbers.iter().enumerate() {
                        panel[place(lane + index, column)] = number.cast_unsigned() ^ 0x80;
                    }
                    self.scales[row + index] = scale;
                }
            }
        }
    }

    /// Reads one row.
    pub(super) fn get(&self, memory: &Memory, row: usize, values: &mut [f32]) {
        let panel = self.panel(memory, row / PANEL);
        let lane = row % PANEL;
        let half = |column: usize| {
            let at = 2 * (column * PANEL + lane);
            u16::from_le_bytes([panel[at], panel[at + 1]])
        };
        for (column, value) in values.iter_mut().enumerate() {
            *value = match self.format {
                Format::Fp32 => {
                    let at = 4 * (column * PANEL + lane);
                    f32::from_le_bytes([panel[at], panel[at + 1], panel[at + 2], panel[at + 3]])
                }
                Format::Fp16 => half::f16::from_bits(half(column)).to_f32(),
                Format::Bf16 => half::bf16::from_bits(half(column)).to_f32(),
                Format::Int8 => {
                    let number = (panel[place(lane, column)] ^ 0x80).cast_signed();
                    f32::from(number) * self.scales[row]
                }
            };
        }
    }
}

/// Where an 8-bit weight lies in its panel: four columns of a row side by side.
fn place(lane: usize, column: usize) -> usize {
    (column / 4 * PANEL + lane) * 4 + column % 4
}

fn fp16(value: f32) -> [u8; 2] {
    half::f16::from_f32(value).to_le_bytes()
}

fn bf16(value: f32) -> [u8; 2] {
    half::bf16::from_f32(value).to_le_bytes()
}

/// Writes rows of `depth` values into the lanes of a panel from one on.
fn transpose<const SIZE: usize>(
    panel: &mut [u8],
    lane: usize,
    (rows, depth): (&[f32], usize),
    bytes: impl Fn(f32) -> [u8; SIZE],
) {
    for (index, column) in panel.chunks_exact_mut(PANEL * SIZE).enumerate() {
        let values = rows.iter().skip(index).step_by(depth);
        let places = &mut column.as_chunks_mut::<SIZE>().0[lane..];
        for (place, &value) in places.iter_mut().zip(values) {
            *place = bytes(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_stored() {
        let formats =
            [(Format::Fp32, 0.0), (Format::Fp16, 5e-4), (Format::Bf16, 4e-3), (Format::Int8, 4e-3)];
        for (format, bound) in formats {
            let (rows, depth) = (70, 45);
            let mut memory = Memory::new([format.bytes(rows, depth)].into_iter()).unwrap();
            let mut matrix = Packed::new(&mut memory, format, rows, depth);
            let value =
                |row: usize, column: usize| ((row * 31 + column * 7) % 41) as f32 / 41.0 - 0.4;
            let row =
                |row: usize| -> Vec<f32> { (0..depth).map(|column| value(row, column)).collect() };
            // In pieces that are panels, and that go from one into the next.
            for piece in [0..32, 32..33, 33..70] {
                let values: Vec<f32> = piece.clone().flat_map(row).collect();
                matrix.set(&mut memory, piece.start, &values);
            }
            let mut found = vec![0.0; depth];
            for index in 0..rows {
                matrix.get(&memory, index, &mut found);
                for (found, expected) in found.iter().zip(row(index)) {
                    assert!(
                        (found - expected).abs() <= bound,
                        "{format:?}: {found} and {expected}"
                    );
                }
            }
        }
    }
}
