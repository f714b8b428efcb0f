//! `spec export` from outside: a folder in another type is the same model, as far as the type goes.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use support::command::{Models, Spec, assert_one_line, stdout};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

fn export(model: &str, dtype: &str, out: &str, more: &[&str]) -> std::process::Output {
    let fixed = ["export", "--model", model, "--dtype", dtype, "--out", out];
    SPEC.run(&[&fixed[..], more].concat())
}

/// Probabilities of the next token at each position.
fn laws(model: &str) -> Vec<HashMap<String, f64>> {
    let prompt = ["--prompt", "ab cd abcd", "--top", "0", "--threads", "1", "--json"];
    let shown = stdout(&SPEC.run(&[&["explore", "--model", model][..], &prompt].concat()));
    let value: Value = serde_json::from_str(&shown).unwrap();
    let of = |position: &Value| {
        let entries = position["next"].as_array().unwrap().iter();
        entries
            .map(|entry| (entry["id"].to_string(), entry["logprob"].as_f64().unwrap().exp()))
            .collect()
    };
    value["positions"].as_array().unwrap().iter().map(of).collect()
}

/// The largest difference of a probability.
fn difference(left: &str, right: &str) -> f64 {
    let (left, right) = (laws(left), laws(right));
    assert_eq!(left.len(), right.len());
    let pairs = left.iter().zip(&right);
    pairs
        .flat_map(|(left, right)| {
            left.iter().filter_map(|(id, p)| Some((p - right.get(id)?).abs()))
        })
        .fold(0.0, f64::max)
}

fn types(folder: &PathBuf) -> HashMap<String, Dtype> {
    let mut found = HashMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "safetensors") {
            let bytes = fs::read(path).unwrap();
            let tensors = SafeTensors::deserialize(&bytes).unwrap();
            let pairs = tensors.tensors();
            found.extend(pairs.into_iter().map(|(name, view)| (name, view.dtype())));
        }
    }
    found
}

#[test]
fn every_type_is_the_same_model_as_far_as_it_goes() {
    let models = Models::new(SPEC);
    let from = models.path("target");
    for (dtype, stored, bound) in [
        ("fp32", Dtype::F32, 0.0),
        ("bf16", Dtype::BF16, 0.03),
        ("fp16", Dtype::F16, 0.005),
        ("int8", Dtype::I8, 0.05),
    ] {
        let out = models.path(dtype);
        let printed = stdout(&export(&from, dtype, &out, &[]));
        assert_eq!(printed.trim(), out);
        let found = difference(&from, &out);
        assert!(found <= bound && (found > 0.0) == (dtype != "fp32"), "{dtype}: {found}");
        let types = types(&models.folder.path().join(dtype));
        assert_eq!(types["model.embed_tokens.weight"], stored);
        let norm = if dtype == "int8" { Dtype::F32 } else { stored };
        assert_eq!(types["model.norm.weight"], norm);
        let config = fs::read(models.folder.path().join(dtype).join("config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert!(config["dtype"].is_string());
    }
    let back = models.path("back");
    stdout(&export(&models.path("int8"), "fp32", &back, &[]));
    assert_eq!(difference(&models.path("int8"), &back), 0.0, "what is read is what is written");
}

#[test]
fn files_are_no_larger_than_was_asked_for() {
    let models = Models::new(SPEC);
    let out = models.path("small");
    stdout(&export(&models.path("target"), "int8", &out, &["--shard-size", "8KB"]));
    let folder = models.folder.path().join("small");
    assert!(folder.join("model.safetensors.index.json").is_file());
    let sizes: Vec<u64> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "safetensors"))
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    // Headers come on top of the weights.
    assert!(sizes.len() > 1 && sizes.iter().all(|&size| size < 11_000), "{sizes:?}");
    assert!(difference(&models.path("target"), &out) < 0.05);
}

#[test]
fn what_cannot_be_exported_is_said_in_one_line() {
    let models = Models::new(SPEC);
    let (from, out) = (models.path("target"), models.path("out"));
    assert_one_line(&export(&from, "fp32", &models.path("draft"), &[]), &["is there already"]);
    let size = export(&from, "fp32", &out, &["--shard-size", "big"]);
    assert_one_line(&size, &["--shard-size big", "15MB"]);
    let spoilt = models.copy("target", "spoilt");
    fs::write(spoilt.join("model.safetensors"), [0; 20]).unwrap();
    assert_one_line(&export(&models.path("spoilt"), "int8", &out, &[]), &["model.safetensors"]);
    assert!(!models.folder.path().join("out").exists(), "nothing half-written is left");
}

#[test]
fn whole_numbers_without_scales_are_refused() {
    let models = Models::new(SPEC);
    let out = models.path("int8");
    stdout(&export(&models.path("target"), "int8", &out, &[]));
    let path = models.folder.path().join("int8/model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let name = "model.layers.0.mlp.down_proj.weight_scale";
    let kept: Vec<_> = tensors.tensors().into_iter().filter(|(own, _)| own != name).collect();
    fs::write(&path, safetensors::serialize(kept, None).unwrap()).unwrap();
    let shown = SPEC.run(&["explore", "--model", &out, "--prompt", "ab"]);
    assert_one_line(&shown, &["model.safetensors", name]);
}
