//! Distillation below the command line: what a teacher that reads many texts at once says is what
//! the same model says of each alone, and every loss brings a draft nearer to its teacher.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::path::Path;

use draft::config::Shape;
use draft::model::Texts;
use draft::train::{
    AdamWSettings, Divergence, Goal, Laws, Lesson, Parameters, Plan, Precision, Schedule, Trainer,
};
use draft::{Compute, Model, Wanted};
use serde_json::Value;
use support::checkpoints::{gated_config, tiny_config, write_formula};
use support::shared::compute;
use tch::Tensor;

const ROWS: usize = 40;

/// Texts of these lengths.
fn texts(lengths: &[usize]) -> Vec<Vec<u32>> {
    let id = |row: usize, place: usize| ((7 * row + place * place + 3 * place) % ROWS) as u32;
    lengths
        .iter()
        .enumerate()
        .map(|(row, &length)| (0..length).map(|place| id(row, place)).collect())
        .collect()
}

/// Filled up with 0.
fn matrix(texts: &[Vec<u32>]) -> Tensor {
    let length = texts.iter().map(Vec::len).max().unwrap();
    let mut ids = vec![0i64; texts.len() * length];
    for (row, text) in texts.iter().enumerate() {
        for (place, &id) in text.iter().enumerate() {
            ids[row * length + place] = i64::from(id);
        }
    }
    Tensor::from_slice(&ids).view([texts.len() as i64, length as i64])
}

/// Logits behind every id of a text, read alone.
fn alone(folder: &Path, text: &[u32]) -> Vec<Vec<f64>> {
    let mut model = Model::load(folder, compute()).unwrap();
    let logits = model.network.extend(text, Wanted::All).unwrap();
    let row = |place: usize| logits.row(place).iter().map(|&logit| f64::from(logit)).collect();
    (0..text.len()).map(row).collect()
}

fn folder(config: &Value, seed: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_formula(folder.path(), config, seed);
    folder
}

#[test]
fn laws_of_many_texts_are_those_of_each_alone() {
    let columns: Vec<i64> = (0..ROWS as i64).filter(|id| id % 3 != 1).collect();
    for config in [tiny_config(ROWS), gated_config(ROWS)] {
        let folder = folder(&config, 5);
        let texts = texts(&[12, 30, 7]);
        let mut model = Texts::load(folder.path(), compute()).unwrap();
        let wanted = [(0, 3), (0, 11), (1, 0), (1, 29), (2, 6)];
        let places: Vec<i64> = wanted.iter().map(|&(row, place)| row * 30 + place).collect();
        let (k, temperature) = (6, 0.7);
        let laws = model
            .laws(
                &matrix(&texts),
                &Tensor::from_slice(&places),
                &Tensor::from_slice(&columns),
                (k, temperature),
            )
            .unwrap();
        for (index, &(row, place)) in wanted.iter().enumerate() {
            let logits = &alone(folder.path(), &texts[row as usize])[place as usize];
            let total: f64 = logits.iter().map(|logit| (logit / temperature).exp()).sum();
            let law = |id: i64| (logits[id as usize] / temperature).exp() / total;
            let mut best: Vec<f64> = columns.iter().map(|&id| law(id)).collect();
            let mass: f64 = best.iter().sum();
            best.sort_by(|a, b| b.total_cmp(a));
            assert!((laws.mass.double_value(&[index as i64]).exp() - mass).abs() < 1e-5);
            for (rank, best) in best[..k].iter().enumerate() {
                let at = [index as i64, rank as i64];
                let id = columns[laws.top.int64_value(&at) as usize];
                let found = laws.logs.double_value(&at).exp();
                assert!((found - best).abs() < 1e-5 && (found - law(id)).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn texts_that_go_on_in_step_are_those_that_go_on_alone() {
    for config in [tiny_config(ROWS), gated_config(ROWS)] {
        let folder = folder(&config, 6);
        let texts = texts(&[20, 20, 20]);
        let mut model = Texts::load(folder.path(), compute()).unwrap();
        let expected: Vec<_> = texts.iter().map(|text| alone(folder.path(), text)).collect();
        let mut in_step = model.begin(3);
        let ids = matrix(&texts);
        let pieces = [(0, 9), (9, 1), (10, 1), (11, 1)];
        for (first, count) in pieces {
            let logits = in_step.read(&ids.narrow(1, first, count)).unwrap();
            let place = (first + count - 1) as usize;
            for (row, expected) in expected.iter().enumerate() {
                for (id, expected) in expected[place].iter().enumerate() {
                    let found = logits.double_value(&[row as i64, id as i64]);
                    assert!((found - expected).abs() < 1e-4, "{found} and {expected}");
                }
            }
        }
        drop(in_step);
        let long = Tensor::zeros([1, 65], (tch::Kind::Int64, tch::Device::Cpu));
        assert!(model.begin(1).read(&long).is_err(), "the context ends at 64");
    }
}

fn trainer(lr: f64, compute: Compute) -> Trainer {
    let optimiser = AdamWSettings {
        lr,
        betas: (0.9, 0.95),
        eps: 1e-8,
        weight_decay: 0.0,
        clip: 1.0,
        muon: None,
    };
    let plan = Plan {
        optimiser,
        schedule: Schedule::Constant { warmup: 0 },
        steps: 200,
        precision: Precision::Fp32,
        recompute: false,
    };
    let shape = Shape::from_json(&tiny_config(ROWS)).unwrap();
    let parameters = Parameters::initial(&shape, 3, compute.device).unwrap();
    Trainer::new(&shape, parameters, plan, compute.device).unwrap()
}

#[test]
fn every_divergence_brings_the_draft_nearer() {
    let folder = folder(&tiny_config(ROWS), 8);
    let texts = texts(&[24, 17, 30]);
    let (ids, compute) = (matrix(&texts), compute());
    let places: Vec<i64> = (0..24).chain(30..47).chain(60..90).collect();
    let places = Tensor::from_slice(&places);
    let shared: Vec<i64> = (0..30).collect();
    let shared = Tensor::from_slice(&shared);
    let mut teacher = Texts::load(folder.path(), compute).unwrap();
    for divergence in [
        Divergence::ForwardKl,
        Divergence::ReverseKl,
        Divergence::TotalVariation,
        Divergence::LogAcceptance,
    ] {
        let laws = teacher.laws(&ids, &places, &shared, (8, 1.0)).unwrap();
        let lesson = Lesson {
            ids: ids.shallow_clone(),
            places: places.shallow_clone(),
            goal: Goal::Laws(Laws {
                shared: &shared,
                top: laws.top,
                logs: laws.logs,
                mass: laws.mass,
                divergence,
                temperature: 1.0,
            }),
        };
        let mut trainer = trainer(5e-3, compute);
        let measure = |trainer: &Trainer| {
            let learnt = trainer.examine(&lesson).unwrap();
            (learnt.loss.double_value(&[]), learnt.acceptance.unwrap().double_value(&[]))
        };
        let (loss, acceptance) = measure(&trainer);
        for _ in 0..120 {
            trainer.study(&lesson, 1.0).unwrap();
            trainer.update().unwrap();
        }
        let (after, accepted) = measure(&trainer);
        assert!(after < 0.7 * loss, "{divergence:?}: loss from {loss} to {after}");
        assert!(accepted > acceptance + 0.2, "{divergence:?}: {acceptance} to {accepted}");
    }
}

#[test]
fn ids_at_all_places_are_the_whole_text() {
    let ids = matrix(&texts(&[20, 20]));
    let places: Vec<i64> = (0..40).filter(|place| place % 20 != 19).collect();
    let next: Vec<i64> =
        places.iter().map(|place| ids.int64_value(&[place / 20, place % 20 + 1])).collect();
    let lesson = Lesson {
        ids: ids.shallow_clone(),
        places: Tensor::from_slice(&places),
        goal: Goal::Ids(Tensor::from_slice(&next)),
    };
    let (mut ours, mut theirs) = (trainer(1e-2, compute()), trainer(1e-2, compute()));
    for _ in 0..5 {
        let loss = ours.study(&lesson, 1.0).unwrap().loss.double_value(&[]);
        let whole = theirs.read(&ids, 1.0).unwrap().double_value(&[]);
        assert!((loss - whole).abs() < 1e-5, "{loss} and {whole}");
        ours.update().unwrap();
        theirs.update().unwrap();
    }
}
