//! A checkpoint in several files, made of one that is in one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::json;

/// Replaces a folder's `model.safetensors` by two files and their index.
pub fn split_weights(folder: &Path) {
    let whole = folder.join("model.safetensors");
    let bytes = fs::read(&whole).unwrap();
    let mut tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    tensors.sort_by(|left, right| left.0.cmp(&right.0));
    let mut weight_map = BTreeMap::new();
    let half = tensors.len().div_ceil(2);
    for (index, part) in tensors.chunks(half).enumerate() {
        let name = format!("model-{:05}-of-00002.safetensors", index + 1);
        weight_map.extend(part.iter().map(|(tensor, _)| (tensor.clone(), name.clone())));
        let views = part.iter().map(|(tensor, view)| (tensor.as_str(), view));
        fs::write(folder.join(&name), safetensors::serialize(views, None).unwrap()).unwrap();
    }
    let index = json!({"metadata": {}, "weight_map": weight_map});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    fs::remove_file(whole).unwrap();
}
