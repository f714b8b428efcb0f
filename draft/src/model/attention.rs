//! Rotary grouped-query attention (Ainslie et al., 2305.13245) over a cache, and Qwen3.5's additions
//! to it: norms over heads and an output gate. Batch size 1.

use tch::Tensor;

use super::blocks::causal;
use super::layers::{Linear, RmsNorm};
use super::placement::{Placement, View};
use crate::cache::KvCache;
use crate::config::Decoder;
use crate::error::ModelError;
use crate::rope::Rotation;

/// Queries of one key head, up to which those of several query heads are read as one.
const FEW: i64 = 256;

/// The attention of one layer.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) heads: i64,
    pub(super) kv_heads: i64,
    pub(super) head_dim: i64,
    /// Queries, keys and values in one map. With a gate, each query head is followed by its gate.
    pub(super) inputs: Linear,
    pub(super) output: Linear,
    /// Norm over each query and key head, `[heads + kv_heads, head_dim]`.
    pub(super) head_norm: Option<RmsNorm>,
    /// Whether the output is multiplied by a sigmoid of the gate.
    pub(super) gated: bool,
    /// Which layer of the cache is its own.
    pub(super) slot: usize,
}

/// The input, mapped to heads `[…, heads, head_dim]`.
struct Heads {
    queries_keys: Tensor,
    values: Tensor,
    gate: Option<Tensor>,
}

impl Attention {
    /// A plain attention layer with the sizes of a decoder.
    pub(super) fn new(sizes: &Decoder, inputs: Linear, output: Linear, slot: usize) -> Self {
        Self {
            heads: sizes.heads as i64,
            kv_heads: sizes.kv_heads as i64,
            head_dim: sizes.head_dim as i64,
            inputs,
            output,
            head_norm: None,
            gated: false,
            slot,
        }
    }

    /// Maps `[n, hidden]` to `[n, hidden]`, and writes keys and values into the cache.
    pub(super) fn forward(
        &self,
        input: &Tensor,
        placement: &Placement,
        cache: &mut KvCache,
    ) -> Result<Tensor, ModelError> {
        let Heads { queries_keys, values, gate } = self.heads(input);
        let turned = placement.rotation.apply(&queries_keys).transpose(0, 1);
        let keys = turned.narrow(0, self.heads, self.kv_heads);
        let (keys, values) = cache.write(self.slot, &keys, &values.transpose(0, 1));
        let seen = |all: &Tensor| {
            all.narrow(1, placement.first, all.size()[1] - placement.first).unsqueeze(0)
        };
        let queries = turned.narrow(0, 0, self.heads);
        let mixed = self.mix(&queries, &seen(&keys), &seen(&values), &placement.view)?;
        Ok(self.finish(mixed, gate.as_ref()))
    }

    fn heads(&self, input: &Tensor) -> Heads {
        let mapped = self.inputs.apply(input);
        let (dim, both) = (self.head_dim, self.heads + self.kv_heads);
        if !self.gated {
            let parts = split(&mapped, dim).split_with_sizes([both, self.kv_heads], -2);
            let queries_keys = self.normed(parts[0].shallow_clone());
            return Heads { queries_keys, values: parts[1].shallow_clone(), gate: None };
        }
        let width = 2 * self.heads * dim;
        let queries_gate = split(&mapped.narrow(-1, 0, width), 2 * dim);
        let rest = split(&mapped.narrow(-1, width, 2 * self.kv_heads * dim), dim);
        let (queries, gate) = (queries_gate.narrow(-1, 0, dim), queries_gate.narrow(-1, dim, dim));
        let queries_keys = Tensor::cat(&[queries, rest.narrow(-2, 0, self.kv_heads)], -2);
        Heads {
            queries_keys: self.normed(queries_keys),
            values: rest.narrow(-2, self.kv_heads, self.kv_heads),
            gate: Some(gate.flatten(-2, -1)),
        }
    }

    fn normed(&self, queries_keys: Tensor) -> Tensor {
        match &self.head_norm {
            Some(norm) => norm.apply(&queries_keys),
            None => queries_keys,
        }
    }

    fn finish(&self, mixed: Tensor, gate: Option<&Tensor>) -> Tensor {
        let gated = match gate {
            Some(gate) => mixed * gate.sigmoid(),
            None => mixed,
        };
        self.output.apply(&gated)
    }

    /// Maps texts `[batch, n, hidden]` that all go on where what is kept of them ended, keys and
    /// values `[batch, kv_heads, positions, head_dim]`, and keeps theirs too where something is
    /// kept. Behind kept positions, `n` is 1.
    pub(super) fn forward_row(
        &self,
        input: &Tensor,
        rotation: &Rotation,
        kept: &mut Option<(Tensor, Tensor)>,
    ) -> Result<Tensor, ModelError> {
        let Heads { queries_keys, values, gate } = self.heads(input);
        let turned = rotation.apply(&queries_keys);
        // One split rather than two narrowings: its gradient is one concatenation.
        let parts = turned.transpose(1, 2).f_split_with_sizes([self.heads, self.kv_heads], 1)?;
        let (queries, keys, values) = (&parts[0], &parts[1], values.transpose(1, 2));
        let mixed = match kept {
            None => causal(queries, keys, &values)?,
            Some(kept) => self.behind(queries, (keys, &values), kept)?,
        };
        Ok(self.finish(mixed.transpose(1, 2).flatten(-2, -1), gate.as_ref()))
    }

    /// Mixes for queries behind kept keys and values, and keeps these ones too.
    fn behind(
        &self,
        queries: &Tensor,
        (keys, values): (&Tensor, &Tensor),
        kept: &mut (Tensor, Tensor),
    ) -> Result<Tensor, ModelError> {
        let begins = kept.0.size()[2] == 0;
        *kept = (Tensor::f_cat(&[&kept.0, keys], 2)?, Tensor::f_cat(&[&kept.1, values], 2)?);
        Ok(Tensor::f_scaled_dot_product_attention(
            queries,
            &kept.0,
            &kept.1,
            None::<&Tensor>,
            0.0,
            begins,
            None::<f64>,
            self.heads > self.kv_heads,
        )?)
    }

    /// Mixes values `[1, kv_heads, positions, head_dim]` for queries `[heads, n, head_dim]` into
    /// `[n, heads × head_dim]`.
    fn mix(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        view: &View,
    ) -> Result<Tensor, ModelError> {
        let (count, group) = (queries.size()[1], self.heads / self.kv_heads);
        // Of a few ids, the query heads that share a key head become further queries of that head,
        // which spares copies of keys and values.
        let is_causal = matches!(view, View::Causal);
        let folds = !is_causal && group * count <= FEW;
        let mask = match view {
            View::Masked(mask) if folds => Some(mask.repeat([group, 1])),
            View::Masked(mask) => Some(mask.shallow_clone()),
            View::All | View::Causal => None,
        };
        let queries = if folds {
            queries.reshape([1, self.kv_heads, group * count, self.head_dim])
        } else {
            queries.unsqueeze(0)
        };
        let mixed = Tensor::f_scaled_dot_product_attention(
            &queries,
            keys,
            values,
            mask.as_ref(),
            0.0,
            is_causal,
            None::<f64>,
            !folds && group > 1,
        )?;
        let mixed = mixed.reshape([self.heads, count, self.head_dim]).transpose(0, 1);
        Ok(mixed.reshape([count, self.heads * self.head_dim]))
    }
}

/// Splits the last dimension into heads.
fn split(mapped: &Tensor, dim: i64) -> Tensor {
    mapped.unflatten(-1, [-1, dim])
}
