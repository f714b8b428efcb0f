//! Which instructions a processor has, and work that is compiled for each of them and done with the best.
//! Knows no work.

#![expect(unsafe_code, reason = "instructions that only some processors have")]

use super::lanes::{Lanes, Portable};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};

/// What is done with vectors of any kind. To be inlined, so that it is compiled for them.
pub(super) trait Work {
    /// Does it.
    ///
    /// # Safety
    /// The processor has the instructions; see the work for more.
    unsafe fn run<L: Lanes>(self);
}

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
        let all = [
            (Self::Portable, true),
            (Self::Avx2, has_avx2()),
            (Self::Avx512, has_avx2() && has_avx512()),
        ];
        all.into_iter().filter(|(_, has)| *has).map(|(isa, _)| isa).collect()
    }

    /// Does work with these instructions.
    ///
    /// # Safety
    /// The processor has them, and the work's own conditions hold.
    pub(super) unsafe fn run(self, work: impl Work) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Self::Portable => work.run::<Portable>(),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => with_avx2(work),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => with_avx512(work),
                #[cfg(not(target_arch = "x86_64"))]
                _ => work.run::<Portable>(),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn with_avx2(work: impl Work) {
    // SAFETY: the caller's.
    unsafe { work.run::<Avx2>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn with_avx512(work: impl Work) {
    // SAFETY: the caller's.
    unsafe { work.run::<Avx512>() }
}
