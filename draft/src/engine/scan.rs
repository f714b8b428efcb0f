//! Scans of rows of logits: the largest, the sum of a softmax, those above a bound. What a scan gives is
//! the same whatever the processor. Speed: a row of 8,000 logits is scanned in a microsecond, one number
//! after the other in ten; a draft's row is made in less than a millisecond. Knows no law.

#![expect(unsafe_code, reason = "instructions that only some processors have")]

use std::sync::LazyLock;

use super::isa::{Isa, Work};
use super::lanes::Lanes;
use super::maths::ROUND;

/// Numbers that are looked at together.
const LANES: usize = 16;

static BEST: LazyLock<Isa> = LazyLock::new(Isa::detect);

fn run(work: impl Work) {
    // SAFETY: the processor has these instructions, and the works here ask for nothing else.
    unsafe { BEST.run(work) }
}

/// The largest of some numbers, those that are none left out; −∞ of none.
pub fn largest(numbers: &[f32]) -> f32 {
    let mut top = f32::NEG_INFINITY;
    run(Largest(numbers, &mut top));
    top
}

/// Σ 2^((logit − top) · scale), where what is above the top counts as the top.
pub fn softmax_sum(logits: &[f32], top: f32, scale: f32) -> f32 {
    let mut sum = 0.0;
    run(Sum { logits, top, scale, found: &mut sum });
    sum
}

/// A logit's part of that sum.
pub fn weight(logit: f32, top: f32, scale: f32) -> f32 {
    exp2(((logit - top) * scale).clamp(-125.0, 0.0))
}

/// Which of some numbers are above a bound, ascending.
pub fn above(numbers: &[f32], bound: f32) -> Vec<u32> {
    let mut found = Vec::new();
    run(Above { numbers, bound, found: &mut found });
    found
}

/// 2 to the power of `x`, for -126 < x ≤ 0, to about 3e-7 of it; without branches, so that compilers make
/// vectors of it.
#[inline(always)]
fn exp2(x: f32) -> f32 {
    let shifted = x + ROUND;
    let rest = (x - (shifted - ROUND)) * std::f32::consts::LN_2;
    let series = [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = series.into_iter().fold(1.0 / 720.0, |sum, factor| sum * rest + factor);
    let whole = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    f32::from_bits(power.to_bits().wrapping_add(whole << 23))
}

struct Largest<'a>(&'a [f32], &'a mut f32);

impl Work for Largest<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (lanes, rest) = self.0.as_chunks::<LANES>();
        let mut tops = [f32::NEG_INFINITY; LANES];
        for chunk in lanes {
            for (top, &number) in tops.iter_mut().zip(chunk) {
                *top = if number > *top { number } else { *top };
            }
        }
        let larger = |top: f32, &number: &f32| if number > top { number } else { top };
        *self.1 = tops.iter().chain(rest).fold(f32::NEG_INFINITY, larger);
    }
}

struct Sum<'a> {
    logits: &'a [f32],
    top: f32,
    scale: f32,
    found: &'a mut f32,
}

impl Work for Sum<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { logits, top, scale, found } = self;
        let of = |logit: f32| exp2(((logit - top) * scale).clamp(-125.0, 0.0));
        let (lanes, rest) = logits.as_chunks::<LANES>();
        let mut sums = [0.0f32; LANES];
        for chunk in lanes {
            for (sum, &logit) in sums.iter_mut().zip(chunk) {
                *sum += of(logit);
            }
        }
        *found = sums.iter().sum::<f32>() + rest.iter().map(|&logit| of(logit)).sum::<f32>();
    }
}

struct Above<'a> {
    numbers: &'a [f32],
    bound: f32,
    found: &'a mut Vec<u32>,
}

impl Work for Above<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { numbers, bound, found } = self;
        for (index, chunk) in numbers.chunks(LANES).enumerate() {
            if chunk.iter().fold(0, |any, &number| any | u32::from(number > bound)) == 0 {
                continue;
            }
            let ids = (index * LANES) as u32..;
            found.extend(ids.zip(chunk).filter(|&(_, &number)| number > bound).map(|(id, _)| id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn powers_of_two_are_near() {
        for step in 0..12_500 {
            let x = -f64::from(step) / 100.0;
            let error = f64::from(weight(x as f32, 0.0, 1.0)) / f64::from(x as f32).exp2() - 1.0;
            assert!(error.abs() < 3e-7, "{x}: {error}");
        }
        assert_eq!(weight(3.0, 1.0, 1.0), 1.0);
    }

    #[test]
    fn what_is_no_number_is_not_the_largest() {
        assert_eq!(largest(&[]), f32::NEG_INFINITY);
        assert_eq!(largest(&[f32::NAN, 1.0, f32::NAN]), 1.0);
    }

    proptest! {
        #[test]
        fn every_processor_finds_the_same(
            logits in prop::collection::vec(-30f32..30.0, 0..90),
            bound in -30f32..30.0,
            scale in 0.3f32..3.0,
        ) {
            let top = largest(&logits);
            prop_assert_eq!(top, logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let ids: Vec<u32> =
                (0..logits.len() as u32).filter(|&id| logits[id as usize] > bound).collect();
            prop_assert_eq!(above(&logits, bound), ids);
            let exact: f64 = logits
                .iter()
                .map(|&logit| (f64::from((logit - top) * scale)).max(-125.0).exp2())
                .sum();
            let found = softmax_sum(&logits, top, scale);
            prop_assert!((f64::from(found) - exact).abs() <= 1e-6 * exact);
            for isa in Isa::available() {
                let mut sum = 0.0;
                // SAFETY: the processor has them.
                unsafe { isa.run(Sum { logits: &logits, top, scale, found: &mut sum }) };
                prop_assert_eq!(sum.to_bits(), found.to_bits());
            }
        }
    }
}
