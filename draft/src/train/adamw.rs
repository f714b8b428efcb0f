//! `AdamW` (Loshchilov & Hutter, 1711.05101) over one flat buffer, with a state that can be saved, and
//! clipping by the global norm. Nothing here waits for the device.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::parameters::Parameters;

/// Settings of the optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamWSettings {
    /// Highest learning rate.
    pub lr: f64,
    /// Decay of the first and second moment.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Weight decay, of weights of linear maps only.
    pub weight_decay: f64,
    /// Gradients longer than this are shortened to it.
    pub clip: f64,
}

/// The moments of all parameters, and how many updates they have seen.
#[derive(Debug)]
pub(super) struct AdamW {
    pub(super) settings: AdamWSettings,
    pub(super) first: Tensor,
    pub(super) second: Tensor,
    pub(super) updates: u64,
}

impl AdamW {
    /// Moments of zero.
    pub(super) fn new(settings: AdamWSettings, parameters: &Parameters) -> Self {
        let flat = parameters.flat();
        Self { settings, first: flat.zeros_like(), second: flat.zeros_like(), updates: 0 }
    }

    /// Moves the parameters against `gradients` (flat, in the order of the parameters) with the
    /// learning rate `factor` × the highest. Gives the norm of the gradients before clipping, on the
    /// device.
    pub(super) fn update(
        &mut self,
        parameters: &Parameters,
        gradients: Tensor,
        factor: f64,
    ) -> Tensor {
        let _guard = tch::no_grad_guard();
        let AdamWSettings { lr, betas, eps, weight_decay, clip } = self.settings;
        let lr = lr * factor;
        let norm = gradients.norm();
        let mut gradients = gradients;
        let shrink = ((&norm + 1e-6).reciprocal() * clip).clamp_max(1.0);
        gradients *= &shrink;
        self.updates += 1;
        let _ = self.first.lerp_(&gradients, 1.0 - betas.0);
        self.second *= betas.1;
        self.second += gradients.square_() * (1.0 - betas.1);
        let updates = self.updates as i32;
        let (first, second) = (1.0 - betas.0.powi(updates), 1.0 - betas.1.powi(updates));
        let mut flat = parameters.flat().shallow_clone();
        let mut decayed = flat.narrow(0, 0, parameters.decayed());
        decayed *= 1.0 - lr * weight_decay;
        let mut step = self.second.sqrt();
        step /= second.sqrt();
        step += eps;
        let _ = step.reciprocal_();
        step *= &self.first;
        step *= -lr / first;
        flat += step;
        norm.to_kind(Kind::Float)
    }
}
