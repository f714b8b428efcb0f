//! The Llama architecture (Touvron et al., 2302.13971), and Mistral's, which differs by a window:
//! how its checkpoint becomes layers.

use super::attention::Attention;
use super::layers::Loader;
use super::stack::{Layer, Mixing, Stack};
use crate::config::LlamaConfig;
use crate::error::ModelError;

/// Reads the weights.
pub(crate) fn stack(config: &LlamaConfig, loader: Loader<'_>) -> Result<Stack, ModelError> {
    let sizes = &config.decoder;
    let layers = (0..sizes.layers)
        .map(|index| layer(config, index, &loader.of_layer(index)))
        .collect::<Result<Vec<_>, _>>()?;
    Stack::new(&loader, layers, loader.norm("model.norm")?, sizes.tied)
}

fn layer(config: &LlamaConfig, index: usize, loader: &Loader<'_>) -> Result<Layer, ModelError> {
    let (sizes, prefix) = (&config.decoder, format!("model.layers.{index}"));
    let bias = sizes.attention_bias;
    let inputs = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
    let inputs = loader.linear(&prefix, &inputs, bias)?;
    let output = loader.linear(&prefix, &["self_attn.o_proj"], bias)?;
    Ok(Layer {
        before_mixing: loader.norm(&format!("{prefix}.input_layernorm"))?,
        mixing: Mixing::Attention(Attention::new(sizes, inputs, output, index)),
        before_feed_forward: loader.norm(&format!("{prefix}.post_attention_layernorm"))?,
        feed_forward: loader.feed_forward(&prefix, config.mlp_bias)?,
    })
}
