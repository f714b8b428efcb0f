//! The tensors of a graph: constants, and what is made of a checkpoint's tensors, which are read one
//! by one as they are written. Knows no graph.

use anyhow::Result;
use draft::Compute;
use draft::checkpoint::{Checkpoint, rounded_rows};

use super::proto::{Element, Tensor};

/// What is done to a tensor of the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// `[out, in]` becomes `[in, out]`.
    Transposed,
    /// 1 is added.
    PlusOne,
    /// Minus the exponential.
    NegativeExponential,
    /// The whole numbers of its rows, as they stand.
    Rounded,
    /// The whole numbers of its rows, `[in, out]`.
    RoundedTransposed,
    /// The scales of the whole numbers, one for each row.
    Scales,
}

/// Where the numbers come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// They are these.
    Bytes(Vec<u8>),
    /// A tensor of the checkpoint.
    Checkpoint(String, Change),
}

/// A tensor of a graph, before it is read.
#[derive(Clone, Debug)]
pub(super) struct Initialiser {
    pub(super) name: String,
    pub(super) element: Element,
    pub(super) dims: Vec<usize>,
    pub(super) source: Source,
}

impl Initialiser {
    /// Its bytes.
    pub(super) fn size(&self) -> u64 {
        (self.dims.iter().product::<usize>() * self.element.size()) as u64
    }

    /// Its message, without the numbers.
    pub(super) fn message(&self) -> Tensor {
        Tensor {
            dims: self.dims.iter().map(|&size| size as i64).collect(),
            data_type: Some(self.element as i32),
            name: Some(self.name.clone()),
            ..Tensor::default()
        }
    }

    /// Its numbers, little-endian.
    pub(super) fn bytes(&self, checkpoint: &Checkpoint) -> Result<Vec<u8>> {
        let (name, change) = match &self.source {
            Source::Bytes(bytes) => return Ok(bytes.clone()),
            Source::Checkpoint(name, change) => (name, *change),
        };
        let (values, columns) = values(checkpoint, name)?;
        let floats = match change {
            Change::None => values,
            Change::Transposed => transposed(&values, columns),
            Change::PlusOne => values.iter().map(|value| value + 1.0).collect(),
            Change::NegativeExponential => values.iter().map(|value| -value.exp()).collect(),
            Change::Scales => rounded_rows(&values, columns).1,
            Change::Rounded => return Ok(unsigned(&rounded_rows(&values, columns).0)),
            Change::RoundedTransposed => {
                return Ok(unsigned(&transposed(&rounded_rows(&values, columns).0, columns)));
            }
        };
        Ok(match self.element {
            Element::Half => {
                floats.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect()
            }
            _ => floats.iter().flat_map(|value| value.to_le_bytes()).collect(),
        })
    }
}

/// A tensor of the checkpoint in 32-bit floats, and its columns.
pub(super) fn values(checkpoint: &Checkpoint, name: &str) -> Result<(Vec<f32>, usize)> {
    let tensor = checkpoint.tensor(name, Compute::CPU)?;
    let mut values = vec![0f32; tensor.numel()];
    let count = values.len();
    tensor.f_copy_data(&mut values, count)?;
    let columns = tensor.size().last().map_or(1, |&size| size as usize);
    Ok((values, columns))
}

fn unsigned(numbers: &[i8]) -> Vec<u8> {
    numbers.iter().map(|number| number.cast_unsigned()).collect()
}

/// Columns become rows.
fn transposed<T: Copy + Default>(values: &[T], columns: usize) -> Vec<T> {
    let rows = values.len() / columns.max(1);
    let mut turned = vec![T::default(); values.len()];
    for (row, own) in values.chunks_exact(columns).enumerate() {
        for (column, &value) in own.iter().enumerate() {
            turned[column * rows + row] = value;
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows() {
        assert_eq!(transposed(&[1, 2, 3, 4, 5, 6], 3), [1, 4, 2, 5, 3, 6]);
    }
}
