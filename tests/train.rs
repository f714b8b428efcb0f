//! `spec train` from outside: what a run leaves, and that a run that was killed goes on as if it had
//! not been.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::command::{SINGLES, Spec, assert_one_line, stdout};
use support::shared;
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
        let (run, cache) = (self.text(run), self.text("cache"));
        ["train", "--resume", &run, "--cache", &cache, "--threads", "1"].map(str::to_owned).into()
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
        assert!(names.contains(&"step-0000040".to_owned()) && names.len() <= 3, "{names:?}");
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
    assert_one_line(&set("schedule.kind=cosinus"), &["schedule.kind", "cosinus", "mean `cosine`"]);
    let dtype = set("checkpoint.dtype=fp8");
    assert_one_line(&dtype, &["checkpoint.dtype", "fp8", "`fp32`, `bf16`, `fp16`"]);
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

/// Runs a script in the bench's folder, with `disk` a file system of `size`, "$0" the binary and "$@"
/// its arguments; `false` where users may not mount one.
fn on_small_disk(bench: &Bench, size: &str, script: &str, arguments: &[String]) -> bool {
    if !shared::can_mount() {
        return false;
    }
    fs::create_dir_all(bench.path("disk")).unwrap();
    let script = format!("mount -t tmpfs -o size={size} tmpfs disk && {script}");
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", &script, SPEC.0])
        .args(arguments)
        .current_dir(bench.folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Trains on a file system of `size`, makes room, and goes on. What the first run said, what it left,
/// and its exit code come back.
fn fill(
    bench: &Bench,
    size: &str,
    more: &[&str],
    meanwhile: &str,
) -> Option<(String, String, String)> {
    let script = format!(
        "{{ \"$0\" \"$@\" 2>said & {meanwhile} wait $!; echo $? >code; find disk/run >left
         rm -f disk/ballast; mount -o remount,size=64m disk
         \"$0\" train --resume disk/run --cache cache --threads 1 && cp -r disk/run run; }}"
    );
    let _ = fs::remove_dir_all(bench.path("run"));
    let read = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
    on_small_disk(bench, size, &script, &bench.begin("disk/run", more))
        .then(|| (read("said"), read("left"), read("code")))
}

/// Fails unless a run that met a full disk said so at its end, and left nothing half-written.
fn assert_stopped(bench: &Bench, (said, left, code): &(String, String, String)) {
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(code.trim(), "2", "{said}");
    assert!(last.starts_with("spec: cannot "), "{said}");
    let run = bench.text("disk/run");
    for part in ["No space left on device", &run, "make room, and go on with --resume"] {
        assert!(last.contains(part), "{part}: {last}");
    }
    assert!(!left.contains(".making-") && !left.contains(".new"), "{left}");
    let files = |name: &str| left.lines().filter(|line| line.ends_with(name)).count();
    let whole = left.lines().filter(|line| line.contains("/step-")).count() / 7;
    for name in ["/model.safetensors", "/optimiser.safetensors", "/config.json", "/tokenizer.json"]
    {
        assert_eq!(files(name), whole, "{left}");
    }
    match left.lines().filter(|line| line.ends_with("/config.json")).max() {
        Some(config) => {
            let good = Path::new(config).parent().unwrap().file_name().unwrap().to_str().unwrap();
            assert!(last.contains(&format!("{good}; make room")), "{last}");
        }
        None => assert!(last.contains("there is no checkpoint yet"), "{last}"),
    }
}

#[test]
fn a_full_disk_keeps_the_last_good_checkpoint() {
    let bench = Bench::new();
    stdout(&run(&bench.begin("whole", &[])));
    let expected = bench.losses("whole");
    // A checkpoint takes about 250 KiB.
    for (size, is_saved) in [("40k", false), ("300k", true), ("600k", true), ("900k", true)] {
        let Some(outcome) = fill(&bench, size, &[], "") else { return };
        assert_stopped(&bench, &outcome);
        assert_eq!(outcome.1.contains("/step-"), is_saved, "{size}: {}", outcome.1);
        assert_eq!(bench.losses("run"), expected, "{size}");
    }
    // The disk fills up behind a checkpoint, so that a line of the metrics is what finds no room.
    let more = ["schedule.steps=400", "evaluation.every=50", "checkpoint.minutes=60"];
    let more: Vec<&str> = more.iter().flat_map(|value| ["--set", value]).collect();
    stdout(&run(&bench.begin("longer", &more)));
    let wait = "while [ ! -e disk/run/latest ]; do sleep 0.01; done; cat /dev/zero >disk/ballast;";
    let Some(outcome) = fill(&bench, "2m", &more, wait) else { return };
    assert_stopped(&bench, &outcome);
    assert_eq!(bench.losses("run"), bench.losses("longer"));
}

#[test]
fn a_full_disk_leaves_no_ids() {
    let bench = Bench::new();
    stdout(&run(&bench.begin("whole", &["--set", "schedule.steps=2"])));
    let ids = |cache: &str| {
        let mut folders = fs::read_dir(bench.path(cache)).unwrap();
        let folder = folders.next().unwrap().unwrap().path();
        ["train.bin", "evaluation.bin", "counts.json"]
            .map(|name| fs::read(folder.join(name)).unwrap())
    };
    let expected = ids("cache");
    let pages: usize = expected[..2].iter().map(|file| file.len().div_ceil(4096) * 4).sum();
    let mut arguments = bench.begin("elsewhere", &["--set", "schedule.steps=2"]);
    *arguments.iter_mut().find(|part| **part == bench.text("cache")).unwrap() = "disk/ids".into();
    let script = "{ rm -rf ids elsewhere; \"$0\" \"$@\" 2>said; echo $? >code; find disk/ids -mindepth 1 >left
        mount -o remount,size=64m disk; \"$0\" \"$@\" && cp -r disk/ids ids; }";
    // Room for a part of the ids, and for all of them but not for what is known of them.
    for size in ["8k".to_owned(), "24k".to_owned(), format!("{pages}k")] {
        if !on_small_disk(&bench, &size, script, &arguments) {
            return;
        }
        let read = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
        let said = read("said");
        assert_eq!(
            (read("code").trim(), &*read("left"), said.lines().count()),
            ("2", "", 1),
            "{said}"
        );
        for part in ["spec: cannot write ", "/disk/ids/", ": No space left on device", "--cache"] {
            assert!(said.contains(part), "{size}: {said}");
        }
        assert_eq!(said.contains("counts.json"), size == format!("{pages}k"), "{said}");
        assert_eq!(ids("ids"), expected, "{size}");
    }
}

#[test]
#[cfg(unix)]
fn a_limit_on_the_size_of_files_is_named() {
    let bench = Bench::new();
    let limited = |arguments: &[String]| {
        let script = "ulimit -f 32; exec \"$0\" \"$@\"";
        Command::new("sh").args(["-c", script, SPEC.0]).args(arguments).output().unwrap()
    };
    let ids = limited(&bench.begin("run", &[]));
    assert_one_line(&ids, &["cannot write ", "train.bin: File too large", "no ids are kept"]);
    assert_eq!(fs::read_dir(bench.path("cache")).unwrap().count(), 0);
    stdout(&run(&bench.begin("whole", &[])));
    let output = limited(&bench.begin("run", &[]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["File too large", "there is no checkpoint yet; make room, and go on with --resume"]
    {
        assert!(said.lines().last().unwrap().contains(part), "{said}");
    }
    stdout(&run(&bench.go_on("run")));
    assert_eq!(bench.losses("run"), bench.losses("whole"));
}

#[test]
fn checkpoints_in_16_bits_go_on_with_all_bits() {
    let bench = Bench::new();
    for dtype in ["bf16", "fp16"] {
        let dtype_of = format!("checkpoint.dtype={dtype}");
        let more = ["--set", &dtype_of, "--set", "checkpoint.keep=100"];
        stdout(&run(&bench.begin(dtype, &more)));
        let expected = bench.losses(dtype);
        for name in checkpoints(&bench.path(dtype)).iter().skip(20) {
            fs::remove_dir_all(bench.path(dtype).join("checkpoints").join(name)).unwrap();
        }
        stdout(&run(&bench.go_on(dtype)));
        assert_eq!(bench.losses(dtype), expected, "{dtype}");
        let model = bench.path(dtype).join("checkpoints/step-0000040").display().to_string();
        stdout(&SPEC.run(&["explore", "--model", &model, "--prompt", "ab"]));
    }
}
