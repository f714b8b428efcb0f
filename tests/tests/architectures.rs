//! Parity with transformers in every architecture: random configurations and the drafts' published
//! shapes, with weights by a formula that both sides know (`tests/oracle/weights.py`), and rotary
//! tables to the last position of each published context. Needs no files but its fixtures.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use draft::config::Shape;
use draft::language_model::{LanguageModel, Wanted};
use draft::sampling::argmax;
use draft::{Logits, Model, rope};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use support::checkpoints::{Formula, write_formula};
use support::shared;
use tch::{Kind, Tensor};

/// Of logits of standard deviation 3, the largest of order 10.
const LOGITS_TOLERANCE: f64 = 1e-4;
const ROTARY_TOLERANCE: f64 = 1e-6;
/// Ids a block: more than a delta net reads one by one, fewer than its chunk and most texts.
const BLOCK: usize = 40;

fn read<T: DeserializeOwned>(fixture: &str, field: &str) -> Vec<T> {
    serde_json::from_value(shared::fixture(fixture)[field].take()).unwrap()
}

#[derive(Deserialize)]
struct WeightsCase {
    model_type: String,
    name: String,
    shape: Vec<usize>,
    seed: u64,
    indices: Vec<usize>,
    values: Vec<f32>,
}

#[test]
fn both_sides_know_the_same_weights() {
    let cases = read::<WeightsCase>("architectures.json", "weights");
    assert!(cases.len() > 60);
    for case in cases {
        let formula = Formula::new(&case.model_type, &case.name, &case.shape, case.seed);
        let found: Vec<f32> = case.indices.iter().map(|&index| formula.value(index)).collect();
        assert_eq!(found, case.values, "{}: {}", case.model_type, case.name);
    }
}

#[derive(Deserialize)]
struct Case {
    name: String,
    config: Value,
    seed: u64,
    parameters: u64,
    ids: Vec<u32>,
    #[serde(rename = "positions")]
    rows: Vec<Row>,
    prompt: usize,
    output_ids: Vec<u32>,
    ties: Vec<usize>,
}

#[derive(Deserialize)]
struct Row {
    position: usize,
    vocab_ids: Vec<usize>,
    logits: Vec<f32>,
    logsumexp: f64,
    max: f32,
}

/// The largest difference from transformers, and how much the logits vary.
#[derive(Default)]
struct Findings {
    worst: f64,
    compared: usize,
    sum: f64,
    squares: f64,
    values: usize,
}

impl Findings {
    fn compare(&mut self, row: &[f32], expected: &Row) -> f64 {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials = row.iter().map(|&logit| f64::from(logit - max).exp());
        let logsumexp = f64::from(max) + exponentials.sum::<f64>().ln();
        let chosen = expected.vocab_ids.iter().zip(&expected.logits);
        let differences = chosen
            .map(|(&id, &logit)| f64::from(row[id] - logit).abs())
            .chain([f64::from(max - expected.max).abs(), (logsumexp - expected.logsumexp).abs()]);
        // Not `f64::max`, which forgets what is no number.
        let larger =
            |worst: f64, next: f64| if worst.is_nan() || next <= worst { worst } else { next };
        let worst = differences.inspect(|_| self.compared += 1).fold(0.0, larger);
        self.worst = self.worst.max(worst);
        for &logit in row {
            self.sum += f64::from(logit);
            self.squares += f64::from(logit).powi(2);
        }
        self.values += row.len();
        worst
    }

    fn spread(&self) -> f64 {
        let count = self.values as f64;
        (self.squares / count - (self.sum / count).powi(2)).sqrt()
    }
}

impl Case {
    fn load(&self) -> Box<dyn LanguageModel> {
        let folder = tempfile::tempdir().unwrap();
        write_formula(folder.path(), &self.config, self.seed);
        let model = Model::load(folder.path(), shared::compute()).unwrap();
        assert_eq!(model.parameters, self.parameters, "{}", self.name);
        assert_eq!(model.network.rows() as u64, self.config["vocab_size"], "{}", self.name);
        model.network
    }

    /// Whether it is small enough to be read id by id as a whole, too.
    fn is_small(&self) -> bool {
        self.parameters < 1_000_000
    }

    /// However the ids are handed over, the logits behind them are those of transformers.
    fn check(&self, model: &mut dyn LanguageModel, findings: &mut Findings) {
        let count = self.ids.len();
        for (how, size) in [("at once", count), ("in blocks", BLOCK), ("id by id", 1)] {
            let mut position = if size == 1 && !self.is_small() { count - 16 } else { 0 };
            model.truncate(position);
            for block in self.ids[position..].chunks(size) {
                let logits = model.extend(block, Wanted::All).unwrap();
                for row in 0..logits.rows() {
                    let found = logits.row(row);
                    if let Some(expected) = self.rows.iter().find(|row| row.position == position) {
                        let worst = findings.compare(found, expected);
                        let place = format!("{}, {how}, at {position}", self.name);
                        assert!(worst < LOGITS_TOLERANCE, "{place}: a difference of {worst:e}");
                    }
                    position += 1;
                }
            }
        }
        model.truncate(0);
    }

    /// Greedy decoding emits what transformers emits, up to a near tie.
    fn check_continuation(&self, model: &mut dyn LanguageModel) {
        let mut logits: Logits = model.extend(&self.ids[..self.prompt], Wanted::Last).unwrap();
        let mut output = Vec::new();
        while output.len() < self.output_ids.len() {
            let id = argmax(logits.last());
            output.push(id);
            if output.len() < self.output_ids.len() {
                logits = model.extend(&[id], Wanted::Last).unwrap();
            }
        }
        let same = self.ties.first().copied().unwrap_or(output.len());
        assert_eq!(output[..same], self.output_ids[..same], "{}", self.name);
    }
}

fn check_architecture(model_type: &str, least: usize) {
    let cases = read::<Case>("architectures.json", "cases");
    let mut findings = Findings::default();
    let mut models = 0;
    for case in cases.iter().filter(|case| case.config["model_type"] == model_type) {
        let mut model = case.load();
        case.check(&mut *model, &mut findings);
        case.check_continuation(&mut *model);
        models += 1;
    }
    let Findings { worst, compared, .. } = findings;
    let spread = findings.spread();
    eprintln!(
        "{model_type}: largest difference of {compared} logits of {models} models: {worst:e}; \
         their standard deviation {spread:.2}"
    );
    assert!(models >= least && compared > 50 * models);
    assert!(spread > 3.0, "flat logits prove little: their standard deviation is {spread}");
}

#[test]
fn llama_equals_transformers() {
    check_architecture("llama", 27);
}

#[test]
fn mistral_equals_transformers() {
    check_architecture("mistral", 20);
}

#[test]
fn qwen35_equals_transformers() {
    check_architecture("qwen3_5_text", 27);
}

#[derive(Deserialize)]
struct RotaryCase {
    name: String,
    config: Value,
    positions: Vec<i64>,
    cosines: Vec<Vec<f32>>,
    sines: Vec<Vec<f32>>,
}

#[test]
fn rotary_tables_equal_transformers_to_the_last_position() {
    let cases = read::<RotaryCase>("rotary.json", "cases");
    let models: Vec<Value> =
        serde_json::from_str(include_str!("../../experiments/models.json")).unwrap();
    let known: Vec<&str> = models.iter().filter_map(|model| model["name"].as_str()).collect();
    let found: Vec<&str> = cases.iter().map(|case| &*case.name).collect();
    assert_eq!(found, known, "the fixture is not of the models that are known: make it anew");
    let mut worst = 0.0f64;
    for case in cases {
        let shape = Shape::from_json(&case.config).unwrap();
        let (config, dimensions) = shape.rope();
        let (cosines, sines) = rope::tables(config, dimensions, shape.context());
        assert_eq!(case.positions.last().copied(), Some(shape.context() as i64 - 1));
        let rows = Tensor::from_slice(&case.positions);
        for (table, expected) in [(cosines, &case.cosines), (sines, &case.sines)] {
            let half = Tensor::from_slice2(expected);
            let both = Tensor::cat(&[&half, &half], 1);
            let difference = table.index_select(0, &rows).to_kind(Kind::Double) - both;
            let difference = difference.abs().max().double_value(&[]);
            assert!(difference <= ROTARY_TOLERANCE, "{}: {difference:e}", case.name);
            worst = worst.max(difference);
        }
    }
    eprintln!("largest difference of rotary tables: {worst:e}");
}
