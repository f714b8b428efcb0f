//! The Qwen3.5 text architecture: output-gated attention with norms over heads and a partial rotary
//! embedding, gated delta nets between, norms stored as their difference from 1. How its checkpoint
//! becomes layers.

use super::attention::Attention;
use super::delta::DeltaNet;
use super::layers::Loader;
use super::stack::{Layer, Mixing, Stack};
use crate::config::{Mixer, Qwen35Config};
use crate::error::ModelError;

/// Reads the weights.
pub(crate) fn stack(config: &Qwen35Config, loader: Loader<'_>) -> Result<Stack, ModelError> {
    let sizes = &config.decoder;
    let layers = (0..sizes.layers)
        .map(|index| layer(config, index, &loader.of_layer(index)))
        .collect::<Result<Vec<_>, _>>()?;
    Stack::new(&loader, layers, loader.centred_norm("model.norm")?, sizes.tied)
}

fn layer(config: &Qwen35Config, index: usize, loader: &Loader<'_>) -> Result<Layer, ModelError> {
    let prefix = format!("model.layers.{index}");
    let kind = config.mixers[index];
    // Each kind counts its own layers.
    let slot = config.mixers[..index].iter().filter(|mixer| **mixer == kind).count();
    let mixing = match kind {
        Mixer::FullAttention => Mixing::Attention(attention(config, &prefix, slot, loader)?),
        Mixer::LinearAttention => Mixing::Delta(delta(config, &prefix, slot, loader)?),
    };
    Ok(Layer {
        before_mixing: loader.centred_norm(&format!("{prefix}.input_layernorm"))?,
        mixing,
        before_feed_forward: loader.centred_norm(&format!("{prefix}.post_attention_layernorm"))?,
        feed_forward: loader.feed_forward(&prefix, false)?,
    })
}

fn attention(
    config: &Qwen35Config,
    prefix: &str,
    slot: usize,
    loader: &Loader<'_>,
) -> Result<Attention, ModelError> {
    let sizes = &config.decoder;
    let bias = sizes.attention_bias;
    let inputs = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
    let inputs = loader.linear(prefix, &inputs, bias)?;
    let output = loader.linear(prefix, &["self_attn.o_proj"], bias)?;
    let queries = loader.centred_norm(&format!("{prefix}.self_attn.q_norm"))?;
    let keys = loader.centred_norm(&format!("{prefix}.self_attn.k_norm"))?;
    let head_norm = Some(queries.for_heads(sizes.heads, &keys, sizes.kv_heads));
    Ok(Attention { head_norm, gated: true, ..Attention::new(sizes, inputs, output, slot) })
}

fn delta(
    config: &Qwen35Config,
    prefix: &str,
    slot: usize,
    loader: &Loader<'_>,
) -> Result<DeltaNet, ModelError> {
    let prefix = format!("{prefix}.linear_attn");
    let inputs = ["in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a"];
    let filters = loader.wide_tensor(&format!("{prefix}.conv1d.weight"))?;
    Ok(DeltaNet {
        sizes: config.delta,
        inputs: loader.linear(&prefix, &inputs, false)?,
        convolution: filters.squeeze_dim(1).transpose(0, 1).contiguous(),
        forget_bias: loader.wide_tensor(&format!("{prefix}.dt_bias"))?,
        forget_scale: loader.wide_tensor(&format!("{prefix}.A_log"))?.exp().neg(),
        norm: loader.norm(&format!("{prefix}.norm"))?,
        output: loader.linear(&prefix, &["out_proj"], false)?,
        slot,
    })
}
