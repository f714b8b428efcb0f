//! A Llama model as a GGUF file. What the format or llama.cpp's graph of a Llama cannot hold is an
//! error, and never written.

use std::path::Path;

use super::ALIGNMENT;
use super::blocks::Element;
use super::llama::{FACTORS, collected, is_turned, placed, stored};
use super::scaling::factors;
use super::value::Value;
use super::write::{Entry, begin};
use crate::checkpoint::rows::{Pairs, Rows, turned};
use crate::config::LlamaConfig;
use crate::error::ModelError;

/// Why a Llama model cannot be written.
fn refusal(config: &LlamaConfig) -> Option<String> {
    let sizes = &config.decoder;
    let window = config.window.filter(|&window| window < sizes.context)?;
    Some(format!(
        "attention sees {window} positions of a context of {}, and llama.cpp's graph of a Llama has no \
         window; set `max_position_embeddings` of its config.json to {window} to export it for texts \
         of that length",
        sizes.context
    ))
}

/// The sizes of a model as metadata.
fn sizes(config: &LlamaConfig, element: Element) -> Vec<(String, Value)> {
    let sizes = &config.decoder;
    let mut list = vec![
        ("general.architecture", Value::text("llama")),
        ("general.type", Value::text("model")),
        ("general.file_type", Value::number(element.file_type() as usize)),
        ("general.quantization_version", Value::number(2)),
        ("llama.vocab_size", Value::number(sizes.vocab_size)),
        ("llama.context_length", Value::number(sizes.context)),
        ("llama.embedding_length", Value::number(sizes.hidden_size)),
        ("llama.block_count", Value::number(sizes.layers)),
        ("llama.feed_forward_length", Value::number(sizes.intermediate_size)),
        ("llama.attention.head_count", Value::number(sizes.heads)),
        ("llama.attention.head_count_kv", Value::number(sizes.kv_heads)),
        ("llama.attention.key_length", Value::number(sizes.head_dim)),
        ("llama.attention.value_length", Value::number(sizes.head_dim)),
        ("llama.attention.layer_norm_rms_epsilon", Value::Float(sizes.norm_epsilon as f32)),
        ("llama.rope.dimension_count", Value::number(sizes.head_dim)),
        ("llama.rope.freq_base", Value::Float(sizes.rope.theta as f32)),
    ];
    if sizes.rope.linear_factor != 1.0 {
        list.push(("llama.rope.scaling.type", Value::text("linear")));
        let factor = sizes.rope.linear_factor as f32;
        list.push(("llama.rope.scaling.factor", Value::Float(factor)));
    }
    list.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Writes a Llama model with its matrices in one type, norms and biases in 32 bits, and gives the
/// file's size. `more` is metadata beside the model's sizes.
pub fn export(
    path: &Path,
    config: &LlamaConfig,
    source: &dyn Rows,
    element: Element,
    more: Vec<(String, Value)>,
) -> Result<u64, ModelError> {
    let bad = |reason| ModelError::Format { path: path.into(), reason };
    if let Some(reason) = refusal(config) {
        return Err(bad(reason));
    }
    let decoder = &config.decoder;
    let tensors = config.tensors();
    let mut entries = Vec::new();
    for (name, shape) in &tensors {
        let own = placed(name).ok_or_else(|| bad(format!("`{name}` has no place in GGUF")))?;
        let element = stored(name, shape, element);
        entries.push(Entry { name: own, shape: shape.clone(), element });
    }
    let scaling = decoder.rope.llama3.as_ref();
    let factors = scaling.map(|scaling| factors(decoder.rope.theta, decoder.head_dim, scaling));
    if let Some(factors) = &factors {
        let (name, shape) = (FACTORS.to_owned(), vec![factors.len()]);
        entries.push(Entry { name, shape, element: Element::F32 });
    }
    let metadata = [sizes(config, element), more].concat();
    let mut file = begin(path, &metadata, &entries)?;
    for ((name, shape), entry) in tensors.iter().zip(&entries) {
        let mut row = |row: &[f32]| file.row(name, entry.element, row);
        if is_turned(name) {
            let columns = if shape.len() > 1 { shape[1] } else { 1 };
            let values = collected(source, name)?;
            let values = turned(&values, columns, decoder.head_dim, Pairs::Neighbours);
            values.chunks(shape[shape.len() - 1]).for_each(&mut row);
        } else {
            source.rows(name, &mut row)?;
        }
        file.align(ALIGNMENT);
        file.check()?;
    }
    if let Some(factors) = &factors {
        file.row(FACTORS, Element::F32, factors);
        file.align(ALIGNMENT);
    }
    file.finish()
}
