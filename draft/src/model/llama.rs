//! The Llama architecture (Touvron et al., 2302.13971), and Mistral's, which differs by a window:
//! how its checkpoint becomes layers.

use super::attention::Attention;
use super::layers::Loader;
use super::network::{Layer, Mixing, Network, Plan};
use crate::checkpoint::Checkpoint;
use crate::config::LlamaConfig;
use crate::device::Compute;
use crate::error::ModelError;

/// Copies the weights out of an opened checkpoint.
pub(super) fn load(
    config: &LlamaConfig,
    checkpoint: &Checkpoint,
    compute: Compute,
) -> Result<Network, ModelError> {
    let _guard = tch::no_grad_guard();
    let sizes = &config.decoder;
    let loader = Loader { checkpoint, compute, epsilon: sizes.norm_epsilon };
    let layers = (0..sizes.layers)
        .map(|index| layer(config, index, &loader))
        .collect::<Result<Vec<_>, _>>()?;
    let plan = Plan { sizes, window: config.window, delta: None };
    Network::new(&plan, layers, loader.norm("model.norm")?, &loader)
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
