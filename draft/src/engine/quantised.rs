//! Activations as 8-bit whole numbers with a scale for each block of 32, as weights of 8 bits want them
//! (the scheme of llama.cpp's `Q8_0` activations). Knows no matrix.

use super::maths::ROUND;

/// Inputs that share a scale.
pub(super) const BLOCK: usize = 32;

/// Numbers that are compared side by side.
const LANES: usize = 16;

/// The largest whole number; the smallest is its negative.
const LARGEST: f32 = 127.0;

/// Rounds the inputs of one block; those that it lacks are 0. Gives their scale and their sum.
#[inline(always)]
pub(super) fn round(values: &[f32], numbers: &mut [i8; BLOCK]) -> (f32, i32) {
    let mut padded = [0f32; BLOCK];
    let values = values.first_chunk::<BLOCK>().unwrap_or_else(|| {
        padded[..values.len()].copy_from_slice(values);
        &padded
    });
    let mut tops = [0f32; LANES];
    let mut is_finite = true;
    for chunk in values.as_chunks::<LANES>().0 {
        for (top, value) in tops.iter_mut().zip(chunk) {
            let size = value.abs();
            *top = if size > *top { size } else { *top };
            is_finite &= size <= f32::MAX;
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for index in 0..width {
            let other = tops[index + width];
            tops[index] = if other > tops[index] { other } else { tops[index] };
        }
        width /= 2;
    }
    let largest = tops[0];
    let inverse = if largest > 0.0 { LARGEST / largest } else { 0.0 };
    let mut rounded = [0i32; BLOCK];
    for (rounded, value) in rounded.iter_mut().zip(values) {
        *rounded = (value * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()).cast_signed();
    }
    let mut sum = 0i32;
    for (number, rounded) in numbers.iter_mut().zip(rounded) {
        *number = rounded as i8;
        sum = sum.wrapping_add(rounded);
    }
    // A row with a value that is no number has no law; nothing must hide that.
    (if is_finite { largest / LARGEST } else { f32::NAN }, sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_stay_within_half_a_step(values in prop::collection::vec(-3.0f32..3.0, 1..=32)) {
            let mut numbers = [7i8; BLOCK];
            let (scale, sum) = round(&values, &mut numbers);
            for (number, value) in numbers.iter().zip(&values) {
                prop_assert!((f32::from(*number) * scale - value).abs() <= 0.5001 * scale);
            }
            prop_assert!(numbers[values.len()..].iter().all(|&number| number == 0));
            prop_assert_eq!(sum, numbers.iter().map(|&number| i32::from(number)).sum::<i32>());
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let mut numbers = [0i8; BLOCK];
        assert!(round(&[1.0, f32::NAN], &mut numbers).0.is_nan());
        assert_eq!(round(&[0.0; 4], &mut numbers), (0.0, 0));
    }
}
