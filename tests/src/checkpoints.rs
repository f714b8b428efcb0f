//! Random checkpoints in the layout of model folders.

use std::collections::HashMap;
use std::path::Path;

use draft::config::ModelConfig;
use draft::{Key, Purpose, Randomness};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

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

/// Writes `config.json` and a `model.safetensors` of random weights of the shapes that it asks for.
pub fn write_llama(folder: &Path, config: &Value, seed: u64) {
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let tensors = ModelConfig::read(folder).unwrap().shape.tensors();
    let data: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .enumerate()
        .map(|(index, (name, shape))| {
            let randomness = Randomness { seed, prompt: index as u64 };
            let count = shape.iter().product::<usize>();
            let is_norm = shape.len() == 1;
            let value = |place: usize| {
                let Key(bits) = randomness.key(place, Purpose::Target);
                let centred = Key(bits).uniform() as f32 - 0.5;
                if is_norm { 1.0 + 0.2 * centred } else { 0.8 * centred }
            };
            let bytes = (0..count).flat_map(|place| value(place).to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views: HashMap<&str, TensorView<'_>> = data
        .iter()
        .map(|(name, shape, bytes)| {
            (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        })
        .collect();
    let metadata = Some(HashMap::from([("format".to_owned(), "pt".to_owned())]));
    let file = safetensors::serialize(views, metadata).unwrap();
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
}
