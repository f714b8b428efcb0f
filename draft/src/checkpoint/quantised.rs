//! Matrices as 8-bit whole numbers with a scale for each row. Pure numbers.

/// What the name of a matrix's scales has behind the name of the matrix.
pub(super) const SCALE: &str = "_scale";

/// The largest whole number; the smallest is its negative, so that every row is symmetric about 0.
const LARGEST: f32 = 127.0;

/// Whole numbers and the scale of each row: a value is its number times the scale, and at most half a
/// scale away from what it was.
pub fn quantise(values: &[f32], columns: usize) -> (Vec<i8>, Vec<f32>) {
    let (mut numbers, mut scales) = (Vec::with_capacity(values.len()), Vec::new());
    for row in values.chunks(columns) {
        let (own, scale) = rounded_row(row);
        numbers.extend(own);
        scales.push(scale);
    }
    (numbers, scales)
}

/// The whole numbers of one row, and its scale.
pub(crate) fn rounded_row(row: &[f32]) -> (Vec<i8>, f32) {
    let largest = row.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let scale = if largest > 0.0 { largest / LARGEST } else { 1.0 };
    (row.iter().map(|value| (value / scale).round() as i8).collect(), scale)
}

/// The values that whole numbers of rows of `columns` stand for.
pub(super) fn values(numbers: &[u8], scales: &[f32], columns: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(numbers.len());
    for (row, scale) in numbers.chunks(columns).zip(scales) {
        values.extend(row.iter().map(|&number| f32::from(number as i8) * scale));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_stay_within_half_a_step(rows in prop::collection::vec(prop::array::uniform5(-3.0f32..3.0), 1..9)) {
            let flat = rows.concat();
            let (numbers, scales) = quantise(&flat, 5);
            let bytes: Vec<u8> = numbers.iter().map(|&number| number as u8).collect();
            let found = values(&bytes, &scales, 5);
            for (index, (found, value)) in found.iter().zip(&flat).enumerate() {
                let scale = scales[index / 5];
                prop_assert!((found - value).abs() <= 0.5001 * scale, "{found} and {value}");
            }
            prop_assert!(numbers.chunks(5).all(|row| row.iter().any(|n| n.unsigned_abs() == 127)));
        }
    }

    #[test]
    fn a_row_of_zeros_stays_one() {
        let (numbers, scales) = quantise(&[0.0, 0.0, 1.0, -2.0], 2);
        assert_eq!((numbers, scales), (vec![0, 0, 64, -127], vec![1.0, 2.0 / 127.0]));
    }
}
