//! The shape of Qwen3.5 text models: output-gated attention, and gated delta nets in between.

use serde::Deserialize;
use serde_json::Value;

use super::decoder::{Decoder, DecoderFields, Defaults, LayerTensors, positive};

/// What transformers takes where the file is silent.
const DEFAULTS: Defaults =
    Defaults { kv_heads: Some(4), head_dim: Some(256), rotary_share: Some(0.25) };

/// How a layer mixes positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mixer {
    /// Softmax attention over all positions.
    FullAttention,
    /// A gated delta net: a state of fixed size.
    LinearAttention,
}

/// Sizes of the gated delta nets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct DeltaConfig {
    /// Heads of queries and keys.
    #[serde(rename = "linear_num_key_heads", default = "DeltaConfig::key_heads")]
    pub key_heads: usize,
    /// Heads of values, a multiple of those of keys.
    #[serde(rename = "linear_num_value_heads", default = "DeltaConfig::value_heads")]
    pub value_heads: usize,
    /// Width of a query or key head.
    #[serde(rename = "linear_key_head_dim", default = "DeltaConfig::head_dim")]
    pub key_dim: usize,
    /// Width of a value head.
    #[serde(rename = "linear_value_head_dim", default = "DeltaConfig::head_dim")]
    pub value_dim: usize,
    /// Positions that the short convolution sees, itself included.
    #[serde(rename = "linear_conv_kernel_dim", default = "DeltaConfig::kernel")]
    pub kernel: usize,
}

impl DeltaConfig {
    const fn key_heads() -> usize {
        16
    }

    const fn value_heads() -> usize {
        32
    }

    const fn head_dim() -> usize {
        128
    }

    const fn kernel() -> usize {
        4
    }

    /// Channels of queries, or of keys.
    pub fn key_width(&self) -> usize {
        self.key_heads * self.key_dim
    }

    /// Channels of values.
    pub fn value_width(&self) -> usize {
        self.value_heads * self.value_dim
    }

    /// Channels of the convolution: queries, keys and values.
    pub fn channels(&self) -> usize {
        2 * self.key_width() + self.value_width()
    }

    fn check(&self) -> Result<(), String> {
        positive(&[
            ("linear_num_key_heads", self.key_heads),
            ("linear_num_value_heads", self.value_heads),
            ("linear_key_head_dim", self.key_dim),
            ("linear_value_head_dim", self.value_dim),
            ("linear_conv_kernel_dim", self.kernel),
        ])?;
        if !self.value_heads.is_multiple_of(self.key_heads) {
            return Err(format!(
                "{} linear value heads are no multiple of {} linear key heads",
                self.value_heads, self.key_heads
            ));
        }
        Ok(())
    }
}

/// A dense Qwen3.5 text model.
#[derive(Clone, Debug, PartialEq)]
pub struct Qwen35Config {
    /// Its sizes.
    pub decoder: Decoder,
    /// How each layer mixes positions.
    pub mixers: Vec<Mixer>,
    /// Sizes of its gated delta nets.
    pub delta: DeltaConfig,
}

#[derive(Deserialize)]
struct Fields {
    layer_types: Option<Vec<Mixer>>,
    full_attention_interval: Option<usize>,
    #[serde(flatten)]
    delta: DeltaConfig,
    #[serde(flatten)]
    decoder: DecoderFields,
}

impl Qwen35Config {
    pub(super) fn from_json(json: &Value) -> Result<Self, String> {
        let fields = Fields::deserialize(json).map_err(|error| error.to_string())?;
        let decoder = fields.decoder.read(&DEFAULTS)?;
        let interval = fields.full_attention_interval.unwrap_or(4).max(1);
        let mixers = fields.layer_types.unwrap_or_else(|| {
            (1..=decoder.layers)
                .map(|number| {
                    let is_full = number.is_multiple_of(interval);
                    if is_full { Mixer::FullAttention } else { Mixer::LinearAttention }
                })
                .collect()
        });
        if mixers.len() != decoder.layers {
            return Err(format!("{} layer types for {} layers", mixers.len(), decoder.layers));
        }
        if mixers.contains(&Mixer::LinearAttention) {
            fields.delta.check()?;
        }
        Ok(Self { decoder, mixers, delta: fields.delta })
    }

    /// Name and shape of every tensor of the checkpoint.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, feed) = (self.decoder.hidden_size, self.decoder.intermediate_size);
        let mut list = self.decoder.outer_tensors();
        for (layer, mixer) in self.mixers.iter().enumerate() {
            let mut tensors = LayerTensors { list: &mut list, layer };
            tensors.weight("input_layernorm", &[hidden], false);
            match mixer {
                Mixer::FullAttention => self.attention_tensors(&mut tensors),
                Mixer::LinearAttention => self.delta_tensors(&mut tensors),
            }
            tensors.weight("post_attention_layernorm", &[hidden], false);
            tensors.weight("mlp.gate_proj", &[feed, hidden], false);
            tensors.weight("mlp.up_proj", &[feed, hidden], false);
            tensors.weight("mlp.down_proj", &[hidden, feed], false);
        }
        list
    }

    fn attention_tensors(&self, tensors: &mut LayerTensors<'_>) {
        let sizes = &self.decoder;
        let (hidden, bias) = (sizes.hidden_size, sizes.attention_bias);
        let (queries, keys) = (sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim);
        tensors.weight("self_attn.q_proj", &[2 * queries, hidden], bias);
        tensors.weight("self_attn.k_proj", &[keys, hidden], bias);
        tensors.weight("self_attn.v_proj", &[keys, hidden], bias);
        tensors.weight("self_attn.o_proj", &[hidden, queries], bias);
        tensors.weight("self_attn.q_norm", &[sizes.head_dim], false);
        tensors.weight("self_attn.k_norm", &[sizes.head_dim], false);
    }

    fn delta_tensors(&self, tensors: &mut LayerTensors<'_>) {
        let (hidden, delta) = (self.decoder.hidden_size, &self.delta);
        tensors.weight("linear_attn.in_proj_qkv", &[delta.channels(), hidden], false);
        tensors.weight("linear_attn.in_proj_z", &[delta.value_width(), hidden], false);
        tensors.weight("linear_attn.in_proj_b", &[delta.value_heads, hidden], false);
        tensors.weight("linear_attn.in_proj_a", &[delta.value_heads, hidden], false);
        tensors.weight("linear_attn.conv1d", &[delta.channels(), 1, delta.kernel], false);
        tensors.tensor("linear_attn.dt_bias", &[delta.value_heads]);
        tensors.tensor("linear_attn.A_log", &[delta.value_heads]);
        tensors.weight("linear_attn.norm", &[delta.value_dim], false);
        tensors.weight("linear_attn.out_proj", &[hidden, delta.value_width()], false);
    }
}
