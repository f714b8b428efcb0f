//! `spec train` from outside: what a run leaves, and that a run that was killed goes on as if it had
//! not been.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::command::{SINGLES, Spec, assert_one_line, stdout};
use support::tokenizers::write_bpe;
use tempfile::TempDir;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

const RECIPE: &str = r#"
about = "a recipe of the tests"
seed = 7
[model.config]
model_type = "llama"
architectures = ["LlamaForCausalLM"]
vocab_size = 16
hidden_size = 32
intermediate_size = 64
num_hidden_layers = 2
num_attention_heads = 4
num_key_value_heads = 2
head_dim = 8
max_position_embeddings = 64
rms_norm_eps = 1e-5
rope_theta = 10000.0
tie_word_embeddings = true
[tokenizer]
[data]
sources = []
shares = []
evaluation_share = 0.1
[cleaning]
nfkc = true
strip_lines = true
collapse_whitespace = true
[packing]
length = 64
end_of_text = true
[batch]
sequences = 8
micro = 4
[optimiser]
lr = 1e-2
betas = [0.9, 0.95]
eps = 1e-8
weight_decay = 0.01
clip = 1.0
[schedule]
kind = "cosine"
steps = 40
warmup = 4
decay = 0
[precision]
dtype = "fp32"
[evaluation]
every = 10
sequences = 4
max_blocks = 8
log_every = 5
[checkpoint]
minutes = 0.0
keep = 2
best_from = 0
dtype = "fp32"
recompute = false
"#;

/// A tokenizer, a text and a recipe.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder };
        fs::create_dir(bench.path("tokenizer")).unwrap();
        write_bpe(&bench.path("tokenizer"), SINGLES, &[("a", "b"), (" ", "c")]);
        let words = ["abc", "cab", "a", "fade", "gab", "beach.", "head,"];
        let document = |index: usize| {
            let word =
                |place: usize| words[(index * index + place * (index % 5 + 1)) % words.len()];
            let text: Vec<&str> = (0..40).map(word).collect();
            json!({"text": text.join(" "), "number": index}).to_string()
        };
        let lines: Vec<String> = (0..300).map(document).collect();
        fs::write(bench.path("data.jsonl"), lines.join("\n")).unwrap();
        fs::write(bench.path("recipe.toml"), RECIPE).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn begin(&self, run: &str, more: &[&str]) -> Vec<String> {
        let fixed = [
            "train",
            "--recipe",
            &self.text("recipe.toml"),
            "--tokenizer",
            &self.text("tokenizer"),
            "--data",
            &self.text("data.jsonl"),
            "--cache",
            &self.text("cache"),
            "--out",
            &self.text(run),
            "--threads",
            "1",
        ];
        fixed.iter().chain(more).map(|&part| part.to_owned()).collect()
    }

    fn go_on(&self, run: &str) -> Vec<String> {
        let fixed = [
            "train",
            "--resume",
            &self.text(run),
            "--cache",
            &self.text("cache"),
            "--threads",
            "1",
        ];
        fixed.iter().map(|&part| part.to_owned()).collect()
    }

    fn records(&self, run: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(run).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What does not depend on the clock.
    fn losses(&self, run: &str) -> Vec<(u64, Value, Value)> {
        let of = |record: Value| {
            let step = record["step"].as_u64().unwrap();
            (step, record["loss"].clone(), record["eval_loss"].clone())
        };
        self.records(run).into_iter().map(of).collect()
    }
}

fn run(arguments: &[String]) -> Output {
    SPEC.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn start(arguments: &[String]) -> Child {
    Command::new(SPEC.0)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn checkpoints(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_leaves_a_model_and_its_curves() {
    let bench = Bench::new();
    let printed = stdout(&run(&bench.begin("run", &[])));
    assert_eq!(printed.trim(), bench.text("run"));
    let records = bench.records("run");
    let losses: Vec<f64> = records.iter().filter_map(|record| record["loss"].as_f64()).collect();
    assert_eq!(losses.len(), 40);
    assert!((losses[0] - 16f64.ln()).abs() < 0.2 && losses[39] < 1.2, "{losses:?}");
    let evaluated: Vec<&Value> =
        records.iter().filter(|record| record["eval_loss"].is_number()).collect();
    assert_eq!(evaluated.len(), 4);
    let last = evaluated[3];
    let (loss, perplexity) = (last["eval_loss"].as_f64().unwrap(), &last["eval_perplexity"]);
    assert!((perplexity.as_f64().unwrap() - loss.exp()).abs() < 1e-9);
    let curves = fs::read_to_string(bench.path("run/training_curves.csv")).unwrap();
    assert!(curves.starts_with("step,epoch,train_loss,eval_loss,eval_ppl,note\n5,"), "{curves}");
    assert_eq!(curves.lines().count(), 1 + 8);
    let picture = fs::read_to_string(bench.path("run/training_curves.svg")).unwrap();
    assert!(picture.contains("<polyline") && picture.contains("a recipe of the tests"));
    let latest = fs::read_to_string(bench.path("run/latest")).unwrap();
    let model = bench.path("run/checkpoints").join(latest.trim()).display().to_string();
    let shown = stdout(&SPEC.run(&["explore", "--model", &model, "--prompt", "ab", "--json"]));
    assert!(shown.contains("logprob"));
    let again = run(&bench.begin("run", &[]));
    assert_one_line(&again, &["holds a run already", "--resume"]);
}

#[test]
fn a_killed_run_goes_on_bit_for_bit() {
    let bench = Bench::new();
    let started = Instant::now();
    stdout(&run(&bench.begin("whole", &[])));
    let whole = started.elapsed();
    let expected = bench.losses("whole");
    let mut broken_off = 0;
    for trial in 0..10u32 {
        let name = format!("run{trial}");
        // Spread over the run by the golden ratio, its beginning and its end included.
        let share = f64::from(trial) * 0.618 % 1.0;
        let mut child = start(&bench.begin(&name, &[]));
        std::thread::sleep(Duration::from_secs_f64(whole.as_secs_f64() * share));
        child.kill().unwrap();
        child.wait().unwrap();
        let has_recipe = bench.path(&name).join("recipe.toml").exists();
        let arguments = if has_recipe { bench.go_on(&name) } else { bench.begin(&name, &[]) };
        let begun = fs::read_to_string(bench.path(&name).join("metrics.jsonl")).unwrap_or_default();
        broken_off += u32::from((1..44).contains(&begun.lines().count()));
        stdout(&run(&arguments));
        assert_eq!(bench.losses(&name), expected, "killed at {share:.3} of the run");
        let names = checkpoints(&bench.path(&name));
        assert!(names.contains(&"step-0000040".to_owned()) && names.len() <= 3 + 1, "{names:?}");
    }
    assert!(broken_off > 0, "some of them were killed on their way");
}

#[test]
fn an_interrupt_saves_and_ends_with_130() {
    let bench = Bench::new();
    let more = ["--set", "schedule.steps=4000", "--set", "checkpoint.minutes=60"];
    let mut child = start(&bench.begin("run", &more));
    let metrics = bench.path("run/metrics.jsonl");
    let patience = Instant::now();
    while fs::read_to_string(&metrics).unwrap_or_default().lines().count() < 3 {
        assert!(patience.elapsed() < Duration::from_secs(60), "it trains");
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let steps = bench.losses("run").last().unwrap().0;
    let saved = checkpoints(&bench.path("run"));
    assert_eq!(saved.last().unwrap(), &format!("step-{steps:07}"));
}

#[test]
fn what_cannot_be_trained_is_said_in_one_line() {
    let bench = Bench::new();
    let set = |assignment: &str| run(&bench.begin("run", &["--set", assignment]));
    assert_one_line(&set("optimiser.lrr=1"), &["unknown field `lrr`", "did you mean `lr`?"]);
    assert_one_line(&set("model.config.vocab_size=4"), &["14 ids", "4 rows"]);
    assert_one_line(&set("packing.length=128"), &["128", "context of 64"]);
    assert_one_line(&set("schedule.kind=cosinus"), &["schedule.kind", "cosinus"]);
    assert_one_line(&set("data.evaluation_share=0.999999"), &["no document for training"]);
    let column = run(&bench.begin("run", &["--column", "body"]));
    assert_one_line(&column, &["data.jsonl, line 1", "`body`"]);
    let unknown = SPEC.run(&["train", "--recipe", "stentor3"]);
    assert_one_line(&unknown, &["no recipe `stentor3`", "did you mean `stentor"]);
    assert!(!bench.path("run").exists(), "nothing is left of a run that did not begin");
    let half = fs::read_dir(bench.path("cache")).map_or(0, Iterator::count);
    assert_eq!(half, 0, "no half ids stay");
}

#[test]
fn text_is_tokenised_once() {
    let bench = Bench::new();
    let more = ["--set", "schedule.steps=2"];
    stdout(&run(&bench.begin("first", &more)));
    let folders = || -> Vec<PathBuf> {
        let entries = fs::read_dir(bench.path("cache")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let [folder] = &folders()[..] else { panic!("one folder of ids") };
    let made = fs::metadata(folder.join("train.bin")).unwrap().modified().unwrap();
    stdout(&run(&bench.begin("second", &more)));
    assert_eq!(folders().len(), 1);
    assert_eq!(fs::metadata(folder.join("train.bin")).unwrap().modified().unwrap(), made);
    stdout(&run(
        &bench.begin("third", &["--set", "schedule.steps=2", "--set", "cleaning.nfkc=false"])
    ));
    assert_eq!(folders().len(), 2, "another cleaning gives other ids");
}
