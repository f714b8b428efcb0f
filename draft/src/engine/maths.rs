//! The functions of a decoder that are no products: exponentials, norms, gates, rotations. Plain loops
//! that compilers make vectors of; sums are taken in one order whatever the processor.

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts, the first with so few bits that multiples of it are exact (Cody & Waite, 1980).
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// The last bits of a number to which this is added, `1.5 × 2^23`, are those of its nearest whole number, which
/// taking it away again leaves.
pub(super) const ROUND: f32 = 12_582_912.0;
/// Coefficients of `(e^r - 1 - r) / r²` for `|r| ≤ ln 2 / 2` (the Cephes library's `expf`).
const SERIES: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];
/// Partial sums of a long sum.
const PARTS: usize = 16;

/// `e^x`, within two units of the last place; 0 below -87, and its value at 88 above.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped * LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = (clamped - whole * LN2_HIGH) - whole * LN2_LOW;
    let mut series = SERIES[0];
    for coefficient in &SERIES[1..] {
        series = series * rest + coefficient;
    }
    let value = series * rest * rest + rest + 1.0;
    // The last bits of the shifted number are those of the whole one.
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { value * power }
}

/// `gate × sigmoid(gate) × up` (`SiLU`, 1702.03118).
#[inline(always)]
pub(super) fn gated(gate: f32, up: f32) -> f32 {
    gate / (1.0 + exp(-gate)) * up
}

/// The sum of what `term` makes of each value.
#[inline(always)]
pub(super) fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut parts = [0f32; PARTS];
    let mut chunks = values.chunks_exact(PARTS);
    for chunk in &mut chunks {
        for (part, value) in parts.iter_mut().zip(chunk) {
            *part += term(*value);
        }
    }
    for (part, value) in parts.iter_mut().zip(chunks.remainder()) {
        *part += term(*value);
    }
    let mut width = PARTS / 2;
    while width > 0 {
        for index in 0..width {
            parts[index] += parts[index + width];
        }
        width /= 2;
    }
    parts[0]
}

/// The largest value, NaN left out.
#[inline(always)]
pub(super) fn largest(values: &[f32]) -> f32 {
    let mut parts = [f32::NEG_INFINITY; PARTS];
    let mut chunks = values.chunks_exact(PARTS);
    for chunk in &mut chunks {
        for (part, value) in parts.iter_mut().zip(chunk) {
            *part = if *value > *part { *value } else { *part };
        }
    }
    parts.iter().chain(chunks.remainder()).fold(f32::NEG_INFINITY, |most, &value| most.max(value))
}

/// Root-mean-square normalisation (Zhang & Sennrich, 1910.07467).
#[inline(always)]
pub(super) fn norm(input: &[f32], weight: &[f32], epsilon: f32, output: &mut [f32]) {
    let mean = sum(input, |value| value * value) / input.len() as f32;
    let scale = (mean + epsilon).sqrt().recip();
    for ((out, value), weight) in output.iter_mut().zip(input).zip(weight) {
        *out = value * scale * weight;
    }
}

/// Turns scores into `e^(score - largest)` and gives their sum.
#[inline(always)]
pub(super) fn exponentials(scores: &mut [f32]) -> f32 {
    let largest = scores.iter().fold(f32::NEG_INFINITY, |largest, &score| largest.max(score));
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
    }
    sum(scores, |value| value)
}

/// Turns the leading dimensions of a head (Su et al., 2104.09864): `cosines` and `sines` of one half.
#[inline(always)]
pub(super) fn turn(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let half = cosines.len();
    let (first, rest) = head.split_at_mut(half);
    let second = &mut rest[..half];
    for index in 0..half {
        let (real, imaginary) = (first[index], second[index]);
        first[index] = real * cosines[index] - imaginary * sines[index];
        second[index] = imaginary * cosines[index] + real * sines[index];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exponentials_are_those_of_64_bits(x in -86.0f32..87.0) {
            let exact = f64::from(x).exp();
            let far = (f64::from(exp(x)) - exact).abs() / exact;
            prop_assert!(far < 2.5e-7, "{far:e} at {x}");
        }

        #[test]
        fn sums_are_those_of_64_bits(values in prop::collection::vec(-1f32..1.0, 0..200)) {
            let exact: f64 = values.iter().map(|&value| f64::from(value)).sum();
            prop_assert!((f64::from(sum(&values, |value| value)) - exact).abs() < 1e-4);
        }
    }

    #[test]
    fn the_largest_is_found_in_every_lane() {
        for place in 0..40 {
            let mut values = vec![-3.0; 40];
            values[place] = -1.0;
            assert_eq!(largest(&values), -1.0, "{place}");
        }
        assert_eq!(largest(&[]), f32::NEG_INFINITY);
    }

    #[test]
    fn what_cannot_be_said_ends_at_the_edges() {
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
        assert!(gated(f32::NAN, 1.0).is_nan());
        assert!((gated(1.0, 2.0) - 1.462_117_2).abs() < 1e-6);
        assert!(gated(-200.0, 1.0).abs() < 1e-30);
    }
}
