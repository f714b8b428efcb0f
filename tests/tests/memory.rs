//! What loading takes: a checkpoint of Llama-3.2-1B's shape needs little more resident memory, mapped
//! pages included, than its weights. Alone in its file, and so in its process.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fs::File;
use std::io::Write;
use std::path::Path;

use draft::config::Shape;
use draft::language_model::Wanted;
use draft::{Compute, Model};
use serde_json::{Map, Value, json};

/// Writes a checkpoint of zeros in 16-bit floats as a file with a hole, and gives its size in bytes.
fn write_hollow(folder: &Path, config: &Value) -> u64 {
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in Shape::from_json(config).unwrap().tensors() {
        let first = end;
        end += 2 * shape.iter().product::<usize>() as u64;
        let entry = json!({"dtype": "BF16", "shape": shape, "data_offsets": [first, end]});
        header.insert(name, entry);
    }
    let mut header = Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut file = File::create(folder.join("model.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + end).unwrap();
    end
}

/// A line of a file under `/proc`, in bytes.
fn kilobytes(path: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[test]
fn loading_needs_little_more_memory_than_the_weights() {
    let enough = 6 << 30;
    if kilobytes("/proc/meminfo", "MemAvailable").is_none_or(|free| free < enough) {
        eprintln!("skipped: 6 GB of free memory are not here, or cannot be told");
        return;
    }
    let models: Vec<Value> =
        serde_json::from_str(include_str!("../../experiments/models.json")).unwrap();
    let model = models.iter().find(|model| model["name"] == "llama-3.2-1b").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let size = write_hollow(folder.path(), &model["config"]);
    assert_eq!(size, 2 * 1_235_814_400);
    let compute = Compute { kind: tch::Kind::BFloat16, ..Compute::CPU };
    let mut network = Model::load(folder.path(), compute).unwrap().network;
    network.extend(&[1, 2, 3], Wanted::Last).unwrap();
    let peak = kilobytes("/proc/self/status", "VmHWM").unwrap();
    let ratio = peak as f64 / size as f64;
    eprintln!("peak resident memory: {peak} bytes, {ratio:.3} times the weights");
    assert!(ratio < 1.15, "{ratio:.3} times the weights");
    assert!(ratio > 1.0, "the weights are in memory");
}
