//! Random checkpoints in the layout of model folders. A weight hangs on the seed, the tensor's name
//! and the element's index alone, and equals that of `tests/oracle/weights.py` to the last bit, so
//! that a fixture of the reference need not carry weights. Knows names and shapes; runs no model.

use std::collections::HashMap;
use std::path::Path;

use draft::Key;
use draft::config::Shape;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

/// The standard deviations of what a map makes of inputs of standard deviation 1.
const LINEAR_GAIN: f64 = 1.1;
const OUTPUT_GAIN: f64 = 2.0;
const HEAD_GAIN: f64 = 3.2;
const CONVOLUTION_GAIN: f64 = 4.0;

/// A small Llama configuration with grouped queries.
pub fn tiny_config(vocab_size: usize) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocab_size,
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "hidden_act": "silu",
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": true, "eos_token_id": vocab_size - 1
    })
}

/// A small Qwen3.5 configuration with gated attention alone.
pub fn gated_config(vocab_size: usize) -> Value {
    let mut config = tiny_config(vocab_size);
    let more = json!({"model_type": "qwen3_5_text", "head_dim": 9, "attention_bias": true,
        "layer_types": ["full_attention", "full_attention"]});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

/// The weights of one tensor.
pub struct Formula {
    /// Names the stream of numbers.
    key: Key,
    centre: f32,
    spread: f32,
}

impl Formula {
    /// That of a tensor of a model of this type.
    pub fn new(model_type: &str, name: &str, shape: &[usize], seed: u64) -> Self {
        let (centre, spread) = centre_and_spread(name, shape, model_type.starts_with("qwen3_5"));
        Self { key: Key(seed ^ name_hash(name)), centre: centre as f32, spread: spread as f32 }
    }

    /// The value of an element: the upper 24 of its random bits are a number in [-1, 1).
    pub fn value(&self, index: usize) -> f32 {
        let bits = self.key.bits(u32::try_from(index).unwrap()) >> 40;
        let uniform = (bits as i32 - (1 << 23)) as f32 / (1 << 23) as f32;
        self.centre + self.spread * uniform
    }
}

/// FNV-1a, 64 bits.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// The middle of a tensor's values, and how far they reach from it.
fn centre_and_spread(name: &str, shape: &[usize], zero_centred: bool) -> (f64, f64) {
    let ends_with = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if ends_with(&["A_log"]) {
        return (-2.5, 2.0);
    }
    if ends_with(&["dt_bias"]) {
        return (0.0, 1.0);
    }
    if ends_with(&["bias"]) {
        return (0.0, 0.5);
    }
    if ends_with(&["norm.weight"]) {
        let is_offset = zero_centred && !name.contains("linear_attn");
        return (if is_offset { 0.0 } else { 1.0 }, 0.3);
    }
    let gain = if ends_with(&["embed_tokens.weight", "lm_head.weight"]) {
        HEAD_GAIN
    } else if ends_with(&["conv1d.weight"]) {
        CONVOLUTION_GAIN
    } else if ends_with(&["o_proj.weight", "out_proj.weight", "down_proj.weight"]) {
        OUTPUT_GAIN
    } else {
        LINEAR_GAIN
    };
    let inputs: usize = shape[1..].iter().product();
    (0.0, gain * (3.0 / inputs as f64).sqrt())
}

/// Writes `config.json` and a `model.safetensors` of the shapes that it asks for.
pub fn write_formula(folder: &Path, config: &Value, seed: u64) {
    write_as(folder, config, seed, (Dtype::F32, &|value| value.to_le_bytes().to_vec()));
}

/// The same in bfloat16, cut off rather than rounded.
pub fn write_formula_bf16(folder: &Path, config: &Value, seed: u64) {
    write_as(folder, config, seed, (Dtype::BF16, &|value| value.to_le_bytes()[2..].to_vec()));
}

fn write_as(
    folder: &Path,
    config: &Value,
    seed: u64,
    (dtype, bytes): (Dtype, &dyn Fn(f32) -> Vec<u8>),
) {
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let model_type = config["model_type"].as_str().unwrap();
    let data: Vec<(String, Vec<usize>, Vec<u8>)> = Shape::from_json(config)
        .unwrap()
        .tensors()
        .into_iter()
        .map(|(name, shape)| {
            let formula = Formula::new(model_type, &name, &shape, seed);
            let count = shape.iter().product::<usize>();
            let content = (0..count).flat_map(|index| bytes(formula.value(index))).collect();
            (name, shape, content)
        })
        .collect();
    let views: HashMap<&str, TensorView<'_>> = data
        .iter()
        .map(|(name, shape, content)| {
            (name.as_str(), TensorView::new(dtype, shape.clone(), content).unwrap())
        })
        .collect();
    let metadata = Some(HashMap::from([("format".to_owned(), "pt".to_owned())]));
    let file = safetensors::serialize(views, metadata).unwrap();
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
}
