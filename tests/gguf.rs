//! GGUF and llama2.c from outside: what is written is what the `gguf` package of llama.cpp writes, to the
//! bit; what is read is the model that it was; what cannot be had is said in one line.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::checkpoints::{gated_config, tiny_config, write_formula};
use support::command::{Models, SINGLES, Spec, assert_one_line, stdout};
use support::shared::fixture;
use support::tokenizers::write_bpe;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));
const TYPES: [&str; 5] = ["fp32", "bf16", "fp16", "q8_0", "q4_0"];

fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn toy_gguf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/toy.gguf")
}

/// The model of the fixtures, in a folder called `toy`.
fn toy(models: &Models) -> (String, Value) {
    let (folder, known) = (models.folder.path().join("toy"), fixture("gguf.json"));
    fs::create_dir_all(&folder).unwrap();
    write_formula(&folder, &known["config"], known["seed"].as_u64().unwrap());
    fs::write(folder.join("tokenizer.json"), known["tokenizer"].to_string()).unwrap();
    let config = json!({"bos_token": "<bos>", "eos_token": "<eos>"});
    fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
    (folder.display().to_string(), known)
}

fn export(model: &str, dtype: &str, out: &str, more: &[&str]) -> Output {
    let fixed = ["export", "--model", model, "--format", "gguf", "--dtype", dtype, "--out", out];
    SPEC.run(&[&fixed[..], more].concat())
}

fn import(file: &str, out: &str, more: &[&str]) -> Output {
    SPEC.run(&[&["import", file, "--out", out][..], more].concat())
}

/// Names, types and bytes of a folder's tensors, sorted by name.
fn tensors(folder: &str) -> Vec<(String, Dtype, Vec<u8>)> {
    let bytes = fs::read(Path::new(folder).join("model.safetensors")).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<_> = read
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype(), view.data().to_vec()))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn read_json(folder: &str, name: &str) -> Value {
    serde_json::from_slice(&fs::read(Path::new(folder).join(name)).unwrap()).unwrap()
}

/// What a model goes on with, greedily.
fn generated(model: &str) -> String {
    let prompt = ["--prompt", "ab cd", "--max-new", "12", "--temperature", "0", "--threads", "1"];
    stdout(&SPEC.run(&[&["generate", "--model", model, "--json"][..], &prompt].concat()))
}

/// The ids of a line of `spec generate --json`.
fn ids(line: &str) -> Value {
    serde_json::from_str::<Value>(line).unwrap()["ids"].clone()
}

#[test]
fn every_type_is_what_the_package_writes() {
    let models = Models::new(SPEC);
    let (toy, known) = toy(&models);
    for dtype in TYPES {
        let out = models.path(&format!("{dtype}.gguf"));
        assert_eq!(stdout(&export(&toy, dtype, &out, &[])).trim(), out);
        let digest = sha256(&fs::read(&out).unwrap());
        assert_eq!(digest, known["files"][dtype].as_str().unwrap(), "{dtype}");
    }
}

#[test]
fn what_the_package_writes_is_read() {
    let models = Models::new(SPEC);
    let (toy, known) = toy(&models);
    let out = models.path("imported");
    assert_eq!(stdout(&import(&toy_gguf().display().to_string(), &out, &[])).trim(), out);
    for (name, dtype, bytes) in tensors(&out) {
        let widened: Vec<u8> = match dtype {
            Dtype::F16 => {
                let values = bytes.as_chunks().0.iter().map(|own| half::f16::from_le_bytes(*own));
                values.flat_map(|value| value.to_f32().to_le_bytes()).collect()
            }
            Dtype::BF16 => {
                bytes.as_chunks::<2>().0.iter().flat_map(|own| [0, 0, own[0], own[1]]).collect()
            }
            _ => bytes,
        };
        assert_eq!(sha256(&widened), known["imported"][&name].as_str().unwrap(), "{name}");
    }
    let config = read_json(&out, "config.json");
    for (key, value) in known["config"].as_object().unwrap() {
        assert_eq!(&config[key], value, "{key}");
    }
    let tokenizer = read_json(&out, "tokenizer.json");
    for field in ["vocab", "merges"] {
        assert_eq!(tokenizer["model"][field], known["tokenizer"]["model"][field]);
    }
    let texts = "ab abcd, h\n ab\n";
    let cut =
        |folder: &str| stdout(&SPEC.run_with(&["tokenize", "--tokenizer", folder], &[], texts));
    assert_eq!(cut(&out), cut(&toy));
    assert_eq!(ids(&generated(&out)).as_array().unwrap().len(), 12);
}

#[test]
fn models_come_back_to_the_bit() {
    let models = Models::new(SPEC);
    let (toy, _) = toy(&models);
    for dtype in ["fp32", "fp16", "bf16"] {
        let (plain, file) = (models.path(dtype), models.path(&format!("{dtype}.gguf")));
        stdout(&SPEC.run(&["export", "--model", &toy, "--dtype", dtype, "--out", &plain]));
        stdout(&export(&plain, dtype, &file, &[]));
        let back = models.path(&format!("{dtype}-back"));
        stdout(&import(&file, &back, &[]));
        assert_eq!(tensors(&back), tensors(&plain), "{dtype}");
        assert_eq!(
            read_json(&back, "config.json")["dtype"],
            read_json(&plain, "config.json")["dtype"]
        );
        assert_eq!(ids(&generated(&back)), ids(&generated(&plain)));
    }
}

#[test]
fn a_tokenmonster_vocabulary_is_written_for_its_texts() {
    let models = Models::new(SPEC);
    let (from, file) = (models.path("monster"), models.path("monster.gguf"));
    let exported = export(&from, "fp32", &file, &[]);
    stdout(&exported);
    let said = String::from_utf8_lossy(&exported.stderr).into_owned();
    assert!(
        said.contains("note: ") && said.contains("feed it ids") && said.contains("0x7F"),
        "{said}"
    );
    let bytes = fs::read(&file).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|own| own == text.as_bytes());
    assert!(holds("general.description") && holds("feed it ids") && holds(r".\x7f"));
    let out = models.path("monster-back");
    let imported = import(&file, &out, &[]);
    stdout(&imported);
    let said = String::from_utf8_lossy(&imported.stderr).into_owned();
    assert!(said.contains("no tokenizer") && said.contains("--tokenizer FILE"), "{said}");
    let out = models.path("monster-whole");
    let vocab = format!("{from}/tokenmonster.vocab");
    stdout(&import(&file, &out, &["--tokenizer", &vocab]));
    assert_eq!(tensors(&out), tensors(&from));
    assert_eq!(ids(&generated(&out)), ids(&generated(&from)));
}

#[test]
fn what_llama_cpp_cannot_have_is_not_written() {
    let models = Models::new(SPEC);
    let (toy, known) = toy(&models);
    let out = models.path("out.gguf");
    let refused = |model: &str, dtype: &str, parts: &[&str]| {
        assert_one_line(&export(model, dtype, &out, &[]), parts);
        assert!(!Path::new(&out).exists());
    };
    // 48 numbers in a row, and a tokenizer that cuts nothing before it merges.
    let target = models.path("target");
    refused(&target, "fp32", &["tokenizer.json", "no pre-tokenizer", "--ids-only"]);
    let few = export(&target, "q8_0", &out, &["--ids-only"]);
    assert_one_line(&few, &["target", "ffn_down", "48 numbers", "blocks of 32", "f16"]);
    stdout(&export(&target, "fp16", &out, &["--ids-only"]));
    assert_one_line(
        &export(&target, "fp16", &out, &["--ids-only"]),
        &["out.gguf", "exists already"],
    );
    fs::remove_file(&out).unwrap();
    refused(&toy, "int8", &["--format gguf has no int8", "q8_0"]);
    let plain = SPEC.run(&["export", "--model", &toy, "--dtype", "q4_0", "--out", &out]);
    assert_one_line(&plain, &["--format gguf", "int8"]);

    let gated = models.copy("target", "gated");
    write_formula(&gated, &gated_config(SINGLES.len() + 5), 1);
    refused(&models.path("gated"), "fp32", &["gated", "not written as GGUF", "Qwen3.5"]);
    let mut config = known["config"].clone();
    config["sliding_window"] = 32.into();
    config["model_type"] = "mistral".into();
    write_formula(Path::new(&toy), &config, 1);
    refused(&toy, "fp32", &["toy", "32 positions", "no window", "max_position_embeddings"]);
    config["max_position_embeddings"] = 32.into();
    write_formula(Path::new(&toy), &config, 1);
    stdout(&export(&toy, "fp32", &out, &[]));
}

#[test]
fn what_a_type_cannot_hold_is_not_written() {
    let models = Models::new(SPEC);
    let (toy, _) = toy(&models);
    let path = Path::new(&toy).join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let names: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let at = names["lm_head.weight"]["data_offsets"][0].as_u64().unwrap() as usize + 8 + header;
    bytes[at..at + 4].copy_from_slice(&1e6f32.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let out = models.path("out.gguf");
    assert_one_line(
        &export(&toy, "fp16", &out, &[]),
        &["toy", "lm_head", "holds 1000000", "--dtype"],
    );
    assert!(!Path::new(&out).exists());
    stdout(&export(&toy, "bf16", &out, &[]));
}

#[test]
fn damaged_files_are_named() {
    let models = Models::new(SPEC);
    let whole = fs::read(toy_gguf()).unwrap();
    let (path, out) = (models.path("bad.gguf"), models.path("out"));
    let refused = |bytes: &[u8], parts: &[&str]| {
        fs::write(&path, bytes).unwrap();
        assert_one_line(&import(&path, &out, &[]), &[&["bad.gguf"], parts].concat());
        assert!(!Path::new(&out).exists());
    };
    refused(&whole[..whole.len() - 100], &["inside the tensor", "fetch it again"]);
    refused(&whole[..1000], &["inside its header"]);
    refused(&whole[..6], &["inside its header"]);
    refused(b"", &["too short"]);
    refused(&[b"{\"no\": ", &whole[..200]].concat(), &["no llama2.c file"]);
    let changed = |from: &[u8], to: &[u8], behind: usize| {
        let at =
            whole.windows(from.len()).position(|own| own == from).unwrap() + from.len() + behind;
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    refused(&changed(b"GGUF", &9u32.to_le_bytes(), 0), &["version 9"]);
    refused(&changed(b"GGUF", &3u32.to_be_bytes(), 0), &["the other byte order"]);
    // Behind a name: the number of sizes, two sizes, the type.
    let typed = changed(b"blk.0.attn_v.weight", &14u32.to_le_bytes(), 20);
    refused(&typed, &["attn_v", "Q6_K", "Q8_0, Q4_0 are read", "llama-quantize"]);
    // Behind a key: the type of its value, and the text's length.
    refused(
        &changed(b"general.architecture", b"mamba", 12),
        &["architecture is `mamba`", "`llama`"],
    );
    let many = changed(b"llama.block_count", &u32::MAX.to_le_bytes(), 4);
    refused(&many, &["4294967295 layers", "tensors"]);
    let other = changed(b"llama.feed_forward_length", &96u32.to_le_bytes(), 4);
    refused(&other, &["ffn", "[64, 32]", "[96, 32]"]);
    assert_one_line(&import(&models.path("nowhere"), &out, &[]), &["nowhere", "cannot read"]);
    let file = toy_gguf().display().to_string();
    assert_one_line(&import(&file, &models.path("target"), &[]), &["target", "exists already"]);
    let text = models.path("target") + "/config.json";
    assert_one_line(
        &import(&file, &out, &["--tokenizer", &text]),
        &["config.json", "no tokenizer"],
    );
}

/// The bytes of a llama2.c file of a folder's weights: version 0 or 1.
fn llama2c(folder: &str, version: u32, tied: bool) -> Vec<u8> {
    let all = tensors(folder);
    let of = |name: &str| all.iter().find(|(own, ..)| own == name).unwrap().2.clone();
    let layers = |part: &str| -> Vec<u8> {
        (0..2)
            .flat_map(|layer| {
                let bytes = of(&format!("model.layers.{layer}.{part}.weight"));
                let turns = part.contains("q_proj") || part.contains("k_proj");
                if turns { neighbours(&bytes, 8, 4 * 32) } else { bytes }
            })
            .collect()
    };
    let rows =
        all.iter().find(|(own, ..)| own == "model.embed_tokens.weight").unwrap().2.len() / 128;
    let rows = rows as i32 * if version == 0 && !tied { -1 } else { 1 };
    let sizes = [32, 48, 2, 4, 2, rows, 64].map(i32::to_le_bytes).concat();
    let matrices =
        ["q_proj", "k_proj", "v_proj", "o_proj"].map(|own| layers(&format!("self_attn.{own}")));
    let feed = ["gate_proj", "down_proj", "up_proj"].map(|own| layers(&format!("mlp.{own}")));
    let (embedding, norm) = (of("model.embed_tokens.weight"), of("model.norm.weight"));
    let head = if tied { Vec::new() } else { of("lm_head.weight") };
    let (first, second) = (layers("input_layernorm"), layers("post_attention_layernorm"));
    if version == 0 {
        let rotary = vec![0; 64 * 8 * 4];
        return [
            sizes,
            embedding,
            first,
            matrices.concat(),
            second,
            feed.concat(),
            norm,
            rotary,
            head,
        ]
        .concat();
    }
    let mut header = [0x616B_3432u32.to_le_bytes(), version.to_le_bytes()].concat();
    header.extend(sizes);
    header.push(u8::from(tied));
    header.resize(256, 0);
    [header, first, second, norm, embedding, matrices.concat(), feed.concat(), head].concat()
}

/// Rows of heads, those that are turned together side by side.
fn neighbours(bytes: &[u8], head: usize, row: usize) -> Vec<u8> {
    let rows: Vec<&[u8]> = bytes.chunks(row).collect();
    let of = |own: &[&[u8]]| {
        (0..head / 2).flat_map(|at| [own[at], own[at + head / 2]].concat()).collect::<Vec<u8>>()
    };
    rows.chunks(head).flat_map(of).collect()
}

#[test]
fn llama2c_files_are_the_models_that_they_were() {
    let models = Models::new(SPEC);
    let rows = SINGLES.len() + 3;
    for tied in [true, false] {
        let name = format!("plain-{tied}");
        let folder = models.copy("draft", &name);
        let mut config = tiny_config(rows);
        config["tie_word_embeddings"] = tied.into();
        write_formula(&folder, &config, 3);
        for version in [0, 1] {
            let file = models.path("model.bin");
            fs::write(&file, llama2c(&models.path(&name), version, tied)).unwrap();
            let out = models.path(&format!("v{version}-{tied}"));
            let tokenizer = models.path("draft") + "/tokenizer.json";
            stdout(&import(&file, &out, &["--tokenizer", &tokenizer]));
            assert_eq!(tensors(&out), tensors(&models.path(&name)));
            assert!(!ids(&generated(&out)).as_array().unwrap().is_empty());
        }
    }
    let file = models.path("model.bin");
    let whole = fs::read(&file).unwrap();
    let out = models.path("out");
    fs::write(&file, &whole[..whole.len() - 4]).unwrap();
    assert_one_line(&import(&file, &out, &[]), &["model.bin", "asks for", "fetch it again"]);
    fs::write(&file, [&whole[..], &[0]].concat()).unwrap();
    assert_one_line(&import(&file, &out, &[]), &["model.bin", "goes on behind"]);
    fs::write(&file, [&whole[..4], &7u32.to_le_bytes(), &whole[8..]].concat()).unwrap();
    assert_one_line(&import(&file, &out, &[]), &["model.bin", "version 7", "0, 1 and 2"]);
}

#[test]
fn story_models_of_llama2c_are_those_beside_them() {
    let Some(folder) = support::shared::path("weights/stories260k") else { return };
    let models = Models::new(SPEC);
    let own = |name: &str| folder.join(name).display().to_string();
    let out = models.path("stories");
    stdout(&import(&own("stories260K.bin"), &out, &["--tokenizer", &own("tok512.bin")]));
    assert_eq!(tensors(&out), tensors(&folder.display().to_string()));
    let text = "Once upon a time, there was a na\u{ef}ve  girl.\n Lily\n";
    let cut =
        |folder: &str| stdout(&SPEC.run_with(&["tokenize", "--tokenizer", folder], &[], text));
    assert_eq!(cut(&out), cut(&folder.display().to_string()));
    let wrong = import(
        &own("stories260K.bin"),
        &models.path("no"),
        &["--tokenizer", &own("stories260K.bin")],
    );
    assert_one_line(&wrong, &["stories260K.bin", "token"]);
    // Rows of 172 numbers have no blocks; scores are those of its merges.
    let file = models.path("stories.gguf");
    stdout(&export(&out, "fp16", &file, &[]));
    stdout(&import(&file, &models.path("again"), &[]));
    assert_eq!(cut(&models.path("again")), cut(&out));
}

#[test]
fn a_model_without_a_tokenizer_is_written_for_ids() {
    let models = Models::new(SPEC);
    let folder = models.copy("target", "bare");
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    let out = models.path("bare.gguf");
    assert_one_line(&export(&models.path("bare"), "fp32", &out, &[]), &["bare", "tokenizer"]);
    stdout(&export(&models.path("bare"), "fp32", &out, &["--ids-only"]));
    write_bpe(&folder, SINGLES, &[("a", "b")]);
    let back = models.path("back");
    let own = models.path("bare") + "/tokenizer.json";
    stdout(&import(&out, &back, &["--tokenizer", &own]));
    assert_eq!(tensors(&back), tensors(&models.path("bare")));
}
