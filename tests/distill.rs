//! `spec distill` and `spec compare` from outside: acceptance rises, laws are asked for once, a run
//! that was broken off goes on, and what cannot be done is said in one line.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use support::command::{Models, Spec, assert_one_line, stdout};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

/// Small models and text that they can read.
struct Desk {
    models: Models,
}

impl Desk {
    fn new() -> Self {
        let models = Models::new(SPEC);
        let words = ["ab", "cd", "abcd", "gh,", "ef", "fade", "beach."];
        let line = |index: usize| {
            let word = |place: usize| words[(index * index + place * (index % 6 + 1)) % 7];
            let text: Vec<&str> = (0..30).map(word).collect();
            json!({"text": text.join(" ")}).to_string()
        };
        let lines: Vec<String> = (0..400).map(line).collect();
        fs::write(models.folder.path().join("data.jsonl"), lines.join("\n")).unwrap();
        Self { models }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.models.folder.path().join(name)
    }

    fn distill(&self, draft: &str, run: &str, more: &[&str]) -> Output {
        let path = |name: &str| self.models.path(name);
        let (draft, target, data, cache, out) =
            (path(draft), path("target"), path("data.jsonl"), path("cache"), path(run));
        let fixed = ["distill", "--draft", &draft, "--target", &target, "--data", &data];
        let places = ["--cache", &cache, "--out", &out, "--threads", "1", "--max-new", "20"];
        let mut all = [&fixed[..], &places].concat();
        let settings = [
            "distill.pieces=120",
            "distill.evaluation_pieces=64",
            "distill.piece_bytes=60",
            "distill.prompt_tokens=4",
            "distill.max_new=24",
            "distill.teacher_batch=5",
            "schedule.steps=60",
            "schedule.warmup=5",
            "optimiser.lr=5e-3",
            "batch.sequences=8",
            "evaluation.every=20",
            "packing.length=48",
        ];
        all.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        all.extend(more);
        SPEC.run(&all)
    }

    fn metrics(&self, run: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.file(run).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn evaluations(&self, run: &str, field: &str) -> Vec<f64> {
        self.metrics(run).iter().filter_map(|record| record[field].as_f64()).collect()
    }
}

#[test]
fn acceptance_rises_and_is_measured() {
    let desk = Desk::new();
    for (draft, objective, method) in [
        ("draft", "log-acceptance", "tli"),
        ("monster", "forward-kl", "tli"),
        ("same", "total-variation", "identity"),
        ("same", "reverse-kl", "identity"),
    ] {
        let run = format!("{draft}-{objective}");
        let printed = stdout(&desk.distill(
            draft,
            &run,
            &["--text", "target", "--objective", objective, "--json"],
        ));
        let rates = desk.evaluations(&run, "eval_acceptance");
        assert_eq!(rates.len(), 3);
        assert!(rates[2] > rates[0] && rates[2] > 0.3, "{run}: {rates:?}");
        let comparison: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(comparison["a"]["case"], method);
        assert!(comparison["prompts"].as_u64().unwrap() > 40);
        let rate = &comparison["figures"][0];
        assert_eq!(rate["name"], "draft_acceptance_rate");
        let gain = rate["difference"]["value"].as_f64().unwrap();
        assert!((gain - (rate["b"].as_f64().unwrap() - rate["a"].as_f64().unwrap())).abs() < 1e-12);
        assert!(rate["difference"]["low"].as_f64().unwrap() > 0.0, "{run}: {rate}");
        let written = fs::read_to_string(desk.file(&run).join("comparison.json")).unwrap();
        assert_eq!(written, printed);
        let shown = stdout(&SPEC.run(&[
            "compare",
            &desk.models.path(&format!("{run}/bench/before")),
            &desk.models.path(&format!("{run}/bench/after")),
        ]));
        assert!(
            shown.contains("acceptance rate, pooled") && shown.contains("prompts that both ran")
        );
    }
}

#[test]
fn the_target_writes_and_the_draft_learns_its_text() {
    let desk = Desk::new();
    let more = ["--text", "target", "--objective", "cross-entropy", "--no-bench"];
    let printed = stdout(&desk.distill("monster", "run", &more));
    let losses = desk.evaluations("run", "eval_loss");
    assert!(losses[2] < 0.9 * losses[0], "{losses:?}");
    let bits = desk.evaluations("run", "eval_bits_per_byte");
    assert_eq!(bits.len(), 3, "a loss of text has bits a byte");
    let model = printed.trim().to_owned();
    stdout(&SPEC.run(&["generate", "--model", &model, "--prompt", "ab", "--max-new", "4"]));
    let texts = |desk: &Desk| -> Vec<(String, String)> {
        let entries = fs::read_dir(desk.file("cache")).unwrap();
        let folders = entries.map(|entry| entry.unwrap().path());
        folders
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("texts-"))
            .map(|path| {
                let text = fs::read_to_string(path.join("train.jsonl")).unwrap();
                (path.display().to_string(), text)
            })
            .collect()
    };
    let [(_, first)] = &texts(&desk)[..] else { panic!("the target wrote once") };
    assert!(first.lines().count() > 80);
    let alone = ["--set", "distill.teacher_batch=1", "--set", "schedule.steps=1"];
    stdout(&desk.distill("monster", "other", &[&more[..], &alone].concat()));
    assert_eq!(texts(&desk).len(), 1, "how many are written at once changes nothing");
    stdout(&desk.distill("monster", "seeded", &[&more[..], &alone, &["--seed", "9"]].concat()));
    assert_eq!(texts(&desk).len(), 2, "another seed, another text");
}

#[test]
fn a_broken_run_goes_on_with_the_laws_that_are_there() {
    let desk = Desk::new();
    let often = ["--no-bench", "--set", "checkpoint.minutes=0.0", "--set", "checkpoint.keep=100"];
    stdout(&desk.distill("draft", "whole", &often));
    let losses = |run: &str| -> Vec<Value> {
        desk.metrics(run).into_iter().map(|record| record["loss"].clone()).collect()
    };
    let expected = losses("whole");
    let lessons = || -> Vec<_> {
        let entries = fs::read_dir(desk.file("cache")).unwrap();
        let mut found: Vec<_> = entries
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.path(), entry.metadata().unwrap().modified().unwrap()))
            .collect();
        found.sort();
        found
    };
    let made = lessons();
    for step in 24..=60 {
        let checkpoint = desk.file("whole").join(format!("checkpoints/step-{step:07}"));
        fs::remove_dir_all(checkpoint).unwrap();
    }
    let (run, cache) = (desk.models.path("whole"), desk.models.path("cache"));
    let resume = ["distill", "--resume", &run, "--cache", &cache, "--threads", "1", "--no-bench"];
    stdout(&SPEC.run(&resume));
    assert_eq!(losses("whole"), expected, "bit for bit");
    assert_eq!(lessons(), made, "nothing was asked of the target again");
}

#[test]
fn what_cannot_be_distilled_is_said_in_one_line() {
    let desk = Desk::new();
    let try_with = |more: &[&str]| desk.distill("draft", "run", more);
    assert_one_line(&try_with(&["--objective", "kl"]), &["`kl`", "forward-kl"]);
    assert_one_line(&try_with(&["--text", "both"]), &["`both`", "`data`", "`target`"]);
    assert_one_line(&try_with(&["--set", "distill.topk=3"]), &["`topk`", "did you mean `top_k`?"]);
    assert_one_line(&try_with(&["--set", "distill.top_k=0"]), &["distill.top_k", "at least 1"]);
    assert_one_line(&try_with(&["--column", "body"]), &["data.jsonl, line 1", "`body`"]);
    let long = ["--text", "target", "--set", "distill.prompt_tokens=60"];
    assert_one_line(&try_with(&long), &["60 target tokens", "distill.prompt_tokens"]);
    let recipe = stdout(&try_with(&["--show-recipe"]));
    let path = desk.file("recipe.toml");
    fs::write(&path, recipe).unwrap();
    let train = SPEC.run(&["train", "--recipe", &path.display().to_string()]);
    assert_one_line(&train, &["distillation", "spec distill"]);
    let half = fs::read_dir(desk.file("cache")).map_or(0, Iterator::count);
    assert!(half <= 1, "no half laws stay");
}

#[test]
fn runs_that_cannot_be_paired_are_not_compared() {
    let desk = Desk::new();
    let bench = |name: &str, prompts: &str| {
        let out = desk.models.path(name);
        let more = ["--out", &out, "--method", "slem"];
        stdout(&desk.models.bench_on("draft", prompts, &more));
        out
    };
    let first = bench("first", &desk.models.usual_prompts());
    let shown = stdout(&SPEC.run(&["compare", &first, &first]));
    assert!(shown.contains("+0.0000 [+0.0000, +0.0000]   no difference shown"), "{shown}");
    let other = bench("other", &desk.models.prompts(&[json!({"prompt": "gh"})]));
    assert_one_line(&SPEC.run(&["compare", &first, &other]), &["different prompts"]);
    let none = desk.models.path("none");
    assert_one_line(&SPEC.run(&["compare", &first, &none]), &["no run of spec bench"]);
}
