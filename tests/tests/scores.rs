//! Scores of many texts at once: those of each text alone, and those that logits give by hand.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use draft::model::{Passage, Score, Texts, score_alone};
use draft::{Compute, Engine, Model, ModelError, Wanted};
use support::checkpoints::{gated_config, tiny_config, write_formula};
use support::shared::compute;

const ROWS: usize = 40;

fn text(seed: usize, length: usize) -> Vec<u32> {
    (0..length).map(|place| ((7 * seed + place * place + 3 * place) % ROWS) as u32).collect()
}

/// Lengths of texts, and how many of their last ids are scored.
const PASSAGES: [(usize, usize); 5] = [(12, 11), (30, 1), (2, 1), (30, 7), (17, 16)];

#[test]
fn scores_are_those_of_the_logits_behind_each_id() {
    for config in [tiny_config(ROWS), gated_config(ROWS)] {
        let folder = tempfile::tempdir().unwrap();
        write_formula(folder.path(), &config, 5);
        let texts: Vec<Vec<u32>> =
            PASSAGES.iter().enumerate().map(|(seed, &(length, _))| text(seed, length)).collect();
        let passages: Vec<Passage<'_>> = (texts.iter().zip(PASSAGES))
            .map(|(ids, (_, scored))| Passage::new(ids, scored))
            .collect();
        let scores = Texts::load(folder.path(), compute()).unwrap().score(&passages).unwrap();
        let mut model = Model::load(folder.path(), compute()).unwrap();
        for ((ids, (_, scored)), score) in texts.iter().zip(PASSAGES).zip(&scores) {
            model.network.truncate(0);
            let logits = model.network.extend(ids, Wanted::All).unwrap();
            let log = |place: usize| {
                let row = logits.row(place - 1);
                let total: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
                f64::from(row[ids[place] as usize]) - total.ln()
            };
            let expected: f64 = (ids.len() - scored..ids.len()).map(log).sum();
            assert!((score.log_likelihood - expected).abs() < 1e-4, "{score:?} {expected}");
            let alone = score_alone(&mut *model.network, &Passage::new(ids, scored)).unwrap();
            assert!((alone.log_likelihood - expected).abs() < 1e-4, "{alone:?} {expected}");
            assert_eq!(alone.greedy, score.greedy);
        }
    }
}

#[test]
fn a_text_that_the_model_would_write_is_greedy() {
    let folder = tempfile::tempdir().unwrap();
    write_formula(folder.path(), &tiny_config(ROWS), 5);
    let mut model = Model::load(folder.path(), compute()).unwrap();
    let mut ids = vec![3u32];
    for _ in 0..8 {
        model.network.truncate(0);
        let logits = model.network.extend(&ids, Wanted::Last).unwrap();
        let best = (0..ROWS).max_by(|&a, &b| logits.last()[a].total_cmp(&logits.last()[b]));
        ids.push(best.unwrap() as u32);
    }
    let mut other = ids.clone();
    other[4] = (other[4] + 1) % ROWS as u32;
    let passages = [Passage::new(&ids, 8), Passage::new(&other, 8), Passage::new(&other, 1)];
    let mut texts = Texts::load(folder.path(), compute()).unwrap();
    let greedy = |scores: Vec<Score>| scores.iter().map(|score| score.greedy).collect::<Vec<_>>();
    let many = greedy(texts.score(&passages).unwrap());
    assert_eq!(many[..2], [true, false]);
    let alone = passages.map(|passage| score_alone(&mut *model.network, &passage).unwrap());
    assert_eq!(greedy(alone.to_vec()), many);
}

/// Texts of which many begin alike, some are the beginning of another, and some come twice.
#[test]
fn the_engine_gives_each_text_the_bits_that_it_has_alone() {
    for window in [None, Some(6)] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = tiny_config(ROWS);
        if let Some(window) = window {
            config["model_type"] = "mistral".into();
            config["architectures"] = serde_json::json!(["MistralForCausalLM"]);
            config["sliding_window"] = window.into();
        }
        write_formula(folder.path(), &config, 5);
        let texts: Vec<(Vec<u32>, usize)> = (0..60)
            .map(|number| {
                let shared = text(number % 3, 4 + 7 * (number % 4));
                let own = text(number % 11, 1 + number % 17);
                let scored = 1 + number % (own.len() + 3);
                ([shared, own].concat(), scored)
            })
            .collect();
        let passages: Vec<Passage<'_>> =
            texts.iter().map(|(ids, scored)| Passage::new(ids, *scored)).collect();
        let mut model = Model::load(folder.path(), Compute::CPU).unwrap();
        let many = model.network.score(&passages).unwrap();
        assert_eq!(model.network.length(), 0);
        let libtorch = Compute { engine: Engine::Libtorch, ..Compute::CPU };
        let mut other = Model::load(folder.path(), libtorch).unwrap();
        for (passage, score) in passages.iter().zip(&many) {
            assert_eq!(model.network.score(&[*passage]).unwrap(), [*score]);
            let expected = score_alone(&mut *other.network, passage).unwrap();
            assert!((score.log_likelihood - expected.log_likelihood).abs() < 1e-4, "{score:?}");
            assert_eq!(score.greedy, expected.greedy);
        }
        let long = text(1, 66);
        let error = model.network.score(&[Passage::new(&long, 3)]).unwrap_err();
        assert!(matches!(error, ModelError::Context { wanted: 65, context: 64 }), "{error}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write_formula(folder.path(), &tiny_config(ROWS), 5);
    let mut texts = Texts::load(folder.path(), compute()).unwrap();
    assert!(texts.score(&[]).unwrap().is_empty());
    let ids = text(1, texts.context() + 1);
    texts.score(&[Passage::new(&ids, 3)]).unwrap();
    let long = text(1, texts.context() + 2);
    let error = texts.score(&[Passage::new(&long, 3)]).unwrap_err();
    assert!(matches!(error, ModelError::Context { wanted: 65, context: 64 }), "{error}");
    let error = texts.score(&[Passage::new(&[1, ROWS as u32], 1)]).unwrap_err();
    assert!(matches!(error, ModelError::Id { .. }), "{error}");
}
