//! What rounding matrices to 8 bits does to weights. Knows no file.

use anyhow::Result;
use draft::Compute;
use draft::checkpoint::{Checkpoint, rounded_rows};

/// Sums over all values of all matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rounding {
    /// Of squared differences.
    pub errors: f64,
    /// Of squares.
    pub squares: f64,
}

impl Rounding {
    /// Of the matrices of a checkpoint, rounded row by row.
    pub fn of(checkpoint: &Checkpoint, tensors: &[(String, Vec<usize>)]) -> Result<Self> {
        let mut sums = Self::default();
        for (name, shape) in tensors.iter().filter(|(_, shape)| shape.len() == 2) {
            let tensor = checkpoint.tensor(name, Compute::CPU)?;
            let mut values = vec![0f32; tensor.numel()];
            let count = values.len();
            tensor.f_copy_data(&mut values, count)?;
            sums.add(&values, shape[1]);
        }
        Ok(sums)
    }

    /// Adds a matrix.
    fn add(&mut self, values: &[f32], columns: usize) {
        let (numbers, scales) = rounded_rows(values, columns);
        let rows = values.chunks(columns).zip(numbers.chunks(columns)).zip(&scales);
        for ((row, numbers), &scale) in rows {
            for (&value, &number) in row.iter().zip(numbers) {
                self.errors += f64::from(value - f32::from(number) * scale).powi(2);
                self.squares += f64::from(value).powi(2);
            }
        }
    }

    /// The root of the mean squared difference, as a share of that of the values.
    pub fn share(&self) -> f64 {
        if self.squares > 0.0 { (self.errors / self.squares).sqrt() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_the_rows_own_scales() {
        let mut sums = Rounding::default();
        // Steps of 1/127 and 100/127: 0.5 lies between two of the first, and 0 is met.
        sums.add(&[1.0, 0.5, 0.0, 100.0, -100.0, 0.0], 3);
        let off = 64.0 / 127.0 - 0.5;
        assert!((sums.errors - off * off).abs() < 1e-9 && (sums.squares - 20_001.25).abs() < 1e-9);
        assert!((sums.share() - off / 20_001.25f64.sqrt()).abs() < 1e-9);
        assert_eq!(Rounding::default().share(), 0.0);
    }
}
