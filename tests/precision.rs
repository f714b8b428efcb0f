//! 200 steps of the recipe `nano` in each precision, on the sources of this repository: every loss is
//! within 1 % of that in 32-bit floats.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::command::{Spec, stdout};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));
const STEPS: usize = 200;

/// Rust sources and Markdown below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "md") {
            found.push(path);
        }
    }
}

/// Writes each source as a document, and a vocabulary of them.
fn prepare(folder: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    for part in ["align/src", "target/src", "experiments/src", "tests"] {
        sources(&root.join(part), &mut found);
    }
    let text = folder.join("text");
    fs::create_dir(&text).unwrap();
    for (number, source) in found.iter().enumerate() {
        fs::copy(source, text.join(format!("{number:04}.txt"))).unwrap();
    }
    let (text, out) = (text.display().to_string(), folder.join("tokenizer").display().to_string());
    stdout(&SPEC.run(&[
        "vocab", "build", "--kind", "bpe", "--size", "2000", "--data", &text, "--out", &out,
    ]));
}

fn losses(folder: &Path, dtype: &str) -> Vec<f64> {
    let path = |name: &str| folder.join(name).display().to_string();
    let settings = [
        format!("precision.dtype={dtype}"),
        format!("schedule.steps={STEPS}"),
        format!("evaluation.every={}", 2 * STEPS),
    ];
    let (text, tokenizer, cache, out) =
        (path("text"), path("tokenizer"), path("cache"), path(dtype));
    let mut arguments = vec![
        "train",
        "--recipe",
        "nano",
        "--data",
        &text,
        "--tokenizer",
        &tokenizer,
        "--cache",
        &cache,
        "--out",
        &out,
        "--threads",
        "1",
        "--device",
        "cpu",
    ];
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    stdout(&SPEC.run(&arguments));
    let text = fs::read_to_string(folder.join(dtype).join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|record| record["loss"].as_f64())
        .collect()
}

#[test]
fn every_loss_of_200_steps_is_within_a_hundredth_in_every_precision() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let exact = losses(folder.path(), "fp32");
    assert_eq!(exact.len(), STEPS);
    assert!(exact[STEPS - 1] < 0.7 * exact[0], "it learns: {exact:?}");
    // Both figures are wanted where one of them is too large.
    let worst = ["bf16", "fp16"].map(|dtype| {
        let other = losses(folder.path(), dtype);
        assert_eq!(other.len(), STEPS);
        let apart = |(exact, other): (&f64, &f64)| (exact - other).abs() / exact;
        let worst = exact.iter().zip(&other).map(apart).fold(0.0, f64::max);
        eprintln!("{dtype}: losses differ by at most {:.3} %", 100.0 * worst);
        assert!(worst > 0.0, "{dtype} is a precision of its own");
        worst
    });
    assert!(worst.iter().all(|&worst| worst < 0.01), "bf16, fp16: {worst:?}");
}
