//! Products of a packed matrix with a few rows of input, part by part, and what becomes of them. Each panel of weights is read once for up to twelve rows.

#![expect(unsafe_code, reason = "instructions that only some processors have")]

use std::ops::Range;

use super::isa::{Isa, Work};
use super::lanes::{Lanes, PANEL};
use super::loops::{BFloat, Blocks, Half, Single, Tile, floats, rounded};
use super::maths::gated;
use super::memory::Memory;
use super::packed::{Format, Packed};
use super::quantised::BLOCK;
use super::team::Shared;

/// Rows of input, one behind the other.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    /// Floats, `stride` from row to row.
    Floats { values: &'a [f32], stride: usize },
    /// Numbers of 8 bits in whole blocks, with a scale and a sum for each block.
    Rounded { numbers: &'a [i8], scales: &'a [f32], sums: &'a [i32] },
}

/// What becomes of a product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// It is stored.
    Put,
    /// It is added to what is there.
    Add,
    /// Panels go by twos, a gate and what passes it; the gated values are stored.
    Gate,
}

/// A product to compute.
pub(super) struct Product<'a> {
    pub(super) matrix: &'a Packed,
    pub(super) memory: &'a Memory,
    pub(super) input: Input<'a>,
    /// Rows of the input.
    pub(super) rows: usize,
    pub(super) output: &'a Shared<f32>,
    /// From row to row of the output.
    pub(super) stride: usize,
    pub(super) write: Write,
}

impl Product<'_> {
    /// Parts that different threads may compute.
    pub(super) fn parts(&self) -> usize {
        let panels = self.matrix.panels();
        if self.write == Write::Gate { panels / 2 } else { panels }
    }

    /// Computes some of the parts.
    ///
    /// # Safety
    /// The processor has the instructions; nobody else touches the columns of these parts in the
    /// output, or changes the input.
    pub(super) unsafe fn compute(&self, isa: Isa, parts: Range<usize>) {
        // SAFETY: the caller's.
        unsafe { isa.run(Parts { product: self, parts }) }
    }
}

/// Some parts of a product.
struct Parts<'a> {
    product: &'a Product<'a>,
    parts: Range<usize>,
}

impl Work for Parts<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller's.
        unsafe { compute::<L>(self.product, self.parts) }
    }
}

#[inline(always)]
unsafe fn compute<L: Lanes>(product: &Product<'_>, parts: Range<usize>) {
    // Rounded inputs need two sums for each.
    let most = match product.input {
        Input::Floats { .. } => L::ROWS,
        Input::Rounded { .. } => (L::ROWS / 2).max(1),
    };
    for part in parts {
        let mut row = 0;
        while row < product.rows {
            let left = (product.rows - row).min(most);
            // SAFETY: the caller's.
            row += unsafe {
                match left {
                    1 => tile::<L, 1>(product, part, row),
                    2 => tile::<L, 2>(product, part, row),
                    3 => tile::<L, 3>(product, part, row),
                    4 | 5 => tile::<L, 4>(product, part, row),
                    6 | 7 => tile::<L, 6>(product, part, row),
                    8..=11 => tile::<L, 8>(product, part, row),
                    _ => tile::<L, 12>(product, part, row),
                }
            };
        }
    }
}

/// One part of so many rows, and how many they are.
#[inline(always)]
unsafe fn tile<L: Lanes, const ROWS: usize>(
    product: &Product<'_>,
    part: usize,
    row: usize,
) -> usize {
    // SAFETY: the caller's.
    unsafe {
        if product.write == Write::Gate {
            let gates = sums::<L, ROWS>(product, 2 * part, row);
            let mut values = sums::<L, ROWS>(product, 2 * part + 1, row);
            for (values, gates) in values.iter_mut().zip(&gates) {
                for (value, gate) in values.iter_mut().zip(gates) {
                    *value = gated(*gate, *value);
                }
            }
            store(product, part, row, &values);
        } else {
            let values = sums::<L, ROWS>(product, part, row);
            store(product, part, row, &values);
        }
    }
    ROWS
}

#[inline(always)]
unsafe fn store<const ROWS: usize>(
    product: &Product<'_>,
    part: usize,
    row: usize,
    values: &Tile<ROWS>,
) {
    let first = part * PANEL;
    let width = PANEL.min(product.stride - first);
    for (index, values) in values.iter().enumerate() {
        // SAFETY: the caller's.
        let out = unsafe { product.output.part_mut((row + index) * product.stride + first, width) };
        let whole: Result<&mut [f32; PANEL], _> = (&mut *out).try_into();
        if let (Ok(whole), false) = (whole, product.write == Write::Add) {
            *whole = *values;
        } else if product.write == Write::Add {
            for (out, value) in out.iter_mut().zip(values) {
                *out += value;
            }
        } else {
            out.copy_from_slice(&values[..width]);
        }
    }
}

/// The sums of a panel for some rows, scaled, with the bias. Panels go one by one: two of them side by side,
/// and asking for weights ahead, were tried and gained nothing.
#[inline(always)]
unsafe fn sums<L: Lanes, const ROWS: usize>(
    product: &Product<'_>,
    panel: usize,
    row: usize,
) -> Tile<ROWS> {
    let Product { matrix, memory, input, .. } = product;
    let weights = matrix.panel(memory, panel).as_ptr();
    // SAFETY: the caller's; a panel has as many columns as its matrix.
    let mut tile = unsafe {
        match *input {
            Input::Floats { values, stride } => {
                plain::<L, ROWS>((weights, matrix), (values, stride), row)
            }
            Input::Rounded { numbers, scales, sums } => {
                let blocks = matrix.depth.div_ceil(BLOCK);
                let end = (row + ROWS) * blocks;
                assert!(end <= scales.len() && end <= sums.len() && end * BLOCK <= numbers.len());
                let first = row * blocks;
                let from = Blocks {
                    count: blocks,
                    numbers: numbers.as_ptr().add(first * BLOCK),
                    scales: scales.as_ptr().add(first),
                    sums: sums.as_ptr().add(first),
                };
                let mut tile = rounded::<L, ROWS>(weights, &from);
                let scales = &matrix.scales[panel * PANEL..][..PANEL];
                each(&mut tile, scales, |value, scale| value * scale);
                tile
            }
        }
    };
    if let Some(bias) = &matrix.bias {
        each(&mut tile, &bias[panel * PANEL..][..PANEL], |value, bias| value + bias);
    }
    tile
}

/// Changes every number of a tile by its lane's.
#[inline(always)]
fn each<const ROWS: usize>(tile: &mut Tile<ROWS>, lanes: &[f32], by: impl Fn(f32, f32) -> f32) {
    for values in tile {
        for (value, lane) in values.iter_mut().zip(lanes) {
            *value = by(*value, *lane);
        }
    }
}

/// The sums of a panel of floats.
#[inline(always)]
unsafe fn plain<L: Lanes, const ROWS: usize>(
    (weights, matrix): (*const u8, &Packed),
    (values, stride): (&[f32], usize),
    row: usize,
) -> Tile<ROWS> {
    let depth = matrix.depth;
    assert!((row + ROWS - 1) * stride + depth <= values.len(), "rows of input");
    let mut rows = [values.as_ptr(); ROWS];
    for (index, at) in rows.iter_mut().enumerate() {
        // SAFETY: within the input, as was just checked.
        *at = unsafe { at.add((row + index) * stride) };
    }
    let weights = [weights];
    // SAFETY: a panel has `depth` columns of 32 weights of its format.
    let [tile] = unsafe {
        match matrix.format {
            Format::Fp32 => floats::<L, Single, ROWS, 1>(weights, depth, rows),
            Format::Fp16 => floats::<L, Half, ROWS, 1>(weights, depth, rows),
            Format::Bf16 | Format::Int8 => floats::<L, BFloat, ROWS, 1>(weights, depth, rows),
        }
    };
    tile
}
