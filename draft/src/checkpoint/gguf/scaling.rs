//! Llama 3.1's change of the rotary frequencies as GGUF has it: a tensor of what each frequency is
//! divided by. The four numbers that transformers has instead are found again by trying.

use std::f32::consts::PI;

use crate::config::Llama3Scaling;

/// What has been seen in models, to be tried: wavelengths as shares of the original context.
const LOW: [f64; 3] = [1.0, 0.5, 2.0];
const HIGH: [f64; 4] = [4.0, 2.0, 8.0, 16.0];

/// How far a factor may be from one that was found, relatively.
const TOLERANCE: f32 = 1e-5;

/// What each frequency is divided by, in 32-bit floats and in the order of llama.cpp's converter.
pub(super) fn factors(theta: f64, head: usize, scaling: &Llama3Scaling) -> Vec<f32> {
    let (low, high) = (scaling.low_freq_factor as f32, scaling.high_freq_factor as f32);
    let (factor, original) =
        (scaling.factor as f32, scaling.original_max_position_embeddings as f32);
    (0..head / 2)
        .map(|pair| {
            let frequency = 1.0 / (theta as f32).powf((2 * pair) as f32 / head as f32);
            let wavelength = 2.0 * PI / frequency;
            if wavelength < original / high {
                1.0
            } else if wavelength > original / low {
                factor
            } else {
                let smooth = (original / wavelength - low) / (high - low);
                1.0 / ((1.0 - smooth) / factor + smooth)
            }
        })
        .collect()
}

/// The numbers that have these factors, for a model of so many positions.
pub(super) fn recognised(
    found: &[f32],
    (theta, head): (f64, usize),
    context: usize,
) -> Option<Llama3Scaling> {
    let factor = found.iter().fold(1f32, |largest, &value| largest.max(value));
    let factor = factor.to_string().parse().ok()?;
    // 8192 first: where the factors leave a choice, it is Llama's.
    let powers = (8..=20).map(|power| 1usize << power);
    let originals: Vec<usize> = [8192, context].into_iter().chain(powers).collect();
    let choices = LOW.iter().flat_map(|&low| HIGH.iter().map(move |&high| (low, high)));
    for (low_freq_factor, high_freq_factor) in choices {
        for &original in &originals {
            let scaling = Llama3Scaling {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings: original as f64,
            };
            let own = factors(theta, head, &scaling);
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= TOLERANCE * b.abs();
            if own.len() == found.len() && own.iter().zip(found).all(near) {
                return Some(scaling);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_found_again() {
        for (factor, original, head) in [(32.0, 8192.0, 64), (8.0, 8192.0, 128), (4.0, 512.0, 32)] {
            let scaling = Llama3Scaling {
                factor,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_max_position_embeddings: original,
            };
            let found = factors(500_000.0, head, &scaling);
            assert_eq!(found[0], 1.0);
            assert_eq!(found[head / 2 - 1], factor as f32);
            let own = recognised(&found, (500_000.0, head), 131_072).unwrap();
            assert_eq!(factors(500_000.0, head, &own), found);
        }
        assert!(recognised(&[1.0, 3.0, 2.0, 5.0], (10_000.0, 8), 512).is_none());
    }
}
