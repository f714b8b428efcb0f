//! 200 steps of the recipe `nano` in each precision, on English text: every loss is within 1 % of that
//! in 32-bit floats.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::command::{Spec, stdout};
use support::shared;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));
const STEPS: usize = 200;

fn losses(folder: &Path, (text, tokenizer): (&Path, &Path), dtype: &str) -> Vec<f64> {
    let path = |name: &str| folder.join(name).display().to_string();
    let settings = [
        format!("precision.dtype={dtype}"),
        format!("schedule.steps={STEPS}"),
        format!("evaluation.every={}", 2 * STEPS),
    ];
    let (cache, out) = (path("cache"), path(dtype));
    let (text, tokenizer) = (text.display().to_string(), tokenizer.display().to_string());
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
    let vocabulary = "tokenizers/tokenmonster/english-4096-balanced-nocapcode-v1.vocab";
    let (Some(text), Some(vocabulary)) =
        (shared::path("corpus/val.jsonl.zst"), shared::path(vocabulary))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (folder, data) = (folder.path(), (text.as_path(), vocabulary.as_path()));
    let [exact, bf16, fp16] = std::thread::scope(|scope| {
        ["fp32", "bf16", "fp16"]
            .map(|dtype| scope.spawn(move || losses(folder, data, dtype)))
            .map(|run| run.join().unwrap())
    });
    assert_eq!(exact.len(), STEPS);
    assert!(exact[STEPS - 1] < 0.8 * exact[0], "it learns: {exact:?}");
    // Both figures are wanted where one of them is too large.
    let worst = [("bf16", bf16), ("fp16", fp16)].map(|(dtype, other)| {
        assert_eq!(other.len(), STEPS);
        let apart = |(exact, other): (&f64, &f64)| (exact - other).abs() / exact;
        let worst = exact.iter().zip(&other).map(apart).fold(0.0, f64::max);
        eprintln!("{dtype}: losses differ by at most {:.3} %", 100.0 * worst);
        assert!(worst > 0.0, "{dtype} is a precision of its own");
        worst
    });
    assert!(worst.iter().all(|&worst| worst < 0.01), "bf16, fp16: {worst:?}");
}
