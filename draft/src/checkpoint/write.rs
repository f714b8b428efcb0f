//! Weights on their way to the disk: tensors in the type that is asked for, files of a bounded size,
//! and the index that names them. Knows no architecture.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;
use tch::{Device, Kind, Tensor};

use super::quantised::{SCALE, quantise};
use super::{Checkpoint, INDEX, SINGLE};
use crate::device::Compute;
use crate::error::ModelError;

/// The element type of weights on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// 32-bit floats.
    Fp32,
    /// `bfloat16`.
    Bf16,
    /// 16-bit floats.
    Fp16,
    /// Matrices as 8-bit whole numbers with a 32-bit scale for each row, the rest in 32-bit floats.
    Int8,
}

/// A tensor on its way to a file.
pub(crate) struct Part {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Part {
    /// A tensor as floats of a kind.
    pub(crate) fn of(name: &str, tensor: &Tensor, kind: Kind) -> Result<Self, ModelError> {
        let tensor = tensor.detach().f_to_device(Device::Cpu)?.f_to_kind(kind)?.contiguous();
        let dtype = match kind {
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::BF16,
            _ => Dtype::F32,
        };
        // As bytes, since tch takes `bf16` for another kind.
        let mut bytes = vec![0u8; tensor.numel() * kind.elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        let shape = tensor.size().iter().map(|&size| size as usize).collect();
        Ok(Self { name: name.to_owned(), dtype, shape, bytes })
    }

    /// A tensor as it is stored: one part, or a matrix and its scales.
    fn stored(name: &str, tensor: &Tensor, stored: Stored) -> Result<Vec<Self>, ModelError> {
        let kind = match stored {
            Stored::Int8 if tensor.dim() == 2 => return Self::quantised(name, tensor),
            Stored::Int8 | Stored::Fp32 => Kind::Float,
            Stored::Bf16 => Kind::BFloat16,
            Stored::Fp16 => Kind::Half,
        };
        Ok(vec![Self::of(name, tensor, kind)?])
    }

    fn quantised(name: &str, tensor: &Tensor) -> Result<Vec<Self>, ModelError> {
        let shape: Vec<usize> = tensor.size().iter().map(|&size| size as usize).collect();
        let mut values = vec![0f32; tensor.numel()];
        let count = values.len();
        tensor.f_to_kind(Kind::Float)?.contiguous().f_copy_data(&mut values, count)?;
        let (numbers, scales) = quantise(&values, shape[1]);
        let scales = Self {
            name: format!("{name}{SCALE}"),
            dtype: Dtype::F32,
            shape: vec![shape[0], 1],
            bytes: scales.iter().flat_map(|scale| scale.to_le_bytes()).collect(),
        };
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Ok(vec![Self { name: name.to_owned(), dtype: Dtype::I8, shape, bytes }, scales])
    }
}

/// Writes one file and brings it to the disk.
pub(crate) fn write(
    path: &Path,
    tensors: &[Part],
    more: Option<(&str, String)>,
) -> Result<(), ModelError> {
    let failed = |reason: String| ModelError::Write { path: path.into(), reason };
    let mut metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    metadata.extend(more.map(|(key, value)| (key.to_owned(), value)));
    let views = tensors
        .iter()
        .map(|part| {
            let view = TensorView::new(part.dtype, part.shape.clone(), &part.bytes);
            Ok((part.name.as_str(), view.map_err(|error| failed(error.to_string()))?))
        })
        .collect::<Result<Vec<_>, ModelError>>()?;
    safetensors::serialize_to_file(views, Some(metadata), path)
        .map_err(|error| failed(error.to_string()))?;
    // The bytes are on the disk before any name says so.
    File::open(path)
        .and_then(|file| allow_reading(&file).and_then(|()| file.sync_all()))
        .map_err(|error| failed(error.to_string()))
}

/// Lets others read a file that safetensors made for its owner alone.
#[cfg(unix)]
fn allow_reading(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn allow_reading(_file: &File) -> std::io::Result<()> {
    Ok(())
}

/// Bytes that a tensor of this shape takes.
fn size(shape: &[usize], stored: Stored) -> usize {
    let count: usize = shape.iter().product();
    match stored {
        Stored::Int8 if shape.len() == 2 => count + 4 * shape[0],
        Stored::Int8 | Stored::Fp32 => 4 * count,
        Stored::Bf16 | Stored::Fp16 => 2 * count,
    }
}

/// The tensors of each file: in their order, and as many in a file as `limit` bytes hold.
fn plan(tensors: &[(String, Vec<usize>)], stored: Stored, limit: usize) -> Vec<Vec<&str>> {
    let (mut files, mut left): (Vec<Vec<&str>>, _) = (Vec::new(), 0);
    for (name, shape) in tensors {
        let size = size(shape, stored);
        if let Some(file) = files.last_mut().filter(|_| size <= left) {
            file.push(name);
        } else {
            files.push(vec![name]);
            left = limit.max(size);
        }
        left -= size;
    }
    files
}

impl Checkpoint {
    /// Writes the `tensors` into a folder, as files of at most `limit` bytes of weights each (a
    /// single tensor may be larger): `model.safetensors`, or several with their index. Needs memory
    /// for one file.
    pub fn write(
        &self,
        folder: &Path,
        tensors: &[(String, Vec<usize>)],
        (stored, limit): (Stored, usize),
    ) -> Result<(), ModelError> {
        let files = plan(tensors, stored, limit);
        let name = |index: usize| match files.len() {
            1 => SINGLE.to_owned(),
            count => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
        };
        let (mut places, mut total) = (BTreeMap::new(), 0);
        let compute = Compute::CPU;
        for (index, names) in files.iter().enumerate() {
            let mut parts = Vec::new();
            for tensor in names {
                parts.extend(Part::stored(tensor, &self.tensor(tensor, compute)?, stored)?);
            }
            for part in &parts {
                places.insert(part.name.clone(), name(index));
                total += part.bytes.len();
            }
            write(&folder.join(name(index)), &parts, None)?;
        }
        if files.len() > 1 {
            let path = folder.join(INDEX);
            let index = json!({"metadata": {"total_size": total}, "weight_map": places});
            std::fs::write(&path, format!("{index:#}\n"))
                .map_err(|error| ModelError::Write { path, reason: error.to_string() })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_filled_in_order() {
        let tensors: Vec<(String, Vec<usize>)> =
            [("a", vec![4, 4]), ("b", vec![4]), ("c", vec![30]), ("d", vec![2, 2])]
                .map(|(name, shape)| (name.to_owned(), shape))
                .into();
        assert_eq!(plan(&tensors, Stored::Fp32, 100), [vec!["a", "b"], vec!["c"], vec!["d"]]);
        assert_eq!(plan(&tensors, Stored::Bf16, 100), [vec!["a", "b", "c"], vec!["d"]]);
        // 16 + 16, then 16, 120, and 4 + 8.
        assert_eq!(plan(&tensors, Stored::Int8, 180), [vec!["a", "b", "c", "d"]]);
        assert_eq!(plan(&tensors, Stored::Int8, 179), [vec!["a", "b", "c"], vec!["d"]]);
    }
}
