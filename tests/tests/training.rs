//! Training: fifty steps are those of `PyTorch` (`tests/oracle/training.py`), other precisions stay near
//! 32-bit floats, and reading layers again in the backward pass changes nothing.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeMap;

use draft::config::Shape;
use draft::train::{AdamWSettings, MuonSettings, Parameters, Plan, Precision, Schedule, Trainer};
use serde::Deserialize;
use serde_json::Value;
use support::checkpoints::{gated_config, tiny_config, write_formula};
use support::shared::{self, compute};
use tch::Tensor;

fn plan(precision: Precision, recompute: bool) -> Plan {
    let optimiser = AdamWSettings {
        lr: 3e-3,
        betas: (0.9, 0.95),
        eps: 1e-8,
        weight_decay: 0.01,
        clip: 1.0,
        muon: None,
    };
    let schedule = Schedule::Cosine { warmup: 5 };
    Plan { optimiser, schedule, steps: 60, precision, recompute }
}

/// A text with a pattern that a model can learn.
fn blocks(step: i64) -> Tensor {
    let ids: Vec<i64> =
        (0..4 * 32).map(|place| (place * place + 3 * step) % 13 + place % 3).collect();
    Tensor::from_slice(&ids).view([4, 32])
}

fn losses(config: &Value, precision: Precision, recompute: bool) -> Vec<f64> {
    let (shape, device) = (Shape::from_json(config).unwrap(), compute().device);
    let parameters = Parameters::initial(&shape, 1, device).unwrap();
    let mut trainer = Trainer::new(&shape, parameters, plan(precision, recompute), device).unwrap();
    (0..60)
        .map(|step| {
            let halves = blocks(step).chunk(2, 0);
            let loss: f64 = halves
                .iter()
                .map(|half| trainer.read(half, 0.5).unwrap().double_value(&[]) * 0.5)
                .sum();
            trainer.update().unwrap();
            loss
        })
        .collect()
}

#[test]
fn the_loss_falls_in_every_precision() {
    for config in [tiny_config(40), gated_config(40)] {
        let exact = losses(&config, Precision::Fp32, false);
        assert!((exact[0] - 40f64.ln()).abs() < 0.1 && exact[59] < 0.8 * exact[0], "{exact:?}");
        for precision in [Precision::Bf16, Precision::Fp16 { wide_layers: 1 }] {
            let other = losses(&config, precision, false);
            for (step, (exact, other)) in exact.iter().zip(&other).enumerate() {
                assert!((exact - other).abs() < 0.01 * exact, "{precision:?} at {step}");
            }
            assert_ne!(exact, other, "{precision:?} is a precision of its own");
        }
    }
}

#[test]
fn reading_layers_again_gives_the_same_gradients() {
    for config in [tiny_config(40), gated_config(40)] {
        let kept = losses(&config, Precision::Fp32, false);
        let again = losses(&config, Precision::Fp32, true);
        for (kept, again) in kept.iter().zip(&again) {
            assert!((kept - again).abs() < 1e-5 * kept, "{kept} and {again}");
        }
    }
}

/// Long texts of more rows than the head takes at once, and of more than one block of queries.
#[test]
fn reading_at_once_gives_the_gradients_of_reading_in_parts() {
    let mut config = tiny_config(4096);
    config["max_position_embeddings"] = 300.into();
    let (shape, device) = (Shape::from_json(&config).unwrap(), compute().device);
    let ids = Tensor::from_slice(&ids(0, 8 * 300, 4096.0)).view([8, 300]);
    let gradients = |parts: i64| {
        let parameters = Parameters::initial(&shape, 1, device).unwrap();
        let plan = plan(Precision::Fp32, false);
        let mut trainer = Trainer::new(&shape, parameters, plan, device).unwrap();
        let share = 1.0 / parts as f64;
        let read = |part: &Tensor| trainer.read(part, share).unwrap().double_value(&[]) * share;
        let loss: f64 = ids.chunk(parts, 0).iter().map(read).sum();
        assert!((trainer.evaluate(&ids).unwrap() - loss).abs() < 1e-5 * loss);
        trainer.parameters().gradients().copy()
    };
    let whole = gradients(1);
    assert!(whole.norm().double_value(&[]) > 0.1);
    let apart = (gradients(8) - &whole).norm().double_value(&[]);
    assert!(apart < 1e-5 * whole.norm().double_value(&[]), "{apart}");
}

#[test]
fn silent_layers_pass_on_what_they_read_and_learn() {
    let (config, device) = (tiny_config(40), compute().device);
    let shape = Shape::from_json(&config).unwrap();
    let mut parameters = Parameters::initial(&shape, 1, device).unwrap();
    parameters.silence_layers();
    let values: BTreeMap<&String, &Tensor> = parameters.tensors().collect();
    let size = |name: &str| values[&name.to_owned()].norm().double_value(&[]);
    assert!(size("model.layers.1.mlp.up_proj.weight") > 0.0);
    assert_eq!(size("model.layers.1.mlp.down_proj.weight"), 0.0);
    assert_eq!(size("model.layers.0.self_attn.o_proj.weight"), 0.0);
    let mut trainer =
        Trainer::new(&shape, parameters, plan(Precision::Fp32, false), device).unwrap();
    for step in 0..20 {
        let _ = trainer.read(&blocks(step), 1.0).unwrap();
        trainer.update().unwrap();
    }
    let values: BTreeMap<&String, &Tensor> = trainer.parameters().tensors().collect();
    assert!(
        values[&"model.layers.0.self_attn.o_proj.weight".to_owned()].norm().double_value(&[]) > 0.0
    );
}

#[derive(Deserialize)]
struct Case {
    config: Value,
    seed: u64,
    batch: (i64, i64),
    parts: i64,
    schedule: String,
    muon: Option<MuonSettings>,
    losses: Vec<f64>,
    norms: Vec<f64>,
}

/// Ids by the formula of `tests/oracle/training.py`.
fn ids(first: u64, count: u64, vocabulary: f64) -> Vec<i64> {
    let id = |place: u64| {
        let mut bits = (place + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let uniform = ((bits ^ (bits >> 31)) >> 40) as f64 / f64::from(1 << 24);
        (vocabulary * uniform * uniform * uniform) as i64
    };
    (first..first + count).map(id).collect()
}

#[test]
fn fifty_steps_are_those_of_pytorch() {
    let fixture = shared::fixture("training.json");
    let optimiser: AdamWSettings = serde_json::from_value(fixture["settings"].clone()).unwrap();
    let number = |name: &str| fixture[name].as_u64().unwrap();
    let cases: Vec<Case> = serde_json::from_value(fixture["cases"].clone()).unwrap();
    for case in cases {
        let (shape, device) = (Shape::from_json(&case.config).unwrap(), compute().device);
        let folder = tempfile::tempdir().unwrap();
        write_formula(folder.path(), &case.config, case.seed);
        let parameters = Parameters::load(folder.path(), &shape, device).unwrap();
        let (warmup, decay) = (number("warmup"), number("decay"));
        let schedule = match case.schedule.as_str() {
            "cosine" => Schedule::Cosine { warmup },
            _ => Schedule::WarmupStableDecay { warmup, decay },
        };
        let steps = case.losses.len() as u64;
        let optimiser = AdamWSettings { muon: case.muon, ..optimiser };
        let plan =
            Plan { optimiser, schedule, steps, precision: Precision::Fp32, recompute: false };
        let mut trainer = Trainer::new(&shape, parameters, plan, device).unwrap();
        let size = (case.batch.0 * case.batch.1) as u64;
        let (mut worst, mut worst_norm) = (0.0f64, 0.0f64);
        for (step, (loss, norm)) in (0u64..).zip(case.losses.iter().zip(&case.norms)) {
            let batch = ids(step * size, size, shape.vocab_size() as f64);
            let batch = Tensor::from_slice(&batch).view(case.batch);
            let share = 1.0 / case.parts as f64;
            let found: f64 = batch
                .chunk(case.parts, 0)
                .iter()
                .map(|part| trainer.read(part, share).unwrap().double_value(&[]) * share)
                .sum();
            let update = trainer.update().unwrap();
            worst = worst.max((found - loss).abs() / loss);
            worst_norm = worst_norm.max((update.norm.double_value(&[]) - norm).abs() / norm);
        }
        let kind = format!("{}, muon: {}", case.config["model_type"], case.muon.is_some());
        eprintln!("{kind}: losses differ by at most {worst:.1e}, norms by {worst_norm:.1e}");
        // Muon's products are rounded to bf16, each in its own order.
        let (bound, norm_bound) = if case.muon.is_some() { (2e-3, 2e-2) } else { (1e-4, 1e-3) };
        assert!(worst < bound, "{kind}: losses differ by {worst:e}");
        assert!(worst_norm < norm_bound, "{kind}: norms differ by {worst_norm:e}");
    }
}
