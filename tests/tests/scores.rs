//! Scores of many texts at once: those of each text alone, and those that logits give by hand.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use draft::model::{Passage, Score, Texts, score_alone};
use draft::{Model, ModelError, Wanted};
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
