//! Weights on disk: one `model.safetensors`, or several named by `model.safetensors.index.json`,
//! memory-mapped. Checks names, shapes and element types against what the configuration asks for
//! before a byte is copied. Knows no architecture.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::device::Compute;
use crate::error::ModelError;

/// Tensors that a checkpoint may hold although nothing needs them.
const IGNORED: [&str; 2] = ["rotary_emb.inv_freq", "attn.bias"];

/// A tied matrix may be stored under either name: the one that is asked for, and the other.
const TIED: (&str, &str) = ("model.embed_tokens.weight", "lm_head.weight");

/// An opened checkpoint whose tensors are those that were asked for.
#[derive(Debug)]
pub struct Checkpoint {
    files: Vec<(PathBuf, Mmap)>,
    /// Which file holds a tensor.
    places: BTreeMap<String, usize>,
    /// Whether the tied matrix is stored as the head only.
    stands_for_embedding: bool,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens the checkpoint of a model folder and compares it with the `expected` names and shapes.
    /// A tied head may be present although it is not expected.
    pub fn open(folder: &Path, expected: &[(String, Vec<usize>)]) -> Result<Self, ModelError> {
        let mut checkpoint =
            Self { files: Vec::new(), places: BTreeMap::new(), stands_for_embedding: false };
        for path in files(folder)? {
            let map = map(&path)?;
            let index = checkpoint.files.len();
            checkpoint.files.push((path, map));
            let names: Vec<String> =
                checkpoint.parse(index)?.names().into_iter().map(str::to_owned).collect();
            checkpoint.places.extend(names.into_iter().map(|name| (name, index)));
        }
        let wants_head = expected.iter().any(|(name, _)| name == TIED.1);
        if let Some(&index) = checkpoint.places.get(TIED.1)
            && !wants_head
            && !checkpoint.places.contains_key(TIED.0)
        {
            checkpoint.stands_for_embedding = true;
            checkpoint.places.remove(TIED.1);
            checkpoint.places.insert(TIED.0.to_owned(), index);
        }
        checkpoint.check(expected)?;
        Ok(checkpoint)
    }

    /// The name under which a tensor is stored.
    fn stored_name<'a>(&self, name: &'a str) -> &'a str {
        if self.stands_for_embedding && name == TIED.0 { TIED.1 } else { name }
    }

    fn view<'a>(
        &self,
        views: &SafeTensors<'a>,
        path: &Path,
        name: &str,
    ) -> Result<TensorView<'a>, ModelError> {
        views.tensor(self.stored_name(name)).map_err(|error| ModelError::Checkpoint {
            path: path.into(),
            reason: error.to_string(),
        })
    }

    fn parse(&self, index: usize) -> Result<SafeTensors<'_>, ModelError> {
        let (path, map) = &self.files[index];
        SafeTensors::deserialize(map).map_err(|error| ModelError::Checkpoint {
            path: path.clone(),
            reason: error.to_string(),
        })
    }

    fn check(&self, expected: &[(String, Vec<usize>)]) -> Result<(), ModelError> {
        let views =
            (0..self.files.len()).map(|index| self.parse(index)).collect::<Result<Vec<_>, _>>()?;
        let first = self.files.first().map_or_else(PathBuf::new, |(path, _)| path.clone());
        for (name, shape) in expected {
            let Some(&index) = self.places.get(name) else {
                return Err(ModelError::Missing {
                    path: first,
                    name: name.clone(),
                    expected: shape.clone(),
                });
            };
            let path = self.files[index].0.clone();
            let view = self.view(&views[index], &path, name)?;
            if view.shape() != shape {
                return Err(ModelError::Shape {
                    path,
                    name: name.clone(),
                    found: view.shape().to_vec(),
                    expected: shape.clone(),
                });
            }
            kind(view.dtype()).ok_or_else(|| ModelError::DataType {
                path: path.clone(),
                name: name.clone(),
                found: format!("{:?}", view.dtype()),
            })?;
        }
        self.check_extra(expected, &views)
    }

    fn check_extra(
        &self,
        expected: &[(String, Vec<usize>)],
        views: &[SafeTensors<'_>],
    ) -> Result<(), ModelError> {
        let known = |name: &str| {
            expected.iter().any(|(expected, _)| expected == name)
                || name == "lm_head.weight"
                || IGNORED.iter().any(|suffix| name.ends_with(suffix))
        };
        let extra: Vec<(&String, &usize)> =
            self.places.iter().filter(|(name, _)| !known(name)).collect();
        let Some(&(name, &index)) = extra.first() else { return Ok(()) };
        let path = self.files[index].0.clone();
        let found = self.view(&views[index], &path, name)?.shape().to_vec();
        Err(ModelError::Extra { path, count: extra.len(), name: (*name).clone(), found })
    }

    /// Copies tensors with the same number of columns into one, rows behind rows, in the compute
    /// type and on the compute device.
    pub fn stack(&self, names: &[String], compute: Compute) -> Result<Tensor, ModelError> {
        let parts =
            names.iter().map(|name| self.tensor(name, compute)).collect::<Result<Vec<_>, _>>()?;
        match &parts[..] {
            [only] => Ok(only.shallow_clone()),
            _ => Ok(Tensor::f_cat(&parts, 0)?),
        }
    }

    /// Copies one tensor, in the compute type and on the compute device.
    pub fn tensor(&self, name: &str, compute: Compute) -> Result<Tensor, ModelError> {
        let index = self.places[name];
        let path = &self.files[index].0;
        let views = self.parse(index)?;
        let view = self.view(&views, path, name)?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let kind = kind(view.dtype()).unwrap_or(Kind::Float);
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)?;
        Ok(tensor.f_to_device(compute.device)?.f_to_kind(compute.kind)?)
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let single = folder.join("model.safetensors");
    let index = folder.join("model.safetensors.index.json");
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

fn kind(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        _ => None,
    }
}
