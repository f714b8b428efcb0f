//! Products of a packed matrix with a few rows of input, part by part: which instructions compute them, and
//! what becomes of them. Each panel of weights is read once for up to twelve rows.

#![expect(unsafe_code, reason = "instructions that only some processors have")]

use std::ops::Range;

use super::lanes::{Lanes, PANEL, Portable};
use super::loops::{BFloat, Blocks, Half, Single, Tile, floats, rounded};
use super::maths::gated;
use super::memory::Memory;
use super::packed::{Format, Packed};
use super::quantised::BLOCK;
use super::team::Shared;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};

/// Instructions that a processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Those that every processor has.
    Portable,
    /// AVX2, with fused sums and 16-bit floats.
    Avx2,
    /// AVX-512, with 8-bit products.
    Avx512,
}

impl Isa {
    /// The best of this processor.
    pub fn detect() -> Self {
        *Self::available().last().unwrap_or(&Self::Portable)
    }

    /// All of this processor, the best one last.
    pub fn available() -> Vec<Self> {
        let mut list = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            if has_avx2 {
                list.push(Self::Avx2);
            }
            let has_avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if has_avx2 && has_avx512 {
                list.push(Self::Avx512);
            }
        }
        list
    }
}

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
        unsafe {
            match isa {
                Isa::Portable => compute::<Portable>(self, parts),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => with_avx2(self, parts),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => with_avx512(self, parts),
                #[cfg(not(target_arch = "x86_64"))]
                _ => compute::<Portable>(self, parts),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn with_avx2(product: &Product<'_>, parts: Range<usize>) {
    // SAFETY: the caller's.
    unsafe { compute::<Avx2>(product, parts) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn with_avx512(product: &Product<'_>, parts: Range<usize>) {
    // SAFETY: the caller's.
    unsafe { compute::<Avx512>(product, parts) }
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
    let mut tiles = [[[0f32; PANEL]; ROWS]];
    // SAFETY: the caller's; a panel has as many columns as its matrix.
    unsafe {
        match *input {
            Input::Floats { values, stride } => {
                plain::<L, ROWS>((weights, matrix), (values, stride), row, &mut tiles);
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
                rounded::<L, ROWS>(weights, &from, &mut tiles[0]);
                let scales = &matrix.scales[panel * PANEL..][..PANEL];
                each(&mut tiles[0], scales, |value, scale| value * scale);
            }
        }
    }
    let [mut tile] = tiles;
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
    tiles: &mut [Tile<ROWS>; 1],
) {
    let depth = matrix.depth;
    assert!((row + ROWS - 1) * stride + depth <= values.len(), "rows of input");
    let mut rows = [values.as_ptr(); ROWS];
    for (index, at) in rows.iter_mut().enumerate() {
        // SAFETY: within the input, as was just checked.
        *at = unsafe { at.add((row + index) * stride) };
    }
    let weights = [weights];
    // SAFETY: a panel has `depth` columns of 32 weights of its format.
    unsafe {
        match matrix.format {
            Format::Fp32 => floats::<L, Single, ROWS, 1>(weights, depth, rows, tiles),
            Format::Fp16 => floats::<L, Half, ROWS, 1>(weights, depth, rows, tiles),
            Format::Bf16 | Format::Int8 => {
                floats::<L, BFloat, ROWS, 1>(weights, depth, rows, tiles);
            }
        }
    }
}
