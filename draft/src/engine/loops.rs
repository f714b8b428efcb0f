//! The inner loops of a pass: a panel of 32 rows of weights, or of keys or values, times a few rows of
//! input, whose sums stay in registers. Every sum runs over the columns in their order, so that a row's
//! result never depends on what is multiplied with it. Knows pointers; bounds are its callers'.

#![expect(unsafe_code, reason = "instructions that only some processors have")]

use super::lanes::{Lanes, PANEL};
use super::quantised::BLOCK;

/// Sums of one panel.
pub(super) type Tile<const ROWS: usize> = [[f32; PANEL]; ROWS];

/// How a weight is stored.
pub(super) trait Stored {
    /// Bytes of a weight.
    const SIZE: usize;

    unsafe fn load<L: Lanes>(from: *const u8) -> L::Floats;
}

pub(super) struct Single;
pub(super) struct Half;
pub(super) struct BFloat;

impl Stored for Single {
    const SIZE: usize = 4;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8) -> L::Floats {
        // SAFETY: the caller's.
        unsafe { L::load(from.cast()) }
    }
}

impl Stored for Half {
    const SIZE: usize = 2;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8) -> L::Floats {
        // SAFETY: the caller's.
        unsafe { L::load_half(from.cast()) }
    }
}

impl Stored for BFloat {
    const SIZE: usize = 2;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8) -> L::Floats {
        // SAFETY: the caller's.
        unsafe { L::load_bfloat(from.cast()) }
    }
}

/// Vectors of a panel, at most.
const VECTORS: usize = 8;

/// The products of `depth` columns of some panels with as many inputs of each row. A sum waits for the one before it: two panels side by side keep twice as many on their way, which one row
/// needs.
///
/// # Safety
/// The weights of a panel are as many columns of 32, every row has as many inputs, and the processor has the
/// instructions.
#[inline(always)]
pub(super) unsafe fn floats<L: Lanes, S: Stored, const ROWS: usize, const PANELS: usize>(
    weights: [*const u8; PANELS],
    depth: usize,
    rows: [*const f32; ROWS],
) -> [Tile<ROWS>; PANELS] {
    let vectors = PANEL / L::WIDTH;
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[[L::splat(0.0); VECTORS]; ROWS]; PANELS];
        for column in 0..depth {
            let mut parts = [[L::splat(0.0); VECTORS]; PANELS];
            for panel in 0..PANELS {
                for vector in 0..vectors {
                    let at = (column * PANEL + vector * L::WIDTH) * S::SIZE;
                    parts[panel][vector] = S::load::<L>(weights[panel].add(at));
                }
            }
            for index in 0..ROWS {
                let input = L::splat(*rows[index].add(column));
                for panel in 0..PANELS {
                    for vector in 0..vectors {
                        let sum = &mut sums[panel][index][vector];
                        *sum = L::fused(parts[panel][vector], input, *sum);
                    }
                }
            }
        }
        let mut tiles = [[[0f32; PANEL]; ROWS]; PANELS];
        for panel in 0..PANELS {
            for index in 0..ROWS {
                for vector in 0..vectors {
                    let to = tiles[panel][index].as_mut_ptr().add(vector * L::WIDTH);
                    L::store(sums[panel][index][vector], to);
                }
            }
        }
        tiles
    }
}

/// Blocks of rounded inputs: row behind row.
pub(super) struct Blocks {
    /// Blocks of a row.
    pub(super) count: usize,
    pub(super) numbers: *const i8,
    pub(super) scales: *const f32,
    pub(super) sums: *const i32,
}

/// The products of a panel of 8-bit weights with rounded rows, without the scales of the weights.
///
/// # Safety
/// There are as many blocks of weights and of each row, and the processor has the instructions.
#[inline(always)]
pub(super) unsafe fn rounded<L: Lanes, const ROWS: usize>(
    weights: *const u8,
    from: &Blocks,
) -> Tile<ROWS> {
    let vectors = PANEL / L::WIDTH;
    // SAFETY: the caller's.
    unsafe {
        let mut totals = [[L::splat(0.0); VECTORS]; ROWS];
        for block in 0..from.count {
            let mut sums = [[L::begin(0); VECTORS]; ROWS];
            for index in 0..ROWS {
                sums[index] = [L::begin(*from.sums.add(index * from.count + block)); VECTORS];
            }
            for four in 0..BLOCK / 4 {
                let column = block * BLOCK + four * 4;
                for index in 0..ROWS {
                    let place = (index * from.count + block) * BLOCK + four * 4;
                    let inputs = from.numbers.add(place).cast::<i32>().read_unaligned();
                    for vector in 0..vectors {
                        let part = weights.add(column * PANEL + vector * L::WIDTH * 4);
                        sums[index][vector] = L::dot(sums[index][vector], part, inputs);
                    }
                }
            }
            for index in 0..ROWS {
                let scale = L::splat(*from.scales.add(index * from.count + block));
                for vector in 0..vectors {
                    let sum = L::floats(sums[index][vector]);
                    totals[index][vector] = L::fused(sum, scale, totals[index][vector]);
                }
            }
        }
        let mut tile = [[0f32; PANEL]; ROWS];
        for index in 0..ROWS {
            for vector in 0..vectors {
                L::store(totals[index][vector], tile[index].as_mut_ptr().add(vector * L::WIDTH));
            }
        }
        tile
    }
}
