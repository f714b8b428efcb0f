//! The parts that every decoder's layers are made of: linear maps, norms, the gated feed-forward
//! layer; and how they are read from a checkpoint. Knows no positions.

use tch::{Device, Kind, Tensor};

use crate::error::ModelError;

/// The type of what is summed over many elements: 32-bit floats, and 64-bit ones in a model of those.
pub(super) fn wide(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

/// The type in which products of `kind` are computed. libtorch multiplies 16-bit floats other than
/// `bfloat16` number by number on a CPU, 4 to 80 times slower than 32-bit ones, as their rows lie. Their
/// products are those of wider copies there, rounded back, which is what a GPU's tensor cores do.
pub(crate) fn product_kind(kind: Kind, device: Device) -> Kind {
    if kind == Kind::Half && device == Device::Cpu { Kind::Float } else { kind }
}

/// A linear map; weights are `[out, in]`.
#[derive(Debug)]
pub(crate) struct Linear {
    /// Of the type that products are computed in.
    pub(crate) weight: Tensor,
    bias: Option<Tensor>,
    /// The type of inputs and outputs.
    pub(crate) kind: Kind,
}

impl Linear {
    /// A map without bias.
    pub(super) fn new(weight: Tensor, kind: Kind) -> Self {
        Self { weight, bias: None, kind }
    }

    /// The map of some rows only.
    pub(super) fn of_rows(&self, rows: &Tensor) -> Result<Self, ModelError> {
        let bias = self.bias.as_ref().map(|bias| bias.f_index_select(0, rows)).transpose()?;
        Ok(Self { weight: self.weight.f_index_select(0, rows)?, bias, kind: self.kind })
    }

    /// Maps an input.
    pub(super) fn apply(&self, input: &Tensor) -> Tensor {
        let input = input.to_kind(self.kind).to_kind(self.weight.kind());
        input.linear(&self.weight, self.bias.as_ref()).to_kind(self.kind)
    }
}

/// Root-mean-square normalisation (Zhang & Sennrich, 1910.07467), computed in the wide type. A weight
/// of that type is applied before the result takes the input's type, any other after it.
#[derive(Debug)]
pub(crate) struct RmsNorm {
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
pub(crate) struct FeedForward {
    gate_up: Linear,
    down: Linear,
}

impl FeedForward {
    pub(super) fn apply(&self, input: &Tensor) -> Tensor {
        let halves = self.gate_up.apply(input).chunk(2, -1);
        let gated = halves[0].silu() * &halves[1];
        self.down.apply(&gated)
    }
}

/// Where a model's tensors come from: a checkpoint, or parameters in training.
pub(crate) trait Weights {
    /// Tensors with the same number of columns as one, rows behind rows, of the given type.
    fn stack(&self, names: &[String], kind: Kind) -> Result<Tensor, ModelError>;
}

/// Reads parts of a model.
#[derive(Clone, Copy)]
pub(crate) struct Loader<'a> {
    weights: &'a dyn Weights,
    /// The type of linear maps.
    pub(super) kind: Kind,
    /// How many of the first layers are in the wide type all the same.
    wide_layers: usize,
    /// Whether norms and the embedding are in the wide type, and with them the residual stream.
    wide_stream: bool,
    epsilon: f64,
}

impl<'a> Loader<'a> {
    /// Reads everything in one type.
    pub(crate) fn new(weights: &'a dyn Weights, kind: Kind, epsilon: f64) -> Self {
        Self { weights, kind, wide_layers: 0, wide_stream: false, epsilon }
    }

    /// Reads linear maps in one type, but for some of the first layers, and the rest in the wide
    /// type.
    pub(crate) fn for_training(
        weights: &'a dyn Weights,
        kind: Kind,
        wide_layers: usize,
        epsilon: f64,
    ) -> Self {
        Self { weights, kind, wide_layers, wide_stream: true, epsilon }
    }

    /// The loader of one layer.
    pub(super) fn of_layer(self, index: usize) -> Self {
        let kind = if index < self.wide_layers { wide(self.kind) } else { self.kind };
        Self { kind, ..self }
    }

    /// A tensor in the type of linear maps.
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        self.weights.stack(&[name.to_owned()], self.kind)
    }

    /// A norm's weight or the embedding.
    pub(super) fn outer_tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        if self.wide_stream { self.wide_tensor(name) } else { self.tensor(name) }
    }

    /// A tensor in the wide type.
    pub(super) fn wide_tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        self.weights.stack(&[name.to_owned()], wide(self.kind))
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
        let weight = self.weights.stack(&named("weight"), self.kind)?;
        let bias = bias.then(|| self.weights.stack(&named("bias"), self.kind)).transpose()?;
        Ok(Linear { weight, bias, kind: self.kind })
    }

    /// A norm whose weight is stored as it is applied.
    pub(super) fn norm(&self, name: &str) -> Result<RmsNorm, ModelError> {
        let weight = self.outer_tensor(&format!("{name}.weight"))?;
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
