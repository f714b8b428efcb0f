//! Vectors of processors with AVX2, and of those with AVX-512 and its 8-bit products (VNNI).

#![expect(unsafe_code, reason = "instructions that only some processors have")]
#![allow(clippy::wildcard_imports, reason = "the names of instructions")]

use std::arch::x86_64::*;

use super::lanes::Lanes;

/// Sixteen floats at a time.
pub(super) struct Avx512;

impl Lanes for Avx512 {
    type Floats = __m512;
    type Sums = __m512i;
    const WIDTH: usize = 16;
    const ROWS: usize = 12;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Floats {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Floats {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self::Floats {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bfloat(from: *const u16) -> Self::Floats {
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    unsafe fn store(value: Self::Floats, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn fused(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    /// Weights are 128 too large as this processor's products want them: unsigned.
    #[inline(always)]
    unsafe fn begin(sum: i32) -> Self::Sums {
        unsafe { _mm512_set1_epi32(-128 * sum) }
    }

    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, weights: *const u8, inputs: i32) -> Self::Sums {
        unsafe {
            let weights = _mm512_loadu_si512(weights.cast());
            _mm512_dpbusd_epi32(sums, weights, _mm512_set1_epi32(inputs))
        }
    }

    #[inline(always)]
    unsafe fn floats(sums: Self::Sums) -> Self::Floats {
        unsafe { _mm512_cvtepi32_ps(sums) }
    }
}

/// Eight floats at a time.
pub(super) struct Avx2;

impl Lanes for Avx2 {
    type Floats = __m256;
    type Sums = __m256i;
    const WIDTH: usize = 8;
    const ROWS: usize = 3;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Floats {
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Floats {
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self::Floats {
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bfloat(from: *const u16) -> Self::Floats {
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    unsafe fn store(value: Self::Floats, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn fused(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn begin(_sum: i32) -> Self::Sums {
        unsafe { _mm256_setzero_si256() }
    }

    /// The sum of two products fits into 16 bits, since no factor is -128.
    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, weights: *const u8, inputs: i32) -> Self::Sums {
        unsafe {
            let weights = _mm256_loadu_si256(weights.cast());
            let weights = _mm256_xor_si256(weights, _mm256_set1_epi8(i8::MIN));
            let inputs = _mm256_set1_epi32(inputs);
            let signed = _mm256_sign_epi8(inputs, weights);
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), signed);
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    unsafe fn floats(sums: Self::Sums) -> Self::Floats {
        unsafe { _mm256_cvtepi32_ps(sums) }
    }
}
