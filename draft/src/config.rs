//! `config.json` and `generation_config.json` of a model folder, in the spellings that transformers
//! 4 and 5 write. Knows what the files say; builds nothing.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::ModelError;

/// The shape of a Llama-architecture model.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Positions the model was made for.
    pub context: usize,
    /// Added to the mean square in `RMSNorm`.
    pub norm_epsilon: f64,
    /// Rotary embedding.
    pub rope: RopeConfig,
    /// Whether the head is the embedding.
    pub tied: bool,
    /// Whether the attention's linear maps have biases.
    pub attention_bias: bool,
    /// Whether the feed-forward maps have biases.
    pub mlp_bias: bool,
}

/// The rotary embedding's base and scaling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeConfig {
    /// The base of the geometric series of wavelengths.
    pub theta: f64,
    /// Llama 3.1's change of the low frequencies.
    pub llama3: Option<Llama3Scaling>,
    /// Position interpolation: divides all frequencies (Chen et al., 2306.15595).
    pub linear_factor: f64,
}

/// `rope_type` `llama3`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Llama3Scaling {
    /// Divides the frequencies of long wavelengths.
    pub factor: f64,
    /// Wavelengths longer than the original context divided by this are divided.
    pub low_freq_factor: f64,
    /// Wavelengths shorter than the original context divided by this are left alone.
    pub high_freq_factor: f64,
    /// The context before scaling.
    pub original_max_position_embeddings: f64,
}

/// A model folder's configuration.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// The architecture's shape.
    pub llama: LlamaConfig,
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
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    hidden_act: Option<String>,
    rope_theta: Option<f64>,
    rope_parameters: Option<Value>,
    rope_scaling: Option<Value>,
    tie_word_embeddings: Option<bool>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
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
        let file: File = serde_json::from_slice(&bytes)
            .map_err(|error| bad(format!("not the configuration of a model ({error})")))?;
        let generation_eos = std::fs::read(folder.join("generation_config.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<GenerationFile>(&bytes).ok())
            .and_then(|generation| generation.eos_token_id);
        let eos = generation_eos.or(file.eos_token_id.clone()).map_or(Vec::new(), Ids::into_vec);
        let bos = file.bos_token_id.clone().and_then(|ids| ids.into_vec().first().copied());
        let architecture = file
            .architectures
            .first()
            .or(file.model_type.as_ref())
            .cloned()
            .unwrap_or_else(|| "unknown".to_owned());
        let llama = file.llama().map_err(bad)?;
        Ok(Self { llama, architecture, eos, bos })
    }
}

impl File {
    fn llama(&self) -> Result<LlamaConfig, String> {
        let kind = self.model_type.as_deref().unwrap_or("llama");
        if kind != "llama" {
            return Err(format!("model type `{kind}` is not supported; `llama` is"));
        }
        let activation = self.hidden_act.as_deref().unwrap_or("silu");
        if activation != "silu" {
            return Err(format!("activation `{activation}` is not supported; `silu` is"));
        }
        let heads = self.num_attention_heads;
        let config = LlamaConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads,
            kv_heads: self.num_key_value_heads.unwrap_or(heads),
            head_dim: self.head_dim.unwrap_or(self.hidden_size / heads.max(1)),
            context: self.max_position_embeddings,
            norm_epsilon: self.rms_norm_eps,
            rope: self.rope()?,
            tied: self.tie_word_embeddings.unwrap_or(false),
            attention_bias: self.attention_bias,
            mlp_bias: self.mlp_bias,
        };
        config.check()?;
        Ok(config)
    }

    fn rope(&self) -> Result<RopeConfig, String> {
        let scaling = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let field = |name: &str| scaling.and_then(|scaling| scaling.get(name));
        let theta = field("rope_theta").and_then(Value::as_f64).or(self.rope_theta);
        let mut rope =
            RopeConfig { theta: theta.unwrap_or(10_000.0), llama3: None, linear_factor: 1.0 };
        let kind = field("rope_type").or_else(|| field("type")).and_then(Value::as_str);
        match kind.unwrap_or("default") {
            "default" => {}
            "linear" => {
                rope.linear_factor = field("factor")
                    .and_then(Value::as_f64)
                    .ok_or("linear rope scaling without a `factor`")?;
            }
            "llama3" => {
                let scaling = scaling.cloned().unwrap_or_default();
                let parsed = serde_json::from_value(scaling)
                    .map_err(|error| format!("llama3 rope scaling is incomplete ({error})"))?;
                rope.llama3 = Some(parsed);
            }
            other => {
                return Err(format!(
                    "rope type `{other}` is not supported; `default`, `linear`, `llama3` are"
                ));
            }
        }
        Ok(rope)
    }
}

impl LlamaConfig {
    fn check(&self) -> Result<(), String> {
        let positive = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.context),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("`{name}` is 0"));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!(
                "{} query heads are no multiple of {} key-value heads",
                self.heads, self.kv_heads
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(format!("a head of {} is odd, and rotary needs pairs", self.head_dim));
        }
        Ok(())
    }

    /// Name and shape of every tensor of the checkpoint.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, feed) = (self.hidden_size, self.intermediate_size);
        let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut list =
            vec![("model.embed_tokens.weight".to_owned(), vec![self.vocab_size, hidden])];
        for layer in 0..self.layers {
            let mut add = |name: &str, shape: &[usize], bias: bool| {
                let prefix = format!("model.layers.{layer}.{name}");
                list.push((format!("{prefix}.weight"), shape.to_vec()));
                if bias {
                    list.push((format!("{prefix}.bias"), vec![shape[0]]));
                }
            };
            add("input_layernorm", &[hidden], false);
            add("self_attn.q_proj", &[queries, hidden], self.attention_bias);
            add("self_attn.k_proj", &[keys, hidden], self.attention_bias);
            add("self_attn.v_proj", &[keys, hidden], self.attention_bias);
            add("self_attn.o_proj", &[hidden, queries], self.attention_bias);
            add("post_attention_layernorm", &[hidden], false);
            add("mlp.gate_proj", &[feed, hidden], self.mlp_bias);
            add("mlp.up_proj", &[feed, hidden], self.mlp_bias);
            add("mlp.down_proj", &[hidden, feed], self.mlp_bias);
        }
        list.push(("model.norm.weight".to_owned(), vec![hidden]));
        if !self.tied {
            list.push(("lm_head.weight".to_owned(), vec![self.vocab_size, hidden]));
        }
        list
    }

    /// Number of parameters; a tied head counts once.
    pub fn parameters(&self) -> u64 {
        self.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
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
        assert_eq!(read(&stentor2()).unwrap().llama.parameters(), 12_294_400);
    }

    #[test]
    fn stentor_v1_has_the_published_parameter_count() {
        let mut json = stentor2();
        json["vocab_size"] = 32_768.into();
        json["hidden_size"] = 192.into();
        json["intermediate_size"] = 576.into();
        json["num_attention_heads"] = 3.into();
        json["num_key_value_heads"] = 3.into();
        assert_eq!(read(&json).unwrap().llama.parameters(), 12_047_040);
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
        assert_eq!(read(&new).unwrap().llama.rope, read(&old).unwrap().llama.rope);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let mut json = stentor2();
        json["model_type"] = "mamba".into();
        let message = read(&json).unwrap_err().to_string();
        assert!(message.contains("mamba") && message.contains("config.json"), "{message}");
    }
}
