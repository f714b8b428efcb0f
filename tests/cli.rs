//! The binary as users meet it: what it prints where, its exit codes, its files, and one clear line
//! for every kind of bad input.

#![allow(missing_docs, clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use align::tokenmonster::Capcode;
use experiments::bench::record::{Record, Report};
use serde_json::{Value, json};
use support::checkpoints::{tiny_config, write_llama};
use support::tokenizers::{write_bpe, write_tokenmonster};
use tempfile::TempDir;

const SINGLES: &str = "abcdefgh .,";
const MERGES: [(&str, &str); 4] = [("a", "b"), ("c", "d"), (" ", "ab"), (" ab", "cd")];

fn spec(args: &[&str]) -> Output {
    spec_with(args, &[], "")
}

fn spec_with(args: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_spec"))
        .args(args)
        .env_remove("HF_TOKEN")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails at once reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Fails unless the command failed with one line that holds all of `parts`.
fn assert_one_line(output: &Output, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty(), "an error prints no data");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("spec: "), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
    }
}

/// Folders of small models: `same` and `target` share a vocabulary, `draft` has another, `monster`
/// a TokenMonster one.
struct Models {
    folder: TempDir,
}

impl Models {
    fn new() -> Self {
        let models = Self { folder: tempfile::tempdir().unwrap() };
        for (name, seed) in [("target", 1), ("same", 2)] {
            let folder = models.make(name);
            write_bpe(&folder, SINGLES, &MERGES);
            write_llama(&folder, &tiny_config(SINGLES.len() + MERGES.len() + 1), seed);
        }
        let draft = models.make("draft");
        write_bpe(&draft, SINGLES, &[("b", "c"), ("d", " ")]);
        write_llama(&draft, &tiny_config(SINGLES.len() + 3), 3);
        let monster = models.make("monster");
        let mut tokens: Vec<&[u8]> = SINGLES.as_bytes().chunks(1).collect();
        tokens.extend([&b"\x7f"[..], b" a", b"ab", b" ab", b".\x7f"]);
        write_tokenmonster(&monster, &tokens, Capcode::Delete);
        write_llama(&monster, &tiny_config(tokens.len() + 2), 4);
        models
    }

    fn make(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A copy of a model that a test may spoil.
    fn copy(&self, from: &str, name: &str) -> PathBuf {
        let to = self.make(name);
        for entry in fs::read_dir(self.folder.path().join(from)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        to
    }

    fn prompts(&self, lines: &[Value]) -> String {
        let path = self.folder.path().join("prompts.jsonl");
        let text: String = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn usual_prompts(&self) -> String {
        let prompt = |index: usize| {
            let text = ["ab cd", "ab ab cd.", "gh, ef ab", "abcd abcd"][index % 4];
            json!({"prompt": text, "category": (["x", "y"][index % 2])})
        };
        self.prompts(&(0..8).map(prompt).collect::<Vec<_>>())
    }

    fn bench(&self, draft: &str, more: &[&str]) -> Output {
        self.bench_on(draft, &self.usual_prompts(), more)
    }

    fn bench_on(&self, draft: &str, prompts: &str, more: &[&str]) -> Output {
        let (draft, target) = (self.path(draft), self.path("target"));
        let fixed = ["bench", "--draft", &draft, "--target", &target, "--prompts", prompts];
        spec(&[&fixed[..], &["--max-new", "20", "--threads", "1"], more].concat())
    }
}

fn report(output: &Output) -> Report {
    serde_json::from_str(&stdout(output)).unwrap()
}

fn records(folder: &Path) -> Vec<Record> {
    let text = fs::read_to_string(folder.join("records.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_method_runs_and_is_greedy_identical() {
    let models = Models::new();
    let pairs = [
        ("same", "identity"),
        ("same", "slem"),
        ("same", "tli"),
        ("draft", "slem"),
        ("draft", "tli"),
        ("monster", "slem"),
        ("monster", "tli"),
    ];
    for (draft, method) in pairs {
        let report = report(&models.bench(draft, &["--method", method, "--json"]));
        let case = report.cases.iter().find(|case| case.case == method).unwrap();
        let identical = case.overall.greedy_identical.unwrap().value;
        assert_eq!(identical, Some(1.0), "{draft} {method}");
        assert!(case.overall.counts.num_draft_tokens > 0, "{draft} {method}");
        assert!(report.complete);
    }
}

#[test]
fn the_default_method_depends_on_the_vocabularies() {
    let models = Models::new();
    for (draft, method) in [("same", "identity"), ("draft", "slem")] {
        let report = report(&models.bench(draft, &["--json", "--limit", "2"]));
        assert_eq!(report.header.settings.method, method);
    }
}

#[test]
fn a_model_accepts_all_of_itself() {
    let models = Models::new();
    let report = report(&models.bench("target", &["--json"]));
    let case = report.cases.iter().find(|case| case.case == "identity").unwrap();
    assert_eq!(case.overall.draft_acceptance_rate.value, Some(1.0));
}

#[test]
fn files_hold_what_is_printed_and_records_add_up() {
    let models = Models::new();
    let out = models.folder.path().join("run");
    let path = out.display().to_string();
    let flags = ["--json", "--temperature", "1", "--repeats", "2", "--out", &path];
    let printed = report(&models.bench("draft", &flags));
    let written: Report =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(printed.cases, written.cases);
    assert!(fs::read_to_string(out.join("report.md")).unwrap().contains("slem"));
    let records = records(&out);
    assert_eq!(records.len(), 8 * 2 * 2, "prompts, repeats, cases");
    for record in &records {
        let seconds = &record.seconds;
        let sum = seconds.prefill + seconds.draft + seconds.align + seconds.verify + seconds.other;
        assert!((sum - seconds.total).abs() < 1e-9);
        assert_eq!(record.counts.num_emitted_tokens, record.ids.len() as u64);
        assert!(record.greedy.is_none(), "temperature 1 has no greedy text");
    }
    // The text of slem is plain sampling's for the same seed.
    let of = |case: &str| -> Vec<&Vec<u32>> {
        records.iter().filter(|record| record.case == case).map(|record| &record.ids).collect()
    };
    assert_eq!(of("plain"), of("slem"));
    let names: Vec<_> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "nothing half-written is left: {names:?}");
}

#[test]
fn the_same_seed_gives_the_same_result() {
    let models = Models::new();
    let run = |name: &str, seed: &str| {
        let out = models.folder.path().join(name);
        let path = out.display().to_string();
        let flags = ["--temperature", "1", "--method", "tli", "--seed", seed, "--out", &path];
        stdout(&models.bench("draft", &flags));
        records(&out).into_iter().map(|record| (record.ids, record.counts)).collect::<Vec<_>>()
    };
    let first = run("one", "7");
    assert_eq!(first, run("two", "7"));
    assert_ne!(first, run("three", "8"));
}

#[test]
fn the_table_goes_to_stdout_and_talk_to_stderr() {
    let models = Models::new();
    let table = stdout(&models.bench("draft", &[]));
    for name in ["speed-up", "acceptance rate", "mean acceptance length", "greedy identity"] {
        assert!(table.contains(name), "{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
}

#[test]
fn prompts_that_do_not_fit_are_counted() {
    let models = Models::new();
    let long = "ab cd ".repeat(40);
    let prompts = models.prompts(&[
        json!({"prompt": "ab cd", "category": "x"}),
        json!({"prompt": long, "category": "x"}),
        json!({"prompt": "ab zzz", "category": "y"}),
    ]);
    let skipped = report(&models.bench_on("draft", &prompts, &["--json"])).header.prompts;
    assert_eq!((skipped.total, skipped.run), (3, 1));
    let of = |category: &str| {
        let row = skipped.skipped.iter().find(|row| row.category == category).unwrap();
        (row.too_long, row.inexpressible)
    };
    assert_eq!((of("x"), of("y")), ((1, 0), (0, 1)));
    let flags = ["--json", "--long-prompts", "truncate-left"];
    let cut = report(&models.bench_on("draft", &prompts, &flags)).header.prompts;
    assert_eq!((cut.run, cut.truncated), (2, 1));
    let refused = models.bench_on("draft", &prompts, &["--long-prompts", "error"]);
    assert_one_line(&refused, &["target tokens", "--long-prompts"]);
}

#[test]
fn a_draft_whose_context_is_full_slides_and_says_so() {
    let models = Models::new();
    let folder = models.copy("draft", "short");
    let mut config = tiny_config(SINGLES.len() + 3);
    config["max_position_embeddings"] = 16.into();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let flags = ["--json", "--ignore-eos", "--max-new", "50", "--method", "tli"];
    let (draft, target) = (models.path("short"), models.path("target"));
    let prompts = models.usual_prompts();
    let fixed = ["bench", "--draft", &draft, "--target", &target, "--prompts", &prompts];
    let report = report(&spec(&[&fixed[..], &flags].concat()));
    let case = report.cases.iter().find(|case| case.case == "tli").unwrap();
    assert!(case.overall.counts.draft_window_slides > 0);
    assert!(report.warnings.iter().any(|warning| warning.contains("window slid")));
    assert_eq!(case.overall.greedy_identical.unwrap().value, Some(1.0));
}

#[test]
fn chat_prompts_are_rendered_by_each_sides_own_template() {
    let models = Models::new();
    let prompts = models.prompts(&[json!({"question_id": 1, "category": "x", "turns": ["ab cd"]})]);
    let raw = report(&models.bench_on("draft", &prompts, &["--json"]));
    assert_eq!(raw.header.prompts.run, 1);
    for (name, template) in [
        ("draft", "{% for m in messages %}{{ m.content }}{% endfor %}"),
        ("target", "{% for m in messages %}ab {{ m.content }} cd{% endfor %}"),
    ] {
        let config = json!({"eos_token": "<eos>", "chat_template": template});
        let path = models.folder.path().join(name).join("tokenizer_config.json");
        fs::write(path, config.to_string()).unwrap();
    }
    let out = models.folder.path().join("run");
    let path = out.display().to_string();
    stdout(&models.bench_on("draft", &prompts, &["--out", &path]));
    let rendered = records(&out)[0].prompt_tokens;
    stdout(&models.bench_on("draft", &prompts, &["--template", "none", "--out", &path]));
    assert!(rendered > records(&out)[0].prompt_tokens);
}

#[test]
fn text_becomes_ids_and_ids_text() {
    let models = Models::new();
    for name in ["target", "monster"] {
        let path = models.path(name);
        let text = "ab cd ab. gh";
        let line = json!({"text": text}).to_string();
        let ids = stdout(&spec_with(&["tokenize", "--tokenizer", &path, "--jsonl"], &[], &line));
        let decoded = stdout(&spec_with(
            &["tokenize", "--tokenizer", &path, "--jsonl", "--decode"],
            &[],
            &ids,
        ));
        let decoded: Value = serde_json::from_str(&decoded).unwrap();
        assert_eq!(decoded["text"], text, "{name}");
        assert_eq!(decoded["bytes_b64"], "YWIgY2QgYWIuIGdo", "{name}");
    }
    let bad = spec_with(&["tokenize", "--tokenizer", &models.path("target"), "--jsonl"], &[], "{}");
    assert_one_line(&bad, &["line 1", "{\"text\": …}"]);
    assert_one_line(&spec(&["tokenize", "--tokenizer", "nowhere"]), &["nowhere", "does not exist"]);
}

#[test]
fn doctor_says_what_is_linked() {
    let json: Value = serde_json::from_str(&stdout(&spec(&["doctor", "--json"]))).unwrap();
    assert!(json["torch"].as_str().unwrap().starts_with("2.11"));
    assert_eq!(json["devices"][0]["fp32"], true);
    assert_eq!(json["openmp"].as_array().unwrap().len(), 1);
}

#[test]
fn damaged_models_are_named() {
    let models = Models::new();
    let weights = |folder: &Path| folder.join("model.safetensors");

    let folder = models.copy("draft", "truncated");
    let bytes = fs::read(weights(&folder)).unwrap();
    fs::write(weights(&folder), &bytes[..bytes.len() / 2]).unwrap();
    assert_one_line(&models.bench("truncated", &[]), &["model.safetensors", "fetch it again"]);

    fs::write(weights(&folder), b"").unwrap();
    assert_one_line(&models.bench("truncated", &[]), &["model.safetensors"]);

    let folder = models.copy("draft", "lying");
    let mut config = tiny_config(SINGLES.len() + 3);
    config["intermediate_size"] = 64.into();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    assert_one_line(&models.bench("lying", &[]), &["gate_proj", "[48, 32]", "[64, 32]"]);

    config["intermediate_size"] = 48.into();
    config["num_hidden_layers"] = 3.into();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    assert_one_line(&models.bench("lying", &[]), &["lacks the tensor", "layers.2"]);

    config["num_hidden_layers"] = 1.into();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    assert_one_line(&models.bench("lying", &[]), &["does not know", "layers.1"]);

    fs::write(folder.join("config.json"), "{\"model_type\": \"llama\"}").unwrap();
    assert_one_line(&models.bench("lying", &[]), &["config.json", "vocab_size"]);

    let folder = models.copy("draft", "small");
    write_llama(&folder, &tiny_config(8), 1);
    assert_one_line(&models.bench("small", &[]), &["tokenizer", "8 rows"]);

    let folder = models.copy("draft", "bare");
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    assert_one_line(&models.bench("bare", &[]), &["bare", "tokenizer.json"]);

    let folder = models.copy("draft", "weightless");
    fs::remove_file(weights(&folder)).unwrap();
    assert_one_line(&models.bench("weightless", &[]), &["cannot read", "model.safetensors"]);

    let folder = models.copy("monster", "pointer");
    fs::write(folder.join("tokenmonster.vocab"), "version https://git-lfs").unwrap();
    assert_one_line(&models.bench("pointer", &[]), &["tokenmonster.vocab"]);
}

#[test]
fn integer_weights_are_refused() {
    let models = Models::new();
    let folder = models.copy("draft", "integers");
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
    let spoiled = header.replace("F32", "I32");
    fs::write(&path, [&bytes[..8], spoiled.as_bytes(), &bytes[8 + length..]].concat()).unwrap();
    assert_one_line(&models.bench("integers", &[]), &["model.safetensors", "I32", "BF16"]);
}

#[test]
fn bad_prompts_are_named() {
    let models = Models::new();
    let run = |lines: &[Value]| models.bench_on("draft", &models.prompts(lines), &[]);
    assert_one_line(&run(&[json!({"prompt": ""})]), &["prompt `0` is empty"]);
    assert_one_line(&run(&[json!({"other": 1})]), &["line 1", "not a prompt"]);
    assert_one_line(&run(&[]), &["holds no prompt"]);
    let long = json!({"prompt": "ab ".repeat(100)});
    assert_one_line(&run(&[long]), &["none of the 1 prompts", "too long"]);
    assert_one_line(&models.bench_on("draft", "nowhere.jsonl", &[]), &["nowhere.jsonl"]);
}

#[test]
fn bad_flags_are_named() {
    let models = Models::new();
    let wrong: [(&[&str], &[&str]); 6] = [
        (&["--gamma", "0"], &["--gamma"]),
        (&["--temperature=-1"], &["temperature"]),
        (&["--top-p", "1.5"], &["--top-p"]),
        (&["--method", "identity"], &["identity", "slem or tli"]),
        (&["--dtype", "int3"], &["int3", "bf16"]),
        (&["--device", "tpu"], &["tpu", "cuda"]),
    ];
    for (flags, parts) in wrong {
        assert_one_line(&models.bench("draft", flags), parts);
    }
    if !draft::device::driver_present() {
        assert_one_line(&models.bench("draft", &["--device", "cuda"]), &["no NVIDIA driver"]);
    }
    let file = models.folder.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("run").display().to_string();
    assert_one_line(&models.bench("draft", &["--out", &below]), &["output folder", "file/run"]);
}

#[test]
fn models_that_cannot_be_had_are_explained() {
    let nowhere = [("HF_ENDPOINT", "http://127.0.0.1:9"), ("HF_HUB_CACHE", "/nonexistent")];
    let start = std::time::Instant::now();
    let output = spec_with(&["bench", "--draft", "stentor2"], &nowhere, "");
    assert_one_line(&output, &["StentorLabs/Stentor2-12M", "cannot be reached", "into a folder"]);
    assert!(start.elapsed().as_secs() < 20, "it must not hang");
    let output = spec_with(&["bench", "--draft", "org/model"], &nowhere, "");
    assert_one_line(&output, &["org/model", "Hub id"]);
    let output = spec_with(
        &["bench", "--draft", "stentor2"],
        &[("HF_HUB_OFFLINE", "1"), ("HF_HUB_CACHE", "/nonexistent")],
        "",
    );
    assert_one_line(&output, &["HF_HUB_OFFLINE"]);
    assert_one_line(&spec(&["bench", "--draft", "stentro2"]), &["did you mean `stentor2`?"]);
}

#[test]
fn a_model_in_the_cache_needs_no_network() {
    let models = Models::new();
    let cache = models.folder.path().join("cache");
    let repo = cache.join("models--StentorLabs--Stentor2-12M");
    let snapshot = repo.join("snapshots/0123");
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), "0123").unwrap();
    for entry in fs::read_dir(models.folder.path().join("monster")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), snapshot.join(entry.file_name())).unwrap();
    }
    let (cache, target) = (cache.display().to_string(), models.path("target"));
    let prompts = models.usual_prompts();
    let output = spec_with(
        &[
            "bench",
            "--draft",
            "stentor2",
            "--target",
            &target,
            "--prompts",
            &prompts,
            "--json",
            "--max-new",
            "20",
        ],
        &[("HF_HUB_CACHE", &cache), ("HF_HUB_OFFLINE", "1")],
        "",
    );
    assert_eq!(report(&output).header.draft.name, "stentor2");
}
