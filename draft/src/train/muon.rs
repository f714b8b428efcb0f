//! Muon (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon>): the momentum of a matrix is
//! made orthogonal, nearly, by five Newton–Schulz iterations in bf16 before it is subtracted, so that
//! all its directions are learnt at one speed. For weights of linear maps; what else a model has is
//! `adamw`'s. Steps are 0.2 · √(longer side) times as long, the size of `AdamW`'s (Liu et al.,
//! 2502.16982), so that one learning rate serves both.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Settings of Muon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MuonSettings {
    /// Decay of the momentum; the step looks ahead by it (Nesterov).
    pub momentum: f64,
}

/// Coefficients of the quintic, chosen for its slope at zero.
const QUINTIC: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);
const ITERATIONS: usize = 5;
const EPSILON: f64 = 1e-7;

/// Nearly the orthogonal matrix next to `[rows, columns]`: its singular values come near 1.
fn orthogonal(matrix: &Tensor) -> Tensor {
    let (a, b, c) = QUINTIC;
    let is_tall = matrix.size()[0] > matrix.size()[1];
    let mut x = matrix.to_kind(Kind::BFloat16);
    if is_tall {
        x = x.tr();
    }
    x = &x / x.norm().clamp_min(EPSILON);
    for _ in 0..ITERATIONS {
        let gram = x.matmul(&x.tr());
        let update = gram.matmul(&gram) * c + gram * b;
        x = update.matmul(&x) + x * a;
    }
    if is_tall { x.tr() } else { x }
}

/// Moves one matrix against its gradient, and its momentum with it.
pub(super) fn step(
    (weights, momentum): (&mut Tensor, &mut Tensor),
    gradient: &Tensor,
    settings: MuonSettings,
    (lr, weight_decay): (f64, f64),
) {
    let _ = momentum.lerp_(gradient, 1.0 - settings.momentum);
    let ahead = gradient.lerp(momentum, settings.momentum);
    let longer = weights.size().into_iter().max().unwrap_or(1) as f64;
    *weights *= 1.0 - lr * weight_decay;
    *weights += orthogonal(&ahead).to_kind(weights.kind()) * (-lr * 0.2 * longer.sqrt());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singular_values_come_near_one() {
        tch::manual_seed(3);
        for size in [[24, 64], [64, 24], [32, 32]] {
            let matrix = Tensor::randn(size, (Kind::Float, tch::Device::Cpu)) * 7.0;
            let made = orthogonal(&matrix).to_kind(Kind::Float);
            assert_eq!(made.size(), size);
            let (_, values, _) = made.svd(true, true);
            let (least, most) = (values.min().double_value(&[]), values.max().double_value(&[]));
            assert!(least > 0.3 && most < 1.4, "{size:?}: {least} to {most}");
            // The directions stay: the inner product with the matrix is that of its own.
            let (_, own, _) = matrix.svd(true, true);
            let along = (&made * &matrix).sum(Kind::Float).double_value(&[]);
            let nuclear = own.sum(Kind::Float).double_value(&[]);
            assert!(along > 0.6 * nuclear, "{size:?}: {along} of {nuclear}");
        }
    }
}
