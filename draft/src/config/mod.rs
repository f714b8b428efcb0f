//! `config.json` and `generation_config.json` of a model folder, in the spellings that transformers
//! 4 and 5 write. Knows what the files say; builds nothing.

mod decoder;
mod llama;
mod qwen3_5;
mod rope;

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

pub use decoder::Decoder;
pub use llama::LlamaConfig;
pub use qwen3_5::{DeltaConfig, Mixer, Qwen35Config};
pub use rope::{Llama3Scaling, RopeConfig};

use crate::error::ModelError;

/// The shape of a model of one of the known architectures.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Llama and Mistral.
    Llama(LlamaConfig),
    /// Qwen3.5 text.
    Qwen35(Qwen35Config),
}

impl Shape {
    /// Reads the object of a `config.json`; the error says what is wrong with it.
    pub fn from_json(json: &Value) -> Result<Self, String> {
        let kind = json.get("model_type").and_then(Value::as_str).unwrap_or("llama");
        match kind {
            "llama" => LlamaConfig::from_json(json, false).map(Self::Llama),
            "mistral" => LlamaConfig::from_json(json, true).map(Self::Llama),
            "qwen3_5_text" => Qwen35Config::from_json(json).map(Self::Qwen35),
            // With a vision part beside it, which text does not need.
            "qwen3_5" => match json.get("text_config") {
                Some(text) => Qwen35Config::from_json(text).map(Self::Qwen35),
                None => Err("a `qwen3_5` model without a `text_config`".to_owned()),
            },
            other => Err(format!(
                "model type `{other}` is not supported; `llama`, `mistral` and `qwen3_5_text` are"
            )),
        }
    }

    /// The sizes that every architecture has.
    pub fn decoder(&self) -> &Decoder {
        match self {
            Self::Llama(config) => &config.decoder,
            Self::Qwen35(config) => &config.decoder,
        }
    }

    /// Rows of the embedding.
    pub fn vocab_size(&self) -> usize {
        self.decoder().vocab_size
    }

    /// Positions the model was made for.
    pub fn context(&self) -> usize {
        self.decoder().context
    }

    /// The rotary embedding, and how many dimensions of a head it turns.
    pub fn rope(&self) -> (&RopeConfig, usize) {
        (&self.decoder().rope, self.decoder().rotary_dim)
    }

    /// Name and shape of every tensor of the checkpoint.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::Llama(config) => config.tensors(),
            Self::Qwen35(config) => config.tensors(),
        }
    }

    /// Number of parameters; a tied head counts once.
    pub fn parameters(&self) -> u64 {
        self.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
    }
}

/// A model folder's configuration.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// The architecture's shape.
    pub shape: Shape,
    /// `architectures[0]`, or the model type where that is absent.
    pub architecture: String,
    /// Ids that end a text. The first is the one that other vocabularies' ends are mapped to.
    pub eos: Vec<u32>,
    /// The id that begins a text.
    pub bos: Option<u32>,
}

#[derive(Deserialize)]
struct File {
    model_type: Option<String>,
    #[serde(default)]
    architectures: Vec<String>,
    eos_token_id: Option<Ids>,
    bos_token_id: Option<Ids>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Many(Vec<u32>),
}

impl Ids {
    fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

#[derive(Deserialize)]
struct GenerationFile {
    eos_token_id: Option<Ids>,
}

impl ModelConfig {
    /// Reads the configuration of a model folder.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let bytes = std::fs::read(&path)
            .map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let bad = |reason: String| ModelError::Config { path: path.clone(), reason };
        let not_a_model = |error| bad(format!("not the configuration of a model ({error})"));
        let json: Value = serde_json::from_slice(&bytes).map_err(not_a_model)?;
        let file = File::deserialize(&json).map_err(not_a_model)?;
        let generation_eos = std::fs::read(folder.join("generation_config.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<GenerationFile>(&bytes).ok())
            .and_then(|generation| generation.eos_token_id);
        let eos = generation_eos.or(file.eos_token_id).map_or(Vec::new(), Ids::into_vec);
        let bos = file.bos_token_id.and_then(|ids| ids.into_vec().first().copied());
        let named = file.architectures.into_iter().next().or(file.model_type);
        let architecture = named.unwrap_or_else(|| "unknown".to_owned());
        let shape = Shape::from_json(&json).map_err(bad)?;
        Ok(Self { shape, architecture, eos, bos })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &Value) -> Result<ModelConfig, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
        ModelConfig::read(folder.path())
    }

    fn stentor2() -> Value {
        serde_json::json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 8064,
            "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 12,
            "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 64,
            "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": true, "eos_token_id": 8000
        })
    }

    #[test]
    fn stentor2_has_the_published_parameter_count() {
        assert_eq!(read(&stentor2()).unwrap().shape.parameters(), 12_294_400);
    }

    #[test]
    fn stentor_v1_has_the_published_parameter_count() {
        let mut json = stentor2();
        json["vocab_size"] = 32_768.into();
        json["hidden_size"] = 192.into();
        json["intermediate_size"] = 576.into();
        json["num_attention_heads"] = 3.into();
        json["num_key_value_heads"] = 3.into();
        assert_eq!(read(&json).unwrap().shape.parameters(), 12_047_040);
    }

    #[test]
    fn both_spellings_of_rope_are_read() {
        let mut new = stentor2();
        new.as_object_mut().unwrap().remove("rope_theta");
        new["rope_parameters"] = serde_json::json!({"rope_theta": 500_000.0, "rope_type": "llama3",
            "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192});
        let mut old = stentor2();
        old["rope_theta"] = 500_000.0.into();
        old["rope_scaling"] = serde_json::json!({"type": "llama3", "factor": 32.0,
            "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192});
        assert_eq!(read(&new).unwrap().shape.rope(), read(&old).unwrap().shape.rope());
    }

    #[test]
    fn what_a_file_is_silent_on_is_as_in_transformers() {
        let mut json = stentor2();
        let fields = json.as_object_mut().unwrap();
        fields.remove("num_key_value_heads");
        fields.remove("head_dim");
        fields.remove("rms_norm_eps");
        fields.insert("partial_rotary_factor".into(), 0.5.into());
        fields.insert("num_attention_heads".into(), 8.into());
        let sizes = |json: &Value| Shape::from_json(json).unwrap().decoder().clone();
        let llama = sizes(&json);
        assert_eq!((llama.kv_heads, llama.head_dim, llama.rotary_dim), (8, 32, 32));
        assert_eq!(llama.norm_epsilon, 1e-6);
        json["model_type"] = "mistral".into();
        json["num_attention_heads"] = 16.into();
        let mistral = Shape::from_json(&json).unwrap();
        assert_eq!(mistral.decoder().kv_heads, 8);
        assert!(matches!(mistral, Shape::Llama(LlamaConfig { window: Some(4096), .. })));
        json["model_type"] = "qwen3_5_text".into();
        json.as_object_mut().unwrap().remove("partial_rotary_factor");
        let qwen = sizes(&json);
        assert_eq!((qwen.kv_heads, qwen.head_dim, qwen.rotary_dim), (4, 256, 64));
    }

    #[test]
    fn where_both_spellings_are_there_the_older_counts() {
        let mut json = stentor2();
        json["rope_parameters"] = serde_json::json!({"rope_type": "default", "rope_theta": 5.0});
        json["rope_scaling"] = serde_json::json!({"rope_type": "llama3", "factor": 8.0,
            "low_freq_factor": 1.0, "high_freq_factor": 4.0});
        let shape = Shape::from_json(&json).unwrap();
        let (rope, _) = shape.rope();
        assert_eq!(rope.theta, 10_000.0);
        assert_eq!(rope.llama3.unwrap().original_max_position_embeddings, 1024.0);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let mut json = stentor2();
        json["model_type"] = "mamba".into();
        let message = read(&json).unwrap_err().to_string();
        assert!(message.contains("mamba") && message.contains("config.json"), "{message}");
    }
}
