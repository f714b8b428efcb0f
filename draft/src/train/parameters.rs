//! The parameters of a model in training: 32-bit floats in one buffer, those that weight decay
//! touches first, with a view of it for each tensor of the checkpoint, and their gradients in another
//! of the same order. Knows no gradient's use.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use crate::checkpoint::Checkpoint;
use crate::config::Shape;
use crate::device::Compute;
use crate::error::ModelError;
use crate::model::product_kind;

/// Standard deviation of initial weights.
const INITIAL_DEVIATION: f64 = 0.02;

/// Parameters in training.
#[derive(Debug)]
pub struct Parameters {
    /// All of them.
    flat: Tensor,
    /// Sums of gradients, in the order of `flat`.
    gradients: Tensor,
    /// Where each tensor begins in `flat`, and a view of it.
    places: BTreeMap<String, (i64, Tensor)>,
    /// How many at the beginning of `flat` weight decay touches.
    decayed: i64,
    /// The values of `flat` rounded to a type, until they change.
    rounded: RefCell<Option<(Kind, Tensor)>>,
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
        let (mut places, mut at) = (BTreeMap::new(), 0);
        for (name, shape) in decayed.into_iter().chain(rest) {
            let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
            let count = shape.iter().product::<i64>();
            places.insert(name, (at, flat.narrow(0, at, count).view(&shape[..])));
            at += count;
        }
        let (gradients, rounded) = (flat.zeros_like(), RefCell::default());
        Self { flat, gradients, places, decayed: first, rounded }
    }

    /// Initial parameters: matrices from a normal law of deviation 0.02, norms 1 (or 0 where they are
    /// stored as their difference from 1), biases 0.
    pub fn initial(shape: &Shape, seed: u64, device: Device) -> Result<Self, ModelError> {
        let parameters = Self::zeros(shape, device);
        let _guard = tch::no_grad_guard();
        let is_centred = matches!(shape, Shape::Qwen35(_));
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for (name, (_, view)) in &parameters.places {
            let mut view = view.shallow_clone();
            if view.dim() >= 2 {
                view.f_copy_(&normal(&mut random, &view.size())?)?;
            } else if name.contains("norm") && !is_centred {
                let _ = view.fill_(1.0);
            }
        }
        Ok(parameters)
    }

    /// Begins the maps that write into the residual stream at 0, so that at first each layer passes on
    /// what it reads (`ReZero`, 2003.04887, for the reason).
    pub fn silence_layers(&mut self) {
        let _guard = tch::no_grad_guard();
        let silent =
            |name: &str| name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
        for (_, (_, view)) in self.places.iter().filter(|(name, _)| silent(name)) {
            let _ = view.shallow_clone().zero_();
        }
    }

    /// Those of a checkpoint.
    pub fn load(folder: &Path, shape: &Shape, device: Device) -> Result<Self, ModelError> {
        let parameters = Self::zeros(shape, device);
        let checkpoint = Checkpoint::open(folder, &shape.tensors())?;
        let _guard = tch::no_grad_guard();
        for (name, (_, view)) in &parameters.places {
            let stored =
                checkpoint.tensor(name, Compute { kind: Kind::Float, device, ..Compute::CPU })?;
            view.shallow_clone().f_copy_(&stored)?;
        }
        Ok(parameters)
    }

    /// All parameters.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// All parameters, to be changed in place.
    pub fn flat_mut(&mut self) -> &mut Tensor {
        *self.rounded.get_mut() = None;
        &mut self.flat
    }

    /// How many at the beginning of [`Self::flat`] weight decay touches.
    pub fn decayed(&self) -> i64 {
        self.decayed
    }

    /// Place and shape of each tensor that weight decay touches.
    pub(super) fn matrices(&self) -> Vec<(i64, Vec<i64>)> {
        let places = self.places.values().filter(|(first, _)| *first < self.decayed);
        places.map(|(first, view)| (*first, view.size())).collect()
    }

    /// Name and value of each tensor.
    pub fn tensors(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.places.iter().map(|(name, (_, view))| (name, view))
    }

    /// Sums of gradients, in the order of [`Self::flat`].
    pub fn gradients(&self) -> &Tensor {
        &self.gradients
    }

    /// The sum of the gradients of one tensor, to be added to in place.
    pub(super) fn gradient_of(&self, name: &str) -> Tensor {
        let (first, view) = &self.places[name];
        self.gradients.narrow(0, *first, view.numel() as i64).view(&view.size()[..])
    }

    /// Begins a new sum of gradients.
    pub(super) fn forget_gradients(&mut self) {
        let _ = self.gradients.zero_();
    }

    /// Where a tensor begins in [`Self::flat`], and a view of it.
    pub(super) fn place(&self, name: &str) -> (i64, &Tensor) {
        let (first, view) = &self.places[name];
        (*first, view)
    }

    /// All values, rounded to a type, in the type that products of it are computed in.
    pub(super) fn values(&self, kind: Kind) -> Result<Tensor, ModelError> {
        if kind == self.flat.kind() {
            return Ok(self.flat.shallow_clone());
        }
        let mut rounded = self.rounded.borrow_mut();
        if let Some((of, values)) = &*rounded
            && *of == kind
        {
            return Ok(values.shallow_clone());
        }
        let _guard = tch::no_grad_guard();
        let values = self.flat.f_to_kind(kind)?;
        let values = values.f_to_kind(product_kind(kind, values.device()))?;
        *rounded = Some((kind, values.shallow_clone()));
        Ok(values)
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
