//! `spec export --format onnx`: graphs say what transformers says of the same weights, run by the
//! operators' definitions, and are those that onnxruntime has run (`tests/oracle/compare_onnx.py`).

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod onnx;

use std::fs;
use std::path::Path;

use experiments::export::onnx::{DATA, MODEL, Numbers, onnx as export};
use onnx::{File, lines};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::checkpoints::write_formula;
use support::command::{Models, Spec, assert_one_line, stdout};
use support::shared::fixture;
use tch::{Kind, Tensor};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));
const LOGITS_TOLERANCE: f64 = 1e-4;
const PADDING: usize = 3;
const INSIDE: u64 = u64::MAX;

#[derive(Deserialize)]
struct Case {
    name: String,
    config: Value,
    seed: u64,
    parameters: u64,
    ids: Vec<i64>,
    #[serde(rename = "positions")]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    position: usize,
    vocab_ids: Vec<i64>,
    logits: Vec<f32>,
}

/// The models of the fixture but for the published drafts, which are large.
fn cases() -> Vec<Case> {
    let cases: Vec<Case> =
        serde_json::from_value(fixture("architectures.json")["cases"].take()).unwrap();
    cases.into_iter().filter(|case| case.parameters < 1_000_000).collect()
}

impl Case {
    /// Its files, read back.
    fn exported(&self, numbers: Numbers, limit: u64) -> File {
        let folder = tempfile::tempdir().unwrap();
        let (from, out) = (folder.path().join("from"), folder.path().join("out"));
        fs::create_dir(&from).unwrap();
        write_formula(&from, &self.config, self.seed);
        export(&from, &out, numbers, limit).unwrap();
        assert_eq!(out.join(DATA).exists(), limit < INSIDE);
        File::read(&out)
    }

    /// The largest difference from transformers' logits.
    fn difference(&self, found: &Tensor) -> f64 {
        let differences = self.rows.iter().map(|row| {
            let found =
                found.get(row.position as i64).index_select(0, &Tensor::from_slice(&row.vocab_ids));
            (found - Tensor::from_slice(&row.logits)).abs().max().double_value(&[])
        });
        // Not `f64::max`, which forgets what is no number.
        differences.fold(0.0, |worst, next| if next <= worst { worst } else { next })
    }

    /// Logits, read in pieces that end at `cuts`, with so much padding before the text and another
    /// text beside it.
    fn logits(&self, file: &File, padding: usize, cuts: &[usize]) -> Tensor {
        let count = padding + self.ids.len();
        let own = [vec![0; padding], self.ids.clone()].concat();
        let other: Vec<i64> = self.ids.iter().rev().cycle().copied().take(count).collect();
        let texts = [own, other].concat();
        let ids = Tensor::from_slice(&texts).view([2, count as i64]);
        let mask = Tensor::ones_like(&ids);
        let _ = mask.get(0).narrow(0, 0, padding as i64).fill_(0);
        let (mut past, mut rows, mut first) = (file.nothing(2), Vec::new(), 0);
        for &end in cuts.iter().chain([&count]) {
            let piece = ids.narrow(1, first, end as i64 - first);
            let (logits, now) = file.run(&piece, &past, &mask.narrow(1, 0, end as i64));
            rows.push(logits.get(0));
            (past, first) = (now, end as i64);
        }
        Tensor::cat(&rows, 0).narrow(0, padding as i64, self.ids.len() as i64)
    }
}

/// However ids are read, what the graph says of them is what transformers says.
fn check(model_type: &str, least: usize) {
    let (mut worst, mut models) = (0.0f64, 0);
    for case in cases().iter().filter(|case| case.config["model_type"] == model_type) {
        let file = case.exported(Numbers::Fp32, INSIDE);
        let count = case.ids.len();
        let each: Vec<usize> = (1..count).collect();
        let pieces = [PADDING + count / 3, PADDING + count / 2];
        let pieces: Vec<usize> = pieces.into_iter().filter(|&cut| cut > PADDING).collect();
        let ways = [
            ("at once", case.logits(&file, 0, &[])),
            ("padded", case.logits(&file, PADDING, &[])),
            ("padded, in pieces", case.logits(&file, PADDING, &pieces)),
            ("id by id", case.logits(&file, 0, if count < 40 { &each } else { &[] })),
        ];
        for (way, logits) in &ways {
            let difference = case.difference(logits);
            assert!(difference < LOGITS_TOLERANCE, "{}, {way}: {difference:e}", case.name);
            worst = worst.max(difference);
        }
        models += 1;
    }
    assert!(models >= least, "{models} models");
    eprintln!("{model_type}: {models} models, logits differ by {worst:e} at most");
}

#[test]
fn llama_is_what_transformers_says() {
    check("llama", 20);
}

#[test]
fn mistral_is_what_transformers_says() {
    check("mistral", 20);
}

#[test]
fn qwen35_is_what_transformers_says() {
    check("qwen3_5_text", 20);
}

#[test]
fn graphs_are_those_that_onnxruntime_has_run() {
    let known: Vec<Value> = serde_json::from_value(fixture("onnx.json")["cases"].take()).unwrap();
    let cases = cases();
    assert!(known.len() >= cases.len());
    for case in cases {
        let known = known.iter().find(|known| known["name"] == case.name.as_str()).unwrap();
        for (name, numbers) in
            [("fp32", Numbers::Fp32), ("fp16", Numbers::Fp16), ("int8", Numbers::Int8)]
        {
            let file = case.exported(numbers, INSIDE);
            let hash = Sha256::digest(lines(&file.model).join("\n"));
            let hash = format!("{hash:x}");
            assert_eq!(
                known["structure"][name],
                hash.as_str(),
                "{}: onnxruntime has not seen this graph; run tests/oracle/compare_onnx.py --write",
                case.name
            );
        }
    }
}

#[test]
fn weights_beside_the_graph_are_the_same_weights() {
    for case in cases().iter().filter(|case| case.parameters > 20_000).take(2) {
        let (inside, beside) =
            (case.exported(Numbers::Fp32, INSIDE), case.exported(Numbers::Fp32, 1_000));
        let is_outside = |file: &File| {
            file.graph().initializer.iter().filter(|tensor| tensor.data_location == Some(1)).count()
        };
        assert!(is_outside(&inside) == 0 && is_outside(&beside) > 3);
        assert_eq!(inside.tensors.len(), beside.tensors.len());
        assert!(inside.tensors.iter().all(|(name, own)| *own == beside.tensors[name]));
    }
}

/// How far logits are from those of 32-bit floats, as a share of the latter's spread.
fn off(case: &Case, numbers: Numbers) -> f64 {
    let truth = case.logits(&case.exported(Numbers::Fp32, INSIDE), 0, &[]);
    let found = case.logits(&case.exported(numbers, INSIDE), 0, &[]);
    assert_eq!(found.kind(), Kind::Float);
    let error = (found - &truth).square().mean(Kind::Double).sqrt();
    (error / truth.to_kind(Kind::Double).std(true)).double_value(&[])
}

#[test]
fn fewer_bits_are_the_same_model_as_far_as_they_go() {
    let mut models = 0;
    for case in cases().iter().filter(|case| case.ids.len() > 30).step_by(5) {
        let (half, whole) = (off(case, Numbers::Fp16), off(case, Numbers::Int8));
        assert!(half > 0.0 && half < 0.02, "{}: fp16 is off by {half}", case.name);
        assert!(whole > half && whole < 0.3, "{}: int8 is off by {whole}", case.name);
        models += 1;
    }
    assert!(models > 8);
}

#[test]
fn whole_numbers_stand_for_the_weights_of_their_rows() {
    let case = &cases()[3];
    let (floats, whole) =
        (case.exported(Numbers::Fp32, INSIDE), case.exported(Numbers::Int8, INSIDE));
    let mut matrices = 0;
    for (name, numbers) in whole.tensors.iter().filter(|(_, own)| own.kind() == Kind::Int8) {
        let stem = name.trim_end_matches(".quantized").trim_end_matches(".transposed");
        let turned = name.contains(".transposed");
        let scales = &whole.tensors[&format!("{stem}.scale")];
        let scales = if turned { scales.shallow_clone() } else { scales.unsqueeze(1) };
        let truth = &floats.tensors[name.trim_end_matches(".quantized")];
        let steps = (numbers.to_kind(Kind::Float) - truth / scales).abs().max();
        assert!(steps.double_value(&[]) < 0.501, "{name}");
        matrices += 1;
    }
    assert!(matrices > 7);
    let size = |file: &File| -> usize {
        file.graph().initializer.iter().filter_map(|own| own.raw_data.as_ref()).map(Vec::len).sum()
    };
    assert!(3 * size(&whole) < size(&floats), "a quarter, and scales");
}

#[test]
fn a_folder_has_all_that_a_program_asks_for() {
    let models = Models::new(SPEC);
    let (from, out) = (models.path("target"), models.path("out"));
    let args = ["export", "--model", &from, "--format", "onnx", "--dtype", "int8", "--out", &out];
    let output = SPEC.run(&args);
    assert_eq!(stdout(&output).trim(), out);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(talk.contains(MODEL) && talk.contains("weights are off by 0."), "{talk}");
    for name in [MODEL, "config.json", "tokenizer.json"] {
        assert!(Path::new(&out).join(name).is_file(), "{name}");
    }
    assert_eq!(File::read(Path::new(&out)).graph().output[0].name.as_deref(), Some("logits"));
    let again = SPEC.run(&args);
    assert_one_line(&again, &[&out, "exists already", "--out"]);
}

#[test]
fn what_cannot_be_exported_is_said_in_one_line() {
    let models = Models::new(SPEC);
    let out = models.path("out");
    let run = |model: &str, dtype: &str| {
        let fixed = ["export", "--format", "onnx", "--out", &out];
        SPEC.run(&[&fixed[..], &["--model", &models.path(model), "--dtype", dtype]].concat())
    };
    assert_one_line(&run("target", "bf16"), &["--format onnx", "bf16", "--dtype"]);
    let spoilt = models.copy("target", "spoilt");
    fs::write(spoilt.join("model.safetensors"), [0; 20]).unwrap();
    assert_one_line(&run("spoilt", "int8"), &["model.safetensors"]);
    fs::write(spoilt.join("config.json"), r#"{"model_type": "gpt2"}"#).unwrap();
    assert_one_line(&run("spoilt", "fp32"), &["config.json", "gpt2"]);
    assert!(!Path::new(&out).exists(), "nothing half-written is left");
}
