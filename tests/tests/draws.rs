//! 100,000 draws a setting of temperature, top-k, top-p and repetition penalty, against the
//! probabilities that transformers' processors give (`tests/oracle/make_fixtures.py`, `sampling`),
//! and the same test with the settings applied in a wrong order, which must fail.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::HashMap;

use draft::{Law, Purpose, Randomness, Sampling};
use serde::Deserialize;
use support::chi_square::p_value;
use support::mutants::MisorderedSampling;
use support::shared;

const DRAWS: usize = 100_000;
const LEAST_P: f64 = 1e-6;

/// Nothing; temperature; top-k; top-p; a penalty; all but top-k, as Stentor2's card has it; all, as
/// Er's has it; top-k and top-p; ties that top-k keeps; ties that top-p splits.
const REPRESENTATIVE: [usize; 10] = [1, 3, 7, 13, 18, 21, 23, 27, 33, 36];

#[derive(Clone, Deserialize)]
struct Case {
    context: Vec<u32>,
    logits: Vec<f32>,
    probabilities: Vec<f64>,
    repetition_penalty: f64,
    temperature: f64,
    top_k: usize,
    top_p: f64,
    top_p_splits_ties: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        let cases = shared::fixture("sampling.json")["cases"].take();
        serde_json::from_value(cases).unwrap()
    }

    fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: Some(self.top_k),
            top_p: Some(self.top_p),
            repetition_penalty: self.repetition_penalty,
        }
    }

    /// What an id is counted as: itself, or, where top-p keeps some of equals and drops others, all
    /// ids of its score, for which of them are kept is nobody's promise.
    fn outcome(&self, id: usize) -> u64 {
        if !self.top_p_splits_ties {
            return id as u64;
        }
        let logit = f64::from(self.logits[id]);
        let penalty =
            if self.context.contains(&(id as u32)) { self.repetition_penalty } else { 1.0 };
        let score = if logit < 0.0 { logit * penalty } else { logit / penalty };
        // Ten digits: enough to tell logits of three decimals apart, few enough to round alike.
        ((score + 1e3) * 1e7).round() as u64
    }

    /// The p-value of draws from `law` under transformers' probabilities.
    fn p_value(&self, index: usize, law: &Law) -> f64 {
        let randomness = Randomness { seed: 20_260_303, prompt: index as u64 };
        let mut expected: HashMap<u64, f64> = HashMap::new();
        for (id, probability) in self.probabilities.iter().enumerate() {
            *expected.entry(self.outcome(id)).or_default() += probability;
        }
        let mut counts: HashMap<u64, u64> = HashMap::new();
        for position in 0..DRAWS {
            let id = law.draw(randomness.key(position, Purpose::Target));
            *counts.entry(self.outcome(id as usize)).or_default() += 1;
        }
        p_value(&counts, &expected)
    }
}

#[test]
fn draws_follow_the_law_that_transformers_gives() {
    let cases = Case::all();
    assert_eq!(cases.len(), 40);
    let chosen: Vec<usize> =
        if shared::is_oracle() { (0..cases.len()).collect() } else { REPRESENTATIVE.to_vec() };
    let mut least = f64::INFINITY;
    for &index in &chosen {
        let case = &cases[index];
        let law = case.sampling().law(&case.logits, &[&case.context]);
        let p = case.p_value(index, &law);
        assert!(p >= LEAST_P, "setting {index}: p = {p:e}");
        least = least.min(p);
    }
    eprintln!("{} settings of {DRAWS} draws: the least p-value is {least:.4}", chosen.len());
}

/// A wrong order is found in the settings where it makes a difference; each of them has some.
#[test]
fn settings_in_a_wrong_order_are_found() {
    let cases = Case::all();
    for mutant in MisorderedSampling::ALL {
        let found: Vec<usize> = REPRESENTATIVE
            .into_iter()
            .filter(|&index| {
                let case = &cases[index];
                let law = mutant.law(&case.sampling(), &case.logits, &case.context);
                case.p_value(index, &law) < LEAST_P
            })
            .collect();
        eprintln!("{mutant:?} is found by the settings {found:?}");
        assert!(!found.is_empty(), "{mutant:?} is not found");
        // Settings that nothing is exchanged in are as they were.
        assert!(!found.contains(&1), "{mutant:?}");
    }
}
