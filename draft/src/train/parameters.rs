//! The parameters of a model in training: 32-bit floats in one buffer, those that weight decay
//! touches first, with a view of it for each tensor of the checkpoint. Knows no gradient's use.

use std::collections::BTreeMap;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use crate::checkpoint::Checkpoint;
use crate::config::Shape;
use crate::device::Compute;
use crate::error::ModelError;
use crate::model::Weights;

/// Standard deviation of initial weights.
const INITIAL_DEVIATION: f64 = 0.02;

/// Parameters in training.
#[derive(Debug)]
pub struct Parameters {
    /// All of them.
    flat: Tensor,
    /// Views of `flat` that gradients are computed for.
    leaves: BTreeMap<String, Tensor>,
    /// Names in the order of `flat`.
    order: Vec<String>,
    /// How many at the beginning of `flat` weight decay touches.
    decayed: i64,
}

/// Whether weight decay touches a tensor: weights of linear maps only.
fn is_decayed(name: &str, shape: &[usize]) -> bool {
    shape.len() == 2 && name != "model.embed_tokens.weight" && name != "lm_head.weight"
}

impl Parameters {
    /// Parameters of zeros.
    fn zeros(shape: &Shape, device: Device) -> Self {
        let tensors = shape.tensors();
        let (decayed, rest): (Vec<_>, Vec<_>) =
            tensors.into_iter().partition(|(name, shape)| is_decayed(name, shape));
        let size = |list: &[(String, Vec<usize>)]| -> i64 {
            list.iter().map(|(_, shape)| shape.iter().product::<usize>() as i64).sum()
        };
        let (first, count) = (size(&decayed), size(&decayed) + size(&rest));
        let flat = Tensor::zeros([count], (Kind::Float, device));
        let (mut leaves, mut order, mut at) = (BTreeMap::new(), Vec::new(), 0);
        for (name, shape) in decayed.into_iter().chain(rest) {
            let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
            let count = shape.iter().product::<i64>();
            let view = flat.narrow(0, at, count).view(&shape[..]).detach();
            leaves.insert(name.clone(), view.set_requires_grad(true));
            order.push(name);
            at += count;
        }
        Self { flat, leaves, order, decayed: first }
    }

    /// Initial parameters: matrices from a normal law of deviation 0.02, norms 1 (or 0 where they are
    /// stored as their difference from 1), biases 0.
    pub fn initial(shape: &Shape, seed: u64, device: Device) -> Result<Self, ModelError> {
        let parameters = Self::zeros(shape, device);
        let _guard = tch::no_grad_guard();
        let is_centred = matches!(shape, Shape::Qwen35(_));
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for (name, leaf) in &parameters.leaves {
            let mut leaf = leaf.shallow_clone();
            if leaf.dim() >= 2 {
                leaf.f_copy_(&normal(&mut random, &leaf.size())?)?;
            } else if name.contains("norm") && !is_centred {
                let _ = leaf.fill_(1.0);
            }
        }
        Ok(parameters)
    }

    /// Those of a checkpoint.
    pub fn load(folder: &Path, shape: &Shape, device: Device) -> Result<Self, ModelError> {
        let parameters = Self::zeros(shape, device);
        let checkpoint = Checkpoint::open(folder, &shape.tensors())?;
        let _guard = tch::no_grad_guard();
        for (name, leaf) in &parameters.leaves {
            let stored = checkpoint.tensor(name, Compute { kind: Kind::Float, device })?;
            leaf.shallow_clone().f_copy_(&stored)?;
        }
        Ok(parameters)
    }

    /// All parameters, to be changed in place.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// How many at the beginning of [`Self::flat`] weight decay touches.
    pub fn decayed(&self) -> i64 {
        self.decayed
    }

    /// Name and value of each tensor.
    pub fn tensors(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.leaves.iter()
    }

    /// The gradients that have been summed up, in the order of [`Self::flat`], which are forgotten.
    pub fn take_gradients(&mut self) -> Result<Tensor, ModelError> {
        let gradients = self
            .order
            .iter()
            .map(|name| {
                let leaf = &self.leaves[name];
                let gradient = leaf.f_grad()?;
                let missing = !gradient.defined();
                Ok(if missing { leaf.f_zeros_like()? } else { gradient }.f_flatten(0, -1)?)
            })
            .collect::<Result<Vec<_>, ModelError>>()?;
        let flat = Tensor::f_cat(&gradients, 0)?;
        for leaf in self.leaves.values_mut() {
            leaf.zero_grad();
        }
        Ok(flat)
    }
}

impl Weights for Parameters {
    fn stack(&self, names: &[String], kind: Kind) -> Result<Tensor, ModelError> {
        let parts = names
            .iter()
            .map(|name| Ok(self.leaves[name].f_to_kind(kind)?))
            .collect::<Result<Vec<_>, ModelError>>()?;
        match &parts[..] {
            [only] => Ok(only.shallow_clone()),
            _ => Ok(Tensor::f_cat(&parts, 0)?),
        }
    }
}

/// Draws from a normal law by pairs (Box & Muller 1958), the same on every device.
fn normal(random: &mut ChaCha8Rng, shape: &[i64]) -> Result<Tensor, ModelError> {
    let count = shape.iter().product::<i64>() as usize;
    let values: Vec<f32> = (0..count.div_ceil(2))
        .flat_map(|_| {
            let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
            let angle = std::f64::consts::TAU * random.random::<f64>();
            [radius * angle.cos(), radius * angle.sin()]
        })
        .take(count)
        .map(|value| (value * INITIAL_DEVIATION) as f32)
        .collect();
    Ok(Tensor::f_from_slice(&values)?.f_view(shape)?)
}
