//! A few floats that one instruction works on, and the same in plain Rust for processors that have no
//! file of their own here. Knows no matrix.

/// Rows of a panel: a whole number of vectors of every kind.
pub(super) const PANEL: usize = 32;

/// Vectors of floats, and of sums of 8-bit products.
///
/// # Safety
/// Every function needs a processor with the instructions of its type, and pointers to as many values
/// as a vector has. They are inlined into functions that are compiled for such a processor, and only
/// into those.
#[expect(unsafe_code, reason = "instructions that only some processors have")]
pub(super) trait Lanes {
    /// Floats.
    type Floats: Copy;
    /// Whole numbers of 32 bits, as many as floats.
    type Sums: Copy;
    /// Numbers in a vector.
    const WIDTH: usize;
    /// Rows of a product whose sums fit into the registers.
    const ROWS: usize;

    unsafe fn splat(value: f32) -> Self::Floats;
    unsafe fn load(from: *const f32) -> Self::Floats;
    unsafe fn load_half(from: *const u16) -> Self::Floats;
    unsafe fn load_bfloat(from: *const u16) -> Self::Floats;
    unsafe fn store(value: Self::Floats, to: *mut f32);
    /// `a × b + c`, rounded once where the processor can.
    unsafe fn fused(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;

    /// The sums before any product, where the four inputs of a block have this sum.
    unsafe fn begin(sum: i32) -> Self::Sums;
    /// Adds, to each sum, the products of four weights (each its value plus 128) and four inputs.
    unsafe fn dot(sums: Self::Sums, weights: *const u8, inputs: i32) -> Self::Sums;
    unsafe fn floats(sums: Self::Sums) -> Self::Floats;
}

/// Four floats at a time, in plain Rust.
pub(super) struct Portable;

const FOUR: usize = 4;

#[expect(unsafe_code, reason = "reads and writes through pointers")]
impl Lanes for Portable {
    type Floats = [f32; FOUR];
    type Sums = [i32; FOUR];
    const WIDTH: usize = FOUR;
    const ROWS: usize = 2;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Floats {
        [value; FOUR]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Floats {
        // SAFETY: the caller's.
        unsafe { from.cast::<Self::Floats>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self::Floats {
        // SAFETY: the caller's.
        let bits = unsafe { from.cast::<[u16; FOUR]>().read_unaligned() };
        bits.map(|bits| half::f16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    unsafe fn load_bfloat(from: *const u16) -> Self::Floats {
        // SAFETY: the caller's.
        let bits = unsafe { from.cast::<[u16; FOUR]>().read_unaligned() };
        bits.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }

    #[inline(always)]
    unsafe fn store(value: Self::Floats, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Self::Floats>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn fused(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        let mut sum = c;
        for lane in 0..FOUR {
            sum[lane] += a[lane] * b[lane];
        }
        sum
    }

    #[inline(always)]
    unsafe fn begin(_sum: i32) -> Self::Sums {
        [0; FOUR]
    }

    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, weights: *const u8, inputs: i32) -> Self::Sums {
        // SAFETY: the caller's.
        let weights = unsafe { weights.cast::<[[u8; 4]; FOUR]>().read_unaligned() };
        let inputs = inputs.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
        let mut next = sums;
        for (sum, weights) in next.iter_mut().zip(weights) {
            for (weight, input) in weights.into_iter().zip(inputs) {
                *sum += (i32::from(weight) - 128) * input;
            }
        }
        next
    }

    #[inline(always)]
    unsafe fn floats(sums: Self::Sums) -> Self::Floats {
        sums.map(|sum| sum as f32)
    }
}
