//! In which precision a model is trained, and the scaling of the loss that 16-bit floats need.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::error::ModelError;

/// The type of linear maps and attention in training. Parameters, their moments, the residual stream,
/// norms and losses are in 32-bit floats always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "dtype", rename_all = "lowercase", from = "Written")]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// `bfloat16`.
    Bf16,
    /// 16-bit floats with a scaled loss.
    Fp16 {
        /// How many of the first layers are in 32-bit floats.
        wide_layers: usize,
    },
}

/// A [`Precision`] as it is read, which refuses what it does not know.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Precision")]
struct Written {
    /// The type of linear maps and attention.
    dtype: Width,
    /// Of 16-bit floats: how many of the first layers are in 32-bit floats.
    #[serde(default)]
    wide_layers: usize,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Width {
    /// 32-bit floats.
    Fp32,
    /// `bfloat16`.
    Bf16,
    /// 16-bit floats with a scaled loss.
    Fp16,
}

impl From<Written> for Precision {
    fn from(Written { dtype, wide_layers }: Written) -> Self {
        match dtype {
            Width::Fp32 => Self::Fp32,
            Width::Bf16 => Self::Bf16,
            Width::Fp16 => Self::Fp16 { wide_layers },
        }
    }
}

impl Precision {
    /// The type of linear maps.
    pub fn kind(self) -> Kind {
        self.kinds().0
    }

    /// The type of linear maps, and how many of the first layers are in 32-bit floats all the same.
    pub(super) fn kinds(self) -> (Kind, usize) {
        match self {
            Self::Fp32 => (Kind::Float, 0),
            Self::Bf16 => (Kind::BFloat16, 0),
            Self::Fp16 { wide_layers } => (Kind::Half, wide_layers),
        }
    }
}

/// The dynamic scale of the loss (Micikevicius et al., 1710.03740), by the rule and constants of
/// `PyTorch`'s `GradScaler`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LossScale {
    scale: f64,
    /// Updates since the scale changed.
    good: u32,
}

const FIRST: f64 = 65_536.0;
const INTERVAL: u32 = 2_000;

impl LossScale {
    /// The scale to begin with; none but in 16-bit floats.
    pub(super) fn new(precision: Precision) -> Option<Self> {
        matches!(precision, Precision::Fp16 { .. }).then_some(Self { scale: FIRST, good: 0 })
    }

    /// What the loss is multiplied by.
    pub(super) fn scale(self) -> f64 {
        self.scale
    }

    /// Takes the scale out of gradients. `false` where they overflowed: the update is to be left
    /// out, and the scale is halved.
    pub(super) fn unscale(&mut self, gradients: &mut Tensor) -> Result<bool, ModelError> {
        *gradients *= 1.0 / self.scale;
        // Every infinity and every NaN makes the sum one.
        let sum = gradients.f_sum(Kind::Float)?.f_double_value(&[])?;
        self.count(sum.is_finite());
        Ok(sum.is_finite())
    }

    fn count(&mut self, is_finite: bool) {
        if !is_finite {
            *self = Self { scale: self.scale * 0.5, good: 0 };
            return;
        }
        self.good += 1;
        if self.good == INTERVAL {
            *self = Self { scale: self.scale * 2.0, good: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_falls_at_once_and_rises_after_a_while() {
        let mut scale = LossScale::new(Precision::Fp16 { wide_layers: 2 }).unwrap();
        let mut overflown = Tensor::from_slice(&[1.0f32, f32::INFINITY, -f32::INFINITY]);
        assert!(!scale.unscale(&mut overflown).unwrap());
        assert_eq!(scale.scale(), FIRST / 2.0);
        let mut fine = Tensor::from_slice(&[32_768.0f32]);
        assert!(scale.unscale(&mut fine).unwrap());
        assert_eq!(fine.double_value(&[0]), 1.0);
        (1..INTERVAL).for_each(|_| scale.count(true));
        assert_eq!(scale.scale(), FIRST);
    }
}
