//! The parts that every decoder's layers are made of: linear maps, norms, the gated feed-forward
//! layer; and how they are read from a checkpoint. Knows no positions.

use tch::{Kind, Tensor};

use crate::checkpoint::Checkpoint;
use crate::device::Compute;
use crate::error::ModelError;

/// The type of what is summed over many elements: 32-bit floats, and 64-bit ones in a model of those.
pub(super) fn wide(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

/// A linear map; weights are `[out, in]`.
#[derive(Debug)]
pub(super) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    pub(super) fn apply(&self, input: &Tensor) -> Tensor {
        input.linear(&self.weight, self.bias.as_ref())
    }
}

/// Root-mean-square normalisation (Zhang & Sennrich, 1910.07467), computed in the wide type. A weight
/// of that type is applied before the result takes the input's type, any other after it.
#[derive(Debug)]
pub(super) struct RmsNorm {
    weight: Tensor,
    epsilon: f64,
}

impl RmsNorm {
    pub(super) fn apply(&self, input: &Tensor) -> Tensor {
        let kind = wide(input.kind());
        let wide = input.to_kind(kind);
        let mean_square = wide.square().mean_dim(-1i64, true, kind);
        let normed = wide * (mean_square + self.epsilon).rsqrt();
        if self.weight.kind() == kind {
            (normed * &self.weight).to_kind(input.kind())
        } else {
            &self.weight * normed.to_kind(input.kind())
        }
    }

    /// One norm for `first` heads with the weight of `self` and `second` heads with that of `other`.
    pub(super) fn for_heads(self, first: usize, other: &Self, second: usize) -> Self {
        let rows =
            |norm: &Self, heads: usize| norm.weight.unsqueeze(0).expand([heads as i64, -1], false);
        let weight = Tensor::cat(&[rows(&self, first), rows(other, second)], 0);
        Self { weight, epsilon: self.epsilon }
    }
}

/// A SiLU-gated feed-forward layer (Shazeer, 2002.05202).
#[derive(Debug)]
pub(super) struct FeedForward {
    gate_up: Linear,
    down: Linear,
}

impl FeedForward {
    pub(super) fn apply(&self, input: &Tensor) -> Tensor {
        let both = self.gate_up.apply(input);
        let width = both.size()[1] / 2;
        let gated = both.narrow(1, 0, width).silu() * both.narrow(1, width, width);
        self.down.apply(&gated)
    }
}

/// Reads parts from a checkpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loader<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) compute: Compute,
    pub(super) epsilon: f64,
}

impl Loader<'_> {
    /// A tensor in the compute type.
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        self.checkpoint.tensor(name, self.compute)
    }

    /// A tensor in the wide type.
    pub(super) fn wide_tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        self.checkpoint.tensor(name, Compute { kind: wide(self.compute.kind), ..self.compute })
    }

    /// One map, or several with the same input as one.
    pub(super) fn linear(
        &self,
        prefix: &str,
        names: &[&str],
        bias: bool,
    ) -> Result<Linear, ModelError> {
        let named = |part: &str| {
            names.iter().map(|name| format!("{prefix}.{name}.{part}")).collect::<Vec<_>>()
        };
        let weight = self.checkpoint.stack(&named("weight"), self.compute)?;
        let bias = bias.then(|| self.checkpoint.stack(&named("bias"), self.compute)).transpose()?;
        Ok(Linear { weight, bias })
    }

    /// A norm whose weight is stored as it is applied.
    pub(super) fn norm(&self, name: &str) -> Result<RmsNorm, ModelError> {
        let weight = self.tensor(&format!("{name}.weight"))?;
        Ok(RmsNorm { weight, epsilon: self.epsilon })
    }

    /// A norm whose weight is stored as its difference from 1.
    pub(super) fn centred_norm(&self, name: &str) -> Result<RmsNorm, ModelError> {
        let weight = self.wide_tensor(&format!("{name}.weight"))? + 1.0;
        Ok(RmsNorm { weight, epsilon: self.epsilon })
    }

    /// The feed-forward layer of a layer.
    pub(super) fn feed_forward(&self, layer: &str, bias: bool) -> Result<FeedForward, ModelError> {
        Ok(FeedForward {
            gate_up: self.linear(layer, &["mlp.gate_proj", "mlp.up_proj"], bias)?,
            down: self.linear(layer, &["mlp.down_proj"], bias)?,
        })
    }
}
