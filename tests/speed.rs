//! `spec speed` from outside: what it prints, what it decodes, and what it refuses.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use draft::sampling::argmax;
use draft::{Compute, Model, Wanted};
use serde::Deserialize;
use support::command::{Models, Spec, assert_one_line, stdout};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

/// So few of all that it takes no time.
const FEW: [&str; 12] = [
    "--tokens",
    "5",
    "--nodes",
    "3,2",
    "--prefix",
    "4",
    "--prefill",
    "6",
    "--rounds",
    "2",
    "--threads",
    "1",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "all fields are named, so that a renamed one is seen")]
struct Report {
    version: String,
    git_commit: Option<String>,
    command_line: Vec<String>,
    finished: String,
    model: String,
    parameters: u64,
    device: String,
    processor: String,
    threads: usize,
    seed: u64,
    prompt: usize,
    tokens: usize,
    prefix: usize,
    prefill: usize,
    rounds: usize,
    dtypes: Vec<Measured>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "all fields are named, so that a renamed one is seen")]
struct Measured {
    dtype: String,
    weight_bytes: u64,
    load_seconds: f64,
    ids: Vec<u32>,
    tokens_per_second: Figure,
    floor_seconds: Option<Figure>,
    share_of_floor: Option<Figure>,
    prefill_per_second: Figure,
    trees: Vec<Pass>,
    rows: Vec<Pass>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pass {
    ids: usize,
    seconds: Figure,
    of_one: Figure,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Figure {
    median: f64,
    low: f64,
    high: f64,
    rounds: Vec<f64>,
}

impl Figure {
    fn assert_whole(&self) {
        assert_eq!(self.rounds.len(), 2);
        assert!(self.rounds.iter().all(|own| own.is_finite() && *own > 0.0), "{self:?}");
        assert!(self.low <= self.median && self.median <= self.high, "{self:?}");
    }
}

fn measured(model: &str, more: &[&str]) -> Report {
    let fixed = ["speed", "--model", model, "--json"];
    serde_json::from_str(&stdout(&SPEC.run(&[&fixed[..], &FEW, more].concat()))).unwrap()
}

#[test]
fn every_figure_of_every_element_type_is_there() {
    let models = Models::new(SPEC);
    let report = measured(&models.path("target"), &["--dtype", "fp32,bf16"]);
    assert_eq!((report.threads, report.rounds, report.tokens), (1, 2, 5));
    let names: Vec<&str> = report.dtypes.iter().map(|own| own.dtype.as_str()).collect();
    assert_eq!(names, ["fp32", "bf16"]);
    assert_eq!(report.dtypes[0].weight_bytes, 2 * report.dtypes[1].weight_bytes);
    assert!(report.dtypes[0].weight_bytes <= 4 * report.parameters);
    for own in &report.dtypes {
        own.tokens_per_second.assert_whole();
        own.prefill_per_second.assert_whole();
        let (floor, share) = (own.floor_seconds.as_ref(), own.share_of_floor.as_ref());
        let rates = &own.tokens_per_second.rounds;
        for (round, share) in share.unwrap().rounds.iter().enumerate() {
            let expected = floor.unwrap().rounds[round] * rates[round];
            assert!((share / expected - 1.0).abs() < 1e-9);
        }
        for passes in [&own.trees, &own.rows] {
            // A pass over one is measured unasked, and all in rising order.
            assert_eq!(passes.iter().map(|pass| pass.ids).collect::<Vec<_>>(), [1, 2, 3]);
            assert_eq!(passes[0].of_one.rounds, [1.0, 1.0]);
            for pass in passes {
                pass.seconds.assert_whole();
            }
        }
    }
}

#[test]
fn what_is_timed_is_plain_greedy_decoding() {
    let models = Models::new(SPEC);
    let folder = models.path("target");
    let report = measured(&folder, &["--seed", "3"]);
    let mut network = Model::load(Path::new(&folder), Compute::CPU).unwrap().network;
    let mut state = 4u64;
    let mut ids: Vec<u32> = Vec::new();
    for _ in 0..report.prompt {
        state = state.wrapping_mul(6_364_136_223_846_793_005);
        state = state.wrapping_add(1_442_695_040_888_963_407);
        ids.push(((state >> 33) % network.rows() as u64) as u32);
    }
    let mut written = Vec::new();
    for _ in 0..report.tokens {
        network.truncate(0);
        written.push(argmax(network.extend(&ids, Wanted::Last).unwrap().last()));
        ids.extend(written.last());
    }
    assert_eq!(report.dtypes[0].ids, written);
}

#[test]
fn the_table_has_a_row_an_element_type() {
    let models = Models::new(SPEC);
    let folder = models.path("draft");
    let line = [&["speed", "--model", &folder][..], &FEW].concat();
    let shown = stdout(&SPEC.run(&line));
    for part in
        ["5 tokens behind 16 ids", "tokens/s", "tree of 1, ms", "row of 1, ms", "of 3 / of 1"]
    {
        assert!(shown.contains(part), "`{part}` is not in: {shown}");
    }
    assert_eq!(shown.lines().filter(|line| line.starts_with("fp32 ")).count(), 3, "{shown}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let models = Models::new(SPEC);
    let folder = models.path("target");
    for (more, parts) in [
        (["--dtype", "fp7"], ["fp7", "dtypes are"]),
        (["--dtype", "fp32,fp32"], ["--dtype", "twice"]),
        (["--nodes", "0,8"], ["--nodes", "at least 1"]),
        (["--prefill", "9999999"], ["context", "--prefill"]),
    ] {
        let output = SPEC.run(&[&["speed", "--model", &folder][..], &more].concat());
        assert_eq!(output.status.code(), Some(2));
        assert_one_line(&output, &parts);
    }
    let output = SPEC.run(&["speed", "--model", "stentor-3"]);
    assert_one_line(&output, &["cannot use the model `stentor-3`"]);
}
