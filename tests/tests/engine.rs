//! The CPU engine: its logits are libtorch's, and the same bits however ids are read.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use draft::checkpoint::{Checkpoint, StoredAs};
use draft::config::{ModelConfig, Shape};
use draft::engine::{Format, Isa, Native};
use draft::language_model::{LanguageModel, Logits, Wanted};
use draft::{Compute, Engine, Model};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::checkpoints::{tiny_config, write_formula};
use support::trees::{path_to, tree};

const ROWS: u32 = 40;

/// Shapes that differ in what the engine must mind.
fn shapes() -> Vec<Value> {
    let with = |more: Value| {
        let mut config = tiny_config(ROWS as usize);
        config["max_position_embeddings"] = 400.into();
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    vec![
        with(json!({})),
        // One key head for all; biases everywhere; a head of its own.
        with(json!({"num_key_value_heads": 1, "attention_bias": true, "mlp_bias": true,
            "tie_word_embeddings": false})),
        // Nothing is a whole number of vectors.
        with(json!({"hidden_size": 37, "intermediate_size": 51, "head_dim": 14,
            "num_attention_heads": 3, "num_key_value_heads": 3})),
        with(json!({"model_type": "mistral", "sliding_window": 9})),
        with(
            json!({"head_dim": 64, "rope_parameters": {"rope_type": "llama3", "rope_theta": 5000.0,
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64}}),
        ),
    ]
}

fn folder(config: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_formula(folder.path(), config, 3);
    folder
}

fn libtorch(folder: &Path) -> Box<dyn LanguageModel> {
    let compute = Compute::CPU.with_engine(Engine::Libtorch);
    Model::load(folder, compute).unwrap().network
}

fn native(folder: &Path, format: Format) -> Native {
    let config = ModelConfig::read(folder).unwrap();
    let checkpoint = Checkpoint::open(folder, &config.shape.tensors()).unwrap();
    let Shape::Llama(llama) = &config.shape else { panic!("a Llama") };
    Native::load(llama, &checkpoint, format, 2).unwrap()
}

/// The largest difference, as a share of the largest logit.
fn distance(ours: &Logits, theirs: &Logits) -> f32 {
    let (mut far, mut largest) = (0f32, 0f32);
    for (ours, theirs) in ours.iter().zip(theirs.iter()) {
        for (a, b) in ours.iter().zip(theirs) {
            far = far.max((a - b).abs());
            largest = largest.max(b.abs());
        }
    }
    far / largest
}

fn text(count: u32) -> Vec<u32> {
    (0..count).map(|place| (place * 11 + place * place / 7 + 5) % ROWS).collect()
}

#[test]
fn logits_are_those_of_libtorch() {
    for config in shapes() {
        let folder = folder(&config);
        let ids = text(300);
        let theirs = libtorch(folder.path()).extend(&ids, Wanted::All).unwrap();
        let bounds = [
            (Format::Fp32, 1e-5),
            (Format::Fp16, 3e-3),
            (Format::Bf16, 3e-2),
            (Format::Int8, 6e-2),
        ];
        for (format, bound) in bounds {
            let model = native(folder.path(), format);
            for isa in Isa::available() {
                let ours = model.with_isa(isa, 2).extend(&ids, Wanted::All).unwrap();
                let far = distance(&ours, &theirs);
                assert!(far < bound, "{format:?} {isa:?}: {far} for {config}");
                assert!(far > 0.0);
            }
        }
    }
}

/// What 8-bit activations alone cost: libtorch computes with the same rounded weights.
#[test]
fn rounded_activations_stay_within_four_hundredths() {
    for config in shapes() {
        let (folder, stored) = (folder(&config), tempfile::tempdir().unwrap());
        let names = ModelConfig::read(folder.path()).unwrap().shape.tensors();
        let checkpoint = Checkpoint::open(folder.path(), &names).unwrap();
        checkpoint.write(stored.path(), &names, (StoredAs::Int8, usize::MAX)).unwrap();
        std::fs::copy(folder.path().join("config.json"), stored.path().join("config.json"))
            .unwrap();
        let ids = text(100);
        let theirs = libtorch(stored.path()).extend(&ids, Wanted::All).unwrap();
        for isa in Isa::available() {
            let model = native(folder.path(), Format::Int8).with_isa(isa, 1);
            let far = distance(&{ model }.extend(&ids, Wanted::All).unwrap(), &theirs);
            assert!(far < 0.04, "{isa:?}: {far} for {config}");
        }
    }
}

#[test]
fn the_bundled_draft_has_the_logits_of_libtorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/bundled/stentor2");
    let ids: Vec<u32> = (0..200).map(|place| (place * 7919 + 31) % 8000).collect();
    let theirs = libtorch(&folder).extend(&ids, Wanted::All).unwrap();
    let largest = |ours: &Logits| {
        let pairs = ours.iter().flatten().zip(theirs.iter().flatten());
        pairs.map(|(a, b)| (a - b).abs()).fold(0f32, f32::max)
    };
    let ours = native(&folder, Format::Fp32).extend(&ids, Wanted::All).unwrap();
    let far = largest(&ours);
    eprintln!("fp32: logits are at most {far:e} apart");
    assert!(far < 1e-4, "{far}");
    // The stored weights have 8 bits themselves: only activations are rounded.
    let ours = native(&folder, Format::Int8).extend(&ids, Wanted::All).unwrap();
    let far = largest(&ours);
    eprintln!("int8: logits are at most {far:e} apart");
    assert!(far < 0.5, "{far}");
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u32>),
    RollBack(usize),
    /// A tree, read in two parts, of which the path to its last node is kept.
    Tree(Vec<(u32, usize)>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ids = |length| prop::collection::vec(0..ROWS, length);
    let step = prop_oneof![
        4 => ids(1..6).prop_map(Step::Append),
        1 => ids(33..70).prop_map(Step::Append),
        3 => (0usize..40).prop_map(Step::RollBack),
        4 => prop::collection::vec((0..ROWS, 0usize..9), 1..14).prop_map(Step::Tree),
    ];
    prop::collection::vec(step, 1..6)
}

/// Reads a tree in two parts, compares the logits at its last node with those of its path read in a
/// row by `other`, and keeps that path.
fn grow(model: &mut Native, other: &mut Native, ids: &mut Vec<u32>, nodes: &[(u32, usize)]) {
    let base = ids.len();
    let (tokens, parents) = tree(nodes);
    let half = tokens.len() / 2;
    if half > 0 {
        model.extend_tree(base, &tokens[..half], &parents[..half]).unwrap();
    }
    let logits = model.extend_tree(base, &tokens[half..], &parents).unwrap();
    let path = path_to(nodes.len() - 1, &parents);
    model.keep_path(base, &path);
    ids.extend(path.iter().map(|&node| tokens[node]));
    other.truncate(0);
    let row = other.extend(ids, Wanted::Last).unwrap();
    assert_eq!(logits.last(), row.last(), "a tree gives the bits of a row");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_history_gives_the_bits_of_a_fresh_prefill(
        shape in 0usize..5, steps in steps(), format in 0usize..4, best: bool,
    ) {
        let folder = folder(&shapes()[shape]);
        let formats = [Format::Fp32, Format::Fp16, Format::Bf16, Format::Int8];
        let loaded = native(folder.path(), formats[format]);
        let isa = if best { Isa::detect() } else { Isa::Portable };
        let (mut model, mut other) = (loaded.with_isa(isa, 3), loaded.with_isa(isa, 1));
        let mut ids: Vec<u32> = vec![1];
        model.extend(&ids, Wanted::Last).unwrap();
        for step in steps {
            match step {
                Step::Append(more) => {
                    model.extend(&more, Wanted::Last).unwrap();
                    ids.extend(more);
                }
                Step::RollBack(count) => {
                    let left = ids.len().saturating_sub(count).max(1);
                    model.truncate(left);
                    ids.truncate(left);
                }
                Step::Tree(nodes) => grow(&mut model, &mut other, &mut ids, &nodes),
            }
            let next = model.extend(&[7], Wanted::Last).unwrap();
            model.truncate(ids.len());
            other.truncate(0);
            let fresh = other.extend(&[&ids[..], &[7]].concat(), Wanted::Last).unwrap();
            prop_assert_eq!(next, fresh);
        }
    }
}

#[test]
fn what_an_engine_cannot_run_is_refused() {
    let folder = folder(&support::checkpoints::gated_config(ROWS as usize));
    let said = |compute: Compute| match Model::load(folder.path(), compute) {
        Ok(_) => panic!("refused"),
        Err(error) => error.to_string(),
    };
    assert!(said(Compute::CPU.with_engine(Engine::Native)).contains("--engine auto"));
    assert!(said(Compute::parse("cpu", Some("int8")).unwrap()).contains("--dtype fp32"));
    assert!(Model::load(folder.path(), Compute::CPU).is_ok());
    let folder = self::folder(&tiny_config(ROWS as usize));
    let both = Compute::parse("cpu", Some("int8")).unwrap().with_engine(Engine::Libtorch);
    assert!(Model::load(folder.path(), both).is_err());
}
