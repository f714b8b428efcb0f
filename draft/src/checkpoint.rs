//! Weights on disk: one `model.safetensors`, or several named by `model.safetensors.index.json`,
//! memory-mapped. Checks names, shapes and element types against what the configuration asks for
//! before a byte is copied, and copies piece by piece, giving mapped pages back as it goes, so that
//! loading needs little more memory than the model. Knows no architecture.

pub mod gguf;
mod llama2c;
mod quantised;
mod rows;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use crate::device::Compute;
use crate::error::ModelError;
use quantised::SCALE;

pub use quantised::quantise as rounded_rows;
pub(crate) use quantised::rounded_row;

pub use llama2c::Llama2c;
pub use rows::Rows;
pub use write::Stored as StoredAs;
pub(crate) use write::{Part, write};

/// A checkpoint of one file.
pub(crate) const SINGLE: &str = "model.safetensors";

/// The index of a checkpoint of several.
const INDEX: &str = "model.safetensors.index.json";

/// Ends of names of tensors that a checkpoint may hold although nothing needs them.
const IGNORED_ENDS: [&str; 2] = ["rotary_emb.inv_freq", "attn.bias"];

/// Parts of a checkpoint beside the language model: vision, and heads for several tokens at once.
const IGNORED_PARTS: [&str; 2] = ["model.visual.", "mtp."];

/// Where the language model stands in a checkpoint with a vision part, and where it stands alone.
const NESTED: (&str, &str) = ("model.language_model.", "model.");

/// A tied matrix may be stored under either name.
const TIED: (&str, &str) = ("model.embed_tokens.weight", "lm_head.weight");

/// Bytes that are copied at once.
const PIECE: usize = 256 << 10;

/// Elements that libtorch copies without starting threads.
const SERIAL: usize = 16 << 10;

/// A mapped file.
#[derive(Debug)]
struct Mapped {
    path: PathBuf,
    map: Mmap,
}

/// Where a tensor lies.
#[derive(Debug)]
struct Stored {
    file: usize,
    bytes: Range<usize>,
    dtype: Dtype,
    shape: Vec<usize>,
}

/// An opened checkpoint whose tensors are those that were asked for.
#[derive(Debug)]
pub struct Checkpoint {
    files: Vec<Mapped>,
    tensors: BTreeMap<String, Stored>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Whether a folder holds a checkpoint, whole or not.
    pub fn is_in(folder: &Path) -> bool {
        [SINGLE, INDEX].iter().any(|name| folder.join(name).exists())
    }

    /// Opens the checkpoint of a model folder and compares it with the `expected` names and shapes.
    /// A tied head may be present although it is not expected.
    pub fn open(folder: &Path, expected: &[(String, Vec<usize>)]) -> Result<Self, ModelError> {
        let mut checkpoint = Self { files: Vec::new(), tensors: BTreeMap::new() };
        for path in files(folder)? {
            checkpoint.add(path)?;
        }
        let wants_head = expected.iter().any(|(name, _)| name == TIED.1);
        if !wants_head
            && !checkpoint.tensors.contains_key(TIED.0)
            && let Some(head) = checkpoint.tensors.remove(TIED.1)
        {
            checkpoint.tensors.insert(TIED.0.to_owned(), head);
        }
        checkpoint.check(expected)?;
        Ok(checkpoint)
    }

    fn add(&mut self, path: PathBuf) -> Result<(), ModelError> {
        let map = map(&path)?;
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|error| {
            ModelError::Checkpoint { path: path.clone(), reason: error.to_string() }
        })?;
        // Behind the header and its length in 8 bytes.
        let data = 8 + header;
        for (name, info) in metadata.tensors() {
            let (first, end) = info.data_offsets;
            let name = match name.strip_prefix(NESTED.0) {
                Some(rest) => format!("{}{rest}", NESTED.1),
                None => name,
            };
            let stored = Stored {
                file: self.files.len(),
                bytes: data + first..data + end,
                dtype: info.dtype,
                shape: info.shape.clone(),
            };
            self.tensors.insert(name, stored);
        }
        self.files.push(Mapped { path, map });
        Ok(())
    }

    fn path(&self, file: usize) -> PathBuf {
        self.files.get(file).map_or_else(PathBuf::new, |mapped| mapped.path.clone())
    }

    fn check(&self, expected: &[(String, Vec<usize>)]) -> Result<(), ModelError> {
        for (name, shape) in expected {
            let Some(stored) = self.tensors.get(name) else {
                return Err(ModelError::Missing {
                    path: self.path(0),
                    name: name.clone(),
                    expected: shape.clone(),
                });
            };
            if stored.shape != *shape {
                return Err(ModelError::Shape {
                    path: self.path(stored.file),
                    name: name.clone(),
                    found: stored.shape.clone(),
                    expected: shape.clone(),
                });
            }
            self.check_type(name, stored)?;
        }
        let known = |name: &str| {
            expected.iter().any(|(expected, _)| expected == name)
                || name == TIED.1
                || self.scaled_by(name)
                || IGNORED_ENDS.iter().any(|end| name.ends_with(end))
                || IGNORED_PARTS.iter().any(|part| name.starts_with(part))
        };
        let mut extra = self.tensors.iter().filter(|(name, _)| !known(name));
        let Some((name, stored)) = extra.next() else { return Ok(()) };
        Err(ModelError::Extra {
            path: self.path(stored.file),
            count: 1 + extra.count(),
            name: name.clone(),
            found: stored.shape.clone(),
        })
    }

    /// Refuses element types that hold no weights, and whole numbers without their scales.
    fn check_type(&self, name: &str, stored: &Stored) -> Result<(), ModelError> {
        let path = self.path(stored.file);
        if stored.dtype != Dtype::I8 || stored.shape.len() != 2 {
            let found = format!("{:?}", stored.dtype);
            let error = || ModelError::DataType { path, name: name.to_owned(), found };
            return kind(stored.dtype).map(drop).ok_or_else(error);
        }
        let (name, rows) = (format!("{name}{SCALE}"), stored.shape[0]);
        let expected = vec![rows, 1];
        match self.tensors.get(&name) {
            Some(scales) if scales.shape == expected && scales.dtype == Dtype::F32 => Ok(()),
            Some(scales) => {
                Err(ModelError::Shape { path, name, found: scales.shape.clone(), expected })
            }
            None => Err(ModelError::Missing { path, name, expected }),
        }
    }

    /// Whether a name is that of a matrix's scales.
    fn scaled_by(&self, name: &str) -> bool {
        let matrix = name.strip_suffix(SCALE).and_then(|name| self.tensors.get(name));
        matrix.is_some_and(|matrix| matrix.dtype == Dtype::I8)
    }

    /// Copies one tensor, in the compute type and on the compute device.
    pub fn tensor(&self, name: &str, compute: Compute) -> Result<Tensor, ModelError> {
        self.stack(&[name.to_owned()], compute)
    }

    /// Copies tensors with the same number of columns into one, rows behind rows, in the compute
    /// type and on the compute device.
    pub fn stack(&self, names: &[String], compute: Compute) -> Result<Tensor, ModelError> {
        let parts: Vec<(&String, &Stored)> =
            names.iter().map(|name| (name, &self.tensors[name])).collect();
        let mut shape: Vec<i64> = parts[0].1.shape.iter().map(|&size| size as i64).collect();
        if let Some(rows) = shape.first_mut() {
            *rows = parts.iter().map(|(_, part)| part.shape[0] as i64).sum();
        }
        let whole = Tensor::f_empty(&shape, (compute.kind, compute.device))?;
        let flat = whole.view([-1]);
        let mut first = 0;
        for (name, part) in parts {
            first += match part.dtype {
                Dtype::I8 => self.copy_scaled(name, part, &flat, first)?,
                _ => self.copy(part, &flat, first)?,
            };
        }
        Ok(whole)
    }

    /// Reads a tensor row by row in 32-bit floats; a vector is one row.
    pub(crate) fn read_rows(&self, name: &str, each: &mut dyn FnMut(usize, &[f32])) {
        let stored = &self.tensors[name];
        let map = &self.files[stored.file].map;
        let columns = stored.shape.last().copied().unwrap_or(1).max(1);
        let scales = match stored.dtype {
            Dtype::I8 => self.floats(&format!("{name}{SCALE}")),
            _ => Vec::new(),
        };
        let size = stored.dtype.bitsize() / 8;
        let mut values = vec![0f32; columns];
        let mut read = stored.bytes.start;
        for (row, bytes) in map[stored.bytes.clone()].chunks_exact(columns * size).enumerate() {
            match stored.dtype {
                Dtype::F16 => {
                    widen(bytes, &mut values, |own| half::f16::from_le_bytes(own).to_f32());
                }
                Dtype::BF16 => {
                    widen(bytes, &mut values, |own| half::bf16::from_le_bytes(own).to_f32());
                }
                Dtype::I8 => {
                    let scale = scales[row];
                    widen(bytes, &mut values, |[own]: [u8; 1]| {
                        f32::from(own.cast_signed()) * scale
                    });
                }
                _ => widen(bytes, &mut values, f32::from_le_bytes),
            }
            each(row, &values);
            let end = stored.bytes.start + (row + 1) * columns * size;
            if end - read >= PIECE {
                release(map, end);
                read = end;
            }
        }
    }

    /// A stored tensor of 32-bit floats.
    fn floats(&self, name: &str) -> Vec<f32> {
        let own = &self.tensors[name];
        let bytes = self.files[own.file].map[own.bytes.clone()].chunks_exact(4);
        bytes.map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
    }

    /// Copies a stored tensor behind the first elements of `flat`, and gives how many it has.
    fn copy(&self, stored: &Stored, flat: &Tensor, first: i64) -> Result<i64, ModelError> {
        let map = &self.files[stored.file].map;
        let kind = kind(stored.dtype).unwrap_or(Kind::Float);
        let mut copied = 0;
        let mut at = stored.bytes.start;
        let size = kind.elt_size_in_bytes();
        for piece in map[stored.bytes.clone()].chunks(PIECE) {
            for part in piece.chunks(at_once(flat, PIECE / size) * size) {
                let count = (part.len() / size) as i64;
                let source = Tensor::f_from_data_size(part, &[count], kind)?;
                flat.f_narrow(0, first + copied, count)?.f_copy_(&source)?;
                copied += count;
            }
            at += piece.len();
            release(map, at);
        }
        Ok(copied)
    }

    /// As [`Self::copy`], of whole numbers with a scale for each row.
    fn copy_scaled(
        &self,
        name: &str,
        stored: &Stored,
        flat: &Tensor,
        first: i64,
    ) -> Result<i64, ModelError> {
        let map = &self.files[stored.file].map;
        let scales = self.floats(&format!("{name}{SCALE}"));
        let columns = stored.shape[1].max(1);
        let rows = (at_once(flat, PIECE) / columns).max(1);
        let (mut copied, mut at) = (0, stored.bytes.start);
        let pieces = map[stored.bytes.clone()].chunks(rows * columns);
        for (piece, scales) in pieces.zip(scales.chunks(rows)) {
            let values = quantised::values(piece, scales, columns);
            let count = values.len() as i64;
            flat.f_narrow(0, first + copied, count)?.f_copy_(&Tensor::f_from_slice(&values)?)?;
            at += piece.len();
            release(map, at);
            copied += count;
        }
        Ok(copied)
    }
}

fn widen<const SIZE: usize>(bytes: &[u8], values: &mut [f32], value: impl Fn([u8; SIZE]) -> f32) {
    for (own, bytes) in values.iter_mut().zip(bytes.as_chunks::<SIZE>().0) {
        *own = value(*bytes);
    }
}

/// Elements to be copied at once: `most`, but on the CPU fewer than libtorch starts threads for. They would
/// wait for each other behind every piece, on a busy machine for much longer than copying takes.
fn at_once(into: &Tensor, most: usize) -> usize {
    if into.device() == Device::Cpu { most.min(SERIAL) } else { most }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let single = folder.join(SINGLE);
    let index = folder.join(INDEX);
    if single.exists() || !index.exists() {
        return Ok(vec![single]);
    }
    let bytes =
        std::fs::read(&index).map_err(|source| ModelError::Read { path: index.clone(), source })?;
    let parsed: Index = serde_json::from_slice(&bytes).map_err(|error| ModelError::Config {
        path: index,
        reason: format!("no index of a sharded checkpoint ({error})"),
    })?;
    let mut names: Vec<&String> = parsed.weight_map.values().collect();
    names.sort();
    names.dedup();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

#[expect(unsafe_code, reason = "memory-mapping")]
fn map(path: &Path) -> Result<Mmap, ModelError> {
    let read = |source| ModelError::Read { path: path.into(), source };
    let file = File::open(path).map_err(read)?;
    // SAFETY: the map is read-only. A file that another process cuts short meanwhile would raise
    // SIGBUS, as with every reader of mapped checkpoints.
    unsafe { Mmap::map(&file) }.map_err(read)
}

/// Takes the pages before `end` out of this process's memory. All of them, since reading a piece may
/// bring pages before it back. That it cannot be done is no error.
#[expect(unsafe_code, reason = "advice on a mapping")]
fn release(map: &Mmap, end: usize) {
    // SAFETY: the pages are a file's and read-only: whoever reads them again gets the same bytes.
    let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, 0, end) };
}

fn kind(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        _ => None,
    }
}
