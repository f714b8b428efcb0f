//! Bad input: one clear line that names the file, the cause and the remedy, and exit code 2.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::checkpoints::{tiny_config, write_formula};
use support::command::{Models, SINGLES, Spec, assert_one_line};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

#[test]
fn damaged_models_are_named() {
    let models = Models::new(SPEC);
    let weights = |folder: &Path| folder.join("model.safetensors");

    let folder = models.copy("draft", "truncated");
    let bytes = fs::read(weights(&folder)).unwrap();
    fs::write(weights(&folder), &bytes[..bytes.len() / 2]).unwrap();
    assert_one_line(&models.bench("truncated", &[]), &["model.safetensors", "fetch it again"]);

    fs::write(weights(&folder), b"").unwrap();
    assert_one_line(&models.bench("truncated", &[]), &["model.safetensors"]);

    let folder = models.copy("draft", "lying");
    let mut config = tiny_config(SINGLES.len() + 3);
    config["intermediate_size"] = 64.into();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    assert_one_line(&models.bench("lying", &[]), &["gate_proj", "[48, 32]", "[64, 32]"]);

    config["intermediate_size"] = 48.into();
    config["num_hidden_layers"] = 3.into();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    assert_one_line(&models.bench("lying", &[]), &["lacks the tensor", "layers.2"]);

    config["num_hidden_layers"] = 1.into();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    assert_one_line(&models.bench("lying", &[]), &["does not know", "layers.1"]);

    fs::write(folder.join("config.json"), "{\"model_type\": \"llama\"}").unwrap();
    assert_one_line(&models.bench("lying", &[]), &["config.json", "vocab_size"]);

    let folder = models.copy("draft", "small");
    write_formula(&folder, &tiny_config(8), 1);
    assert_one_line(&models.bench("small", &[]), &["tokenizer", "8 rows"]);

    let folder = models.copy("draft", "bare");
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    assert_one_line(&models.bench("bare", &[]), &["bare", "tokenizer.json"]);

    let folder = models.copy("draft", "weightless");
    fs::remove_file(weights(&folder)).unwrap();
    assert_one_line(&models.bench("weightless", &[]), &["cannot read", "model.safetensors"]);

    let folder = models.copy("monster", "pointer");
    fs::write(folder.join("tokenmonster.vocab"), "version https://git-lfs").unwrap();
    assert_one_line(&models.bench("pointer", &[]), &["tokenmonster.vocab"]);
}

#[test]
fn integer_weights_are_refused() {
    let models = Models::new(SPEC);
    let folder = models.copy("draft", "integers");
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
    let spoiled = header.replace("F32", "I32");
    fs::write(&path, [&bytes[..8], spoiled.as_bytes(), &bytes[8 + length..]].concat()).unwrap();
    assert_one_line(&models.bench("integers", &[]), &["model.safetensors", "I32", "BF16"]);
}

#[test]
fn bad_prompts_are_named() {
    let models = Models::new(SPEC);
    let run = |lines: &[Value]| models.bench_on("draft", &models.prompts(lines), &[]);
    assert_one_line(&run(&[json!({"prompt": ""})]), &["prompt `0` is empty"]);
    assert_one_line(&run(&[json!({"other": 1})]), &["line 1", "not a prompt"]);
    assert_one_line(&run(&[]), &["holds no prompt"]);
    let long = json!({"prompt": "ab ".repeat(100)});
    assert_one_line(&run(&[long]), &["none of the 1 prompts", "too long"]);
    assert_one_line(&models.bench_on("draft", "nowhere.jsonl", &[]), &["nowhere.jsonl"]);
}

#[test]
fn bad_flags_are_named() {
    let models = Models::new(SPEC);
    let wrong: [(&[&str], &[&str]); 6] = [
        (&["--gamma", "0"], &["--gamma"]),
        (&["--temperature=-1"], &["temperature"]),
        (&["--top-p", "1.5"], &["--top-p"]),
        (&["--method", "identity"], &["identity", "slem or tli"]),
        (&["--dtype", "int3"], &["int3", "bf16"]),
        (&["--device", "tpu"], &["tpu", "cuda"]),
    ];
    for (flags, parts) in wrong {
        assert_one_line(&models.bench("draft", flags), parts);
    }
    if !draft::device::driver_present() {
        assert_one_line(&models.bench("draft", &["--device", "cuda"]), &["no NVIDIA driver"]);
    }
    let file = models.folder.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("run").display().to_string();
    assert_one_line(&models.bench("draft", &["--out", &below]), &["output folder", "file/run"]);
}

#[test]
fn models_that_cannot_be_had_are_explained() {
    let nowhere = [("HF_ENDPOINT", "http://127.0.0.1:9"), ("HF_HUB_CACHE", "/nonexistent")];
    let start = std::time::Instant::now();
    let output = SPEC.run_with(&["bench", "--draft", "stentor2"], &nowhere, "");
    assert_one_line(&output, &["StentorLabs/Stentor2-12M", "cannot be reached", "into a folder"]);
    assert!(start.elapsed().as_secs() < 20, "it must not hang");
    let output = SPEC.run_with(&["bench", "--draft", "org/model"], &nowhere, "");
    assert_one_line(&output, &["org/model", "Hub id"]);
    let output = SPEC.run_with(
        &["bench", "--draft", "stentor2"],
        &[("HF_HUB_OFFLINE", "1"), ("HF_HUB_CACHE", "/nonexistent")],
        "",
    );
    assert_one_line(&output, &["HF_HUB_OFFLINE"]);
    assert_one_line(&SPEC.run(&["bench", "--draft", "stentro2"]), &["did you mean `stentor2`?"]);
}
