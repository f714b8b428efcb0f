//! The shape of Llama-architecture models, Mistral's sliding window among them.

use serde::Deserialize;
use serde_json::Value;

use super::decoder::{Decoder, DecoderFields, Defaults, LayerTensors};

/// What transformers takes where a Mistral model's file is silent.
const MISTRAL_WINDOW: usize = 4096;
const MISTRAL_KV_HEADS: usize = 8;

/// A Llama or Mistral model.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaConfig {
    /// Its sizes.
    pub decoder: Decoder,
    /// Whether the feed-forward maps have biases.
    pub mlp_bias: bool,
    /// How many positions back attention sees, itself included (Mistral, 2310.06825).
    pub window: Option<usize>,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    mlp_bias: bool,
    sliding_window: Option<usize>,
    #[serde(flatten)]
    decoder: DecoderFields,
}

impl LlamaConfig {
    pub(super) fn from_json(json: &Value, is_mistral: bool) -> Result<Self, String> {
        let fields = Fields::deserialize(json).map_err(|error| error.to_string())?;
        // Null is no window; a file that is silent means transformers' default.
        let window = match json.get("sliding_window") {
            _ if !is_mistral => None,
            None => Some(MISTRAL_WINDOW),
            Some(_) => fields.sliding_window,
        };
        if window == Some(0) {
            return Err("`sliding_window` is 0".to_owned());
        }
        let kv_heads = is_mistral.then_some(MISTRAL_KV_HEADS);
        let decoder =
            fields.decoder.read(&Defaults { kv_heads, head_dim: None, rotary_share: None })?;
        Ok(Self { decoder, mlp_bias: fields.mlp_bias, window })
    }

    /// Name and shape of every tensor of the checkpoint.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let sizes = &self.decoder;
        let (hidden, feed) = (sizes.hidden_size, sizes.intermediate_size);
        let (queries, keys) = (sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim);
        let mut list = sizes.outer_tensors();
        for layer in 0..sizes.layers {
            let mut tensors = LayerTensors { list: &mut list, layer };
            tensors.weight("input_layernorm", &[hidden], false);
            tensors.weight("self_attn.q_proj", &[queries, hidden], sizes.attention_bias);
            tensors.weight("self_attn.k_proj", &[keys, hidden], sizes.attention_bias);
            tensors.weight("self_attn.v_proj", &[keys, hidden], sizes.attention_bias);
            tensors.weight("self_attn.o_proj", &[hidden, queries], sizes.attention_bias);
            tensors.weight("post_attention_layernorm", &[hidden], false);
            tensors.weight("mlp.gate_proj", &[feed, hidden], self.mlp_bias);
            tensors.weight("mlp.up_proj", &[feed, hidden], self.mlp_bias);
            tensors.weight("mlp.down_proj", &[hidden, feed], self.mlp_bias);
        }
        list
    }
}
