//! Causal attention of whole texts in training. On a GPU it is libtorch's fused attention. On a CPU
//! that one is slow, backwards above all, and plain products of a block of queries with the keys up to
//! its end take its place, as long as their laws are few enough to be kept for the backward pass.
//! Eight texts of 512, four heads of 64, both ways, on one core (Zen 4): in bf16 105 ms fused and 50 by
//! blocks, in fp32 106 and 91. In bf16 scores are rounded, which the fused one does not.

use tch::{Device, Kind, Tensor};

use super::layers::product_kind;
use crate::error::ModelError;

/// Queries of a block.
const BLOCK: i64 = 128;

/// Pairs of positions of all heads and texts, up to which the laws of a layer are kept.
const MOST_PAIRS: i64 = 1 << 25;

/// Mixes values for queries `[batch, heads, n, head_dim]`; keys and values are `[batch, kv_heads, n,
/// head_dim]`.
pub(super) fn causal(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
) -> Result<Tensor, ModelError> {
    let (kind, device) = (queries.kind(), queries.device());
    let held = |tensor: &Tensor| tensor.to_kind(product_kind(kind, device));
    let (queries, keys, values) = (held(queries), held(keys), held(values));
    let size = queries.size();
    let pairs = size[0] * size[1] * size[2] * size[2];
    let mixed = if device == Device::Cpu && pairs <= MOST_PAIRS {
        by_blocks(&queries, &keys, &values)?
    } else {
        let grouped = size[1] > keys.size()[1];
        let (mask, scale) = (None::<&Tensor>, None::<f64>);
        Tensor::f_scaled_dot_product_attention(
            &queries, &keys, &values, mask, 0.0, true, scale, grouped,
        )?
    };
    Ok(mixed.to_kind(kind))
}

/// Query heads that share a key head are further queries of it.
fn by_blocks(queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor, ModelError> {
    let size = queries.size();
    let (count, dim) = (size[2], size[3]);
    let shared = size[0] * keys.size()[1];
    let group = size[0] * size[1] / shared;
    let queries = queries.f_reshape([shared, group, count, dim])?;
    let keys = keys.f_reshape([shared, count, dim])?;
    let values = values.f_reshape([shared, count, dim])?;
    let mut mixed = Vec::new();
    let mut first = 0;
    for block in queries.f_split(BLOCK, 2)? {
        let rows = block.size()[2];
        let end = first + rows;
        let block = block.f_reshape([shared, group * rows, dim])?;
        let seen = keys.f_narrow(1, 0, end)?.transpose(1, 2);
        let scale = (dim as f64).sqrt().recip();
        let hidden = hidden(first, rows, queries.kind())?.repeat([group, 1]);
        let law = hidden.f_baddbmm(&block, &seen, 1.0, scale)?.f_softmax(-1, None::<Kind>)?;
        let part = law.f_bmm(&values.f_narrow(1, 0, end)?)?;
        mixed.push(part.f_view([shared, group, rows, dim])?);
        first = end;
    }
    Ok(Tensor::f_cat(&mixed, 2)?.f_view(&size[..])?)
}

/// What is added to the scores `[rows, first + rows]` of queries behind `first` positions: nothing to
/// those of positions up to their own.
fn hidden(first: i64, rows: i64, kind: Kind) -> Result<Tensor, ModelError> {
    let size = [rows, first + rows];
    Ok(Tensor::f_full(size, f64::NEG_INFINITY, (kind, Device::Cpu))?.f_triu(first + 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_mix_and_differentiate_as_fused_attention() {
        tch::manual_seed(0);
        let random = |heads: i64| {
            Tensor::randn([2, heads, 300, 8], (Kind::Double, Device::Cpu)).set_requires_grad(true)
        };
        let parts = [random(6), random(3), random(3)];
        let weight = Tensor::randn([2, 6, 300, 8], (Kind::Double, Device::Cpu));
        let gradients = |mixed: &Tensor| {
            (mixed * &weight).sum(Kind::Double).backward();
            parts.each_ref().map(|part| {
                let gradient = part.grad().copy();
                part.shallow_clone().zero_grad();
                gradient
            })
        };
        let [queries, keys, values] = &parts;
        let blocks = by_blocks(queries, keys, values).unwrap();
        let (mask, scale) = (None::<&Tensor>, None::<f64>);
        let fused = Tensor::scaled_dot_product_attention(
            queries, keys, values, mask, 0.0, true, scale, true,
        );
        let apart = |one: &Tensor, other: &Tensor| (one - other).abs().max().double_value(&[]);
        assert!(apart(&blocks, &fused) < 1e-12);
        for (one, other) in gradients(&blocks).iter().zip(&gradients(&fused)) {
            assert!(apart(one, other) < 1e-12);
        }
    }
}
