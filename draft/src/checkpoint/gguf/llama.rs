//! Llama models in GGUF: which tensor lies under which name and in which type, and whose rows are in
//! another order.

use super::blocks::Element;
use crate::checkpoint::rows::Rows;
use crate::error::ModelError;

/// Names of tensors outside of layers, in safetensors and in GGUF.
const OUTSIDE: [(&str, &str); 3] = [
    ("model.embed_tokens.weight", "token_embd.weight"),
    ("model.norm.weight", "output_norm.weight"),
    ("lm_head.weight", "output.weight"),
];

/// Names within a layer.
const INSIDE: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// What rotary frequencies are divided by.
pub(super) const FACTORS: &str = "rope_freqs.weight";

/// The name in GGUF of a tensor of safetensors.
pub(super) fn placed(name: &str) -> Option<String> {
    if let Some((_, own)) = OUTSIDE.iter().find(|(other, _)| *other == name) {
        return Some((*own).to_owned());
    }
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (part, end) = rest.rsplit_once('.')?;
    let (_, own) = INSIDE.iter().find(|(other, _)| *other == part)?;
    Some(format!("blk.{layer}.{own}.{end}"))
}

/// Whether the rows of a tensor of safetensors are turned by the rotary embedding.
pub(super) fn is_turned(name: &str) -> bool {
    name.contains(".q_proj.") || name.contains(".k_proj.")
}

/// The type that a tensor is stored in. What is multiplied element by element stays in 32 bits; of four
/// bits the embedding and the head would suffer most, and have eight.
pub(super) fn stored(name: &str, shape: &[usize], element: Element) -> Element {
    let outside = OUTSIDE.iter().any(|(other, _)| *other == name);
    match element {
        _ if shape.len() < 2 => Element::F32,
        Element::Q4 if outside => Element::Q8,
        other => other,
    }
}

/// All numbers of a tensor.
pub(super) fn collected(source: &dyn Rows, name: &str) -> Result<Vec<f32>, ModelError> {
    let mut values = Vec::new();
    source.rows(name, &mut |row| values.extend(row))?;
    Ok(values)
}
