//! Parity with the reference implementations, by fixtures that they wrote (`tests/oracle`): logits,
//! greedy text, sampling settings, tokenizers.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use align::utf8::Utf8Stream;
use align::{Context, DecodeState, Tokenizer};
use draft::language_model::Wanted;
use draft::{Model, Randomness, Sampling, Session};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use support::shared;
use target::propose::Nothing;
use target::{Limits, Prompt, Side, TokenVerifier, speculate};

fn cases<T: DeserializeOwned>(fixture: &str) -> Vec<T> {
    serde_json::from_value(shared::fixture(fixture)["cases"].take()).unwrap()
}

#[derive(Deserialize)]
struct LogitsCase {
    model: String,
    ids: Vec<u32>,
    #[serde(rename = "positions")]
    rows: Vec<Position>,
}

#[derive(Deserialize)]
struct Position {
    #[serde(rename = "position")]
    place: usize,
    vocab_ids: Vec<usize>,
    logits: Vec<f32>,
    logsumexp: f64,
    max: f32,
}

#[test]
fn logits_equal_transformers() {
    let mut worst = 0.0f64;
    let mut compared = 0;
    for case in cases::<LogitsCase>("logits.json") {
        let Some(folder) = shared::path(&format!("weights/{}", case.model)) else { return };
        let mut model = Model::load(&folder, shared::compute()).unwrap().network;
        let rows = model.extend(&case.ids, Wanted::All).unwrap();
        for expected in case.rows {
            let row = rows.row(expected.place);
            let mut differ = |found: f64, expected: f64| {
                worst = worst.max((found - expected).abs());
                compared += 1;
            };
            for (&id, &logit) in expected.vocab_ids.iter().zip(&expected.logits) {
                differ(row[id].into(), logit.into());
            }
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = row.iter().map(|&logit| f64::from(logit - max).exp()).sum();
            differ(max.into(), expected.max.into());
            differ(f64::from(max) + sum.ln(), expected.logsumexp);
        }
    }
    eprintln!("largest difference of {compared} logits: {worst:e}");
    assert!(worst < 1e-4, "largest difference {worst:e}");
    assert!(compared > 4_000);
}

#[derive(Deserialize)]
struct GreedyCase {
    model: String,
    prompt_ids: Vec<u32>,
    output_ids: Vec<u32>,
    ties: Vec<usize>,
}

#[test]
fn plain_greedy_decoding_equals_generate() {
    let cases = cases::<GreedyCase>("greedy.json");
    let mut side: Option<(String, Side)> = None;
    let mut compared = 0;
    for case in &cases {
        let Some(folder) = shared::path(&format!("weights/{}", case.model)) else { return };
        if side.as_ref().is_none_or(|(name, _)| *name != case.model) {
            let model = Model::load(&folder, shared::compute()).unwrap();
            let tokenizer = Tokenizer::load(&folder).unwrap();
            let eos = model.config.eos.clone();
            let loaded = Side::new(tokenizer, Session::new(model.network), eos);
            side = Some((case.model.clone(), loaded));
        }
        let (_, side) = side.as_mut().unwrap();
        let context = Context::of_ids(case.prompt_ids.clone());
        let prompt = Prompt { target: context.clone(), draft: context };
        let sampling = Sampling::GREEDY;
        let limits = Limits { gamma: 1, max_new: 64, ignore_eos: false, sampling };
        let randomness = Randomness { seed: 0, prompt: 0 };
        let generation =
            speculate(side, &mut Nothing, &TokenVerifier, &prompt, &limits, randomness).unwrap();
        let same = case.ties.first().copied().unwrap_or(case.output_ids.len());
        assert_eq!(generation.ids[..same], case.output_ids[..same], "{}", case.model);
        compared += 1;
    }
    assert_eq!(compared, 250);
}

#[derive(Deserialize)]
struct SamplingCase {
    context: Vec<u32>,
    logits: Vec<f32>,
    probabilities: Vec<f64>,
    repetition_penalty: f64,
    temperature: f64,
    top_k: usize,
    top_p: f64,
    top_p_splits_ties: bool,
}

#[test]
fn sampling_settings_mean_what_they_mean_in_transformers() {
    let cases = cases::<SamplingCase>("sampling.json");
    assert!(cases.len() >= 40);
    for (index, case) in cases.into_iter().enumerate() {
        let sampling = Sampling {
            temperature: case.temperature,
            top_k: Some(case.top_k),
            top_p: Some(case.top_p),
            repetition_penalty: case.repetition_penalty,
        };
        let law = sampling.law(&case.logits, &[&case.context]);
        let mut found: Vec<f64> =
            (0..case.logits.len()).map(|id| law.probability(id as u32)).collect();
        let mut expected = case.probabilities;
        if case.top_p_splits_ties {
            found.sort_by(f64::total_cmp);
            expected.sort_by(f64::total_cmp);
        }
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-6, "case {index}: {found} for {expected}");
        }
    }
}

#[derive(Deserialize)]
struct TokenizerCase {
    tokenizer: String,
    text: usize,
    ids: Vec<u32>,
    ids_special: Vec<u32>,
    decoded: String,
}

#[test]
fn tokenizers_give_the_references_ids_and_text() {
    let texts: Vec<String> =
        serde_json::from_value(shared::fixture("tokenizers.json")["texts"].take()).unwrap();
    let mut loaded: Option<(String, Tokenizer)> = None;
    let mut compared = 0;
    for case in cases::<TokenizerCase>("tokenizers.json") {
        let Some(path) = shared::path(&case.tokenizer) else { return };
        if loaded.as_ref().is_none_or(|(name, _)| *name != case.tokenizer) {
            loaded = Some((case.tokenizer.clone(), Tokenizer::load(&path).unwrap()));
        }
        let (name, tokenizer) = loaded.as_ref().unwrap();
        let text = &texts[case.text];
        let ids = tokenizer.encode_reference(text, false).unwrap();
        assert_eq!(ids, case.ids, "{name}: {text:?}");
        let ids = tokenizer.encode_reference(text, true).unwrap();
        assert_eq!(ids, case.ids_special, "{name}: {text:?}");
        // Specials add no bytes here and are written out there.
        if !ids
            .iter()
            .skip(tokenizer.prefix().len())
            .any(|&id| tokenizer.vocabulary().is_special(id))
        {
            let decoded = String::from_utf8_lossy(&tokenizer.decode(&case.ids)).into_owned();
            assert_eq!(decoded, case.decoded, "{name}: {text:?}");
        }
        // Id by id, the text is the same as at once.
        let (mut stream, mut state) = (Utf8Stream::default(), DecodeState::default());
        let mut pieces = String::new();
        for &id in &case.ids {
            let mut bytes = Vec::new();
            tokenizer.vocabulary().advance(&mut state, id, &mut bytes);
            pieces.push_str(&stream.push(&bytes));
        }
        pieces.push_str(&stream.finish());
        let whole = tokenizer.vocabulary().decode(&case.ids);
        assert_eq!(pieces, String::from_utf8_lossy(&whole), "{name}: {text:?}");
        compared += 1;
    }
    assert_eq!(compared, 780);
}
