//! A GGUF file as a Llama model: the `config.json` that its metadata amounts to, and its weights as
//! safetensors.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::blocks::Element;
use super::llama::{FACTORS, collected, is_turned, placed};
use super::read::File;
use super::scaling::recognised;
use super::value::Value;
use crate::checkpoint::rows::{Pairs, Rows, turned, write_safetensors};
use crate::config::{LlamaConfig, Shape};
use crate::error::ModelError;

/// A Llama model in a GGUF file.
#[derive(Debug)]
pub struct Llama {
    file: File,
    config: Json,
    shape: LlamaConfig,
}

impl Llama {
    /// Reads what model a file holds, and compares its tensors with that.
    pub fn new(file: File) -> Result<Self, ModelError> {
        let config = read_config(&file).map_err(|reason| file.bad(reason))?;
        let shape = match Shape::from_json(&config).map_err(|reason| file.bad(reason))? {
            Shape::Llama(shape) => shape,
            Shape::Qwen35(_) => return Err(file.bad("it is no Llama model".to_owned())),
        };
        let mut model = Self { file, config, shape };
        model.check()?;
        model.config["dtype"] = match model.matrices()? {
            Element::F16 => "float16".into(),
            Element::Bf16 => "bfloat16".into(),
            _ => "float32".into(),
        };
        Ok(model)
    }

    /// The model's `config.json`.
    pub fn config(&self) -> &Json {
        &self.config
    }

    /// The file, for what else it holds.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes the weights as safetensors, in the types that they have; numbers in blocks become 32-bit
    /// floats. Gives the size of what was written.
    pub fn write(&self, path: &Path) -> Result<u64, ModelError> {
        let narrow = self.matrices()?;
        let mut tensors = Vec::new();
        for (name, shape) in self.shape.tensors() {
            let own = self.file.element(&placed(&name).unwrap_or_default())?;
            let element = match own {
                Element::F32 if shape.len() < 2 && self.fits(&name, narrow)? => narrow,
                Element::Q8 | Element::Q4 => Element::F32,
                other => other,
            };
            tensors.push((name, shape, element));
        }
        write_safetensors(path, &tensors, self)
    }

    /// The type that matrices of layers become.
    fn matrices(&self) -> Result<Element, ModelError> {
        Ok(match self.file.element("blk.0.ffn_up.weight")? {
            Element::Q8 | Element::Q4 => Element::F32,
            other => other,
        })
    }

    /// Whether a narrower type loses nothing of a tensor: norms are 32-bit floats in every GGUF, whatever
    /// they were before.
    fn fits(&self, name: &str, element: Element) -> Result<bool, ModelError> {
        let values = collected(self, name)?;
        let (mut bytes, mut back) = (Vec::new(), vec![0.0; values.len()]);
        let held = element.encode(&values, &mut bytes).is_ok();
        element.decode(&bytes, &mut back);
        Ok(held && back == values)
    }

    fn check(&self) -> Result<(), ModelError> {
        let expected = self.shape.tensors();
        let mut known = vec![FACTORS.to_owned()];
        for (name, shape) in &expected {
            let own = placed(name).unwrap_or_default();
            self.file.element(&own)?;
            let found = self.file.shape(&own).unwrap_or_default();
            if found != shape {
                return Err(self.file.bad(format!(
                    "the tensor `{own}` has shape {found:?}, the file's metadata asks for {shape:?}"
                )));
            }
            known.push(own);
        }
        match self.file.names().find(|name| !known.iter().any(|own| own == name)) {
            None => Ok(()),
            Some(name) => Err(self.file.bad(format!(
                "it holds the tensor `{name}`, which a Llama of its metadata does not have"
            ))),
        }
    }
}

impl Rows for Llama {
    fn rows(&self, name: &str, each: &mut dyn FnMut(&[f32])) -> Result<(), ModelError> {
        let own = placed(name).unwrap_or_default();
        if !is_turned(name) {
            return self.file.rows(&own, each);
        }
        let shape = self.file.shape(&own).unwrap_or_default();
        let columns = if shape.len() > 1 { shape[1] } else { 1 };
        let mut values = Vec::new();
        self.file.rows(&own, &mut |row| values.extend(row))?;
        let values = turned(&values, columns, self.shape.decoder.head_dim, Pairs::Halves);
        values.chunks(shape[shape.len() - 1]).for_each(each);
        Ok(())
    }
}

/// An error where a file's metadata asks for what a Llama does not have.
fn check_kind(file: &File) -> Result<(), String> {
    let text = |key: &str| file.get(key).and_then(Value::as_text);
    let architecture = text("general.architecture").unwrap_or("none");
    if architecture != "llama" {
        return Err(format!("its architecture is `{architecture}`; `llama` is read"));
    }
    let experts = file.get("llama.expert_count").and_then(Value::as_number);
    if experts.is_some_and(|count| count > 0) {
        return Err("it is a mixture of experts, which is not supported".to_owned());
    }
    let scale = file.get("llama.attention.scale").and_then(Value::as_float);
    if scale.is_some_and(|scale| scale != 0.0) {
        return Err("its metadata sets `llama.attention.scale`, which is not supported".to_owned());
    }
    Ok(())
}

/// The `config.json` that a file's metadata amounts to.
fn read_config(file: &File) -> Result<Json, String> {
    check_kind(file)?;
    let number = |key: &str| file.get(&format!("llama.{key}")).and_then(Value::as_number);
    let needed = |key: &str| {
        number(key).ok_or_else(|| format!("its metadata lacks the number `llama.{key}`"))
    };
    let float = |key: &str| file.get(&format!("llama.{key}")).and_then(Value::as_float);
    let (hidden, heads) = (needed("embedding_length")?, needed("attention.head_count")?);
    let (layers, tensors) = (needed("block_count")?, file.names().count());
    if layers > tensors {
        return Err(format!(
            "its metadata asks for {layers} layers, and it holds {tensors} tensors"
        ));
    }
    let head = number("attention.key_length").unwrap_or(hidden / heads.max(1));
    for key in ["attention.value_length", "rope.dimension_count"] {
        if let Some(other) = number(key).filter(|&other| other != head) {
            return Err(format!("its heads have {head} dimensions, but `llama.{key}` is {other}"));
        }
    }
    let rows = file.shape("token_embd.weight").and_then(|shape| shape.first().copied());
    let has = |name: &str| file.shape(name).is_some();
    let mut config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "vocab_size": rows.ok_or("it lacks the tensor `token_embd.weight`")?,
        "hidden_size": hidden, "intermediate_size": needed("feed_forward_length")?,
        "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": number("attention.head_count_kv").unwrap_or(heads),
        "head_dim": head, "max_position_embeddings": needed("context_length")?,
        "rms_norm_eps": float("attention.layer_norm_rms_epsilon")
            .ok_or("its metadata lacks `llama.attention.layer_norm_rms_epsilon`")?,
        "tie_word_embeddings": !has("output.weight"),
        "attention_bias": has("blk.0.attn_q.bias"), "mlp_bias": has("blk.0.ffn_gate.bias"),
    });
    config["rope_parameters"] = rope(file, head)?;
    for key in ["bos_token_id", "eos_token_id"] {
        if let Some(id) = file.get(&format!("tokenizer.ggml.{key}")).and_then(Value::as_number) {
            config[key] = id.into();
        }
    }
    Ok(config)
}

/// The rotary embedding.
fn rope(file: &File, head: usize) -> Result<Json, String> {
    let get = |key: &str| file.get(&format!("llama.{key}"));
    let theta = get("rope.freq_base").and_then(Value::as_float).unwrap_or(10_000.0);
    let mut rope = json!({"rope_theta": theta, "rope_type": "default"});
    let kind = get("rope.scaling.type").and_then(Value::as_text).unwrap_or("none");
    match kind {
        "none" => {}
        "linear" => {
            let factor = get("rope.scaling.factor").and_then(Value::as_float);
            rope["rope_type"] = "linear".into();
            rope["factor"] = factor.ok_or("its metadata lacks `llama.rope.scaling.factor`")?.into();
        }
        other => return Err(format!("its rope scaling `{other}` is not supported")),
    }
    if file.shape(FACTORS).is_some() {
        let mut found = Vec::new();
        file.rows(FACTORS, &mut |row| found.extend(row)).map_err(|error| error.to_string())?;
        let context = get("context_length").and_then(Value::as_number).unwrap_or(0);
        let scaling = recognised(&found, (theta, head), context)
            .filter(|_| kind == "none")
            .ok_or_else(|| format!("`{FACTORS}` is no scaling of Llama 3 that is known"))?;
        rope = json!({
            "rope_theta": theta, "rope_type": "llama3", "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_max_position_embeddings as u64,
        });
    }
    Ok(rope)
}
