//! Text for training from outside: Parquet files, datasets of the Hub against one on the loopback, text
//! for evaluation. What becomes of a text is compared with what becomes of the same text as JSONL.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::SystemTime;

use serde_json::{Value, json};
use support::command::{Models, SINGLES, Spec, assert_one_line, stdout};
use support::hub_repository::{Access, GOOD_TOKEN, HubRepository, commit};
use support::hub_server::{Fault, HubServer};
use support::parquet_files::{Layout, parquet};
use support::tokenizers::write_bpe;
use tempfile::TempDir;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));
const DATASET: &str = "hf://datasets/org/texts";
const FILES: [&str; 3] = ["data/a.parquet", "data/b.parquet", "more/c.jsonl.zst"];

/// Settings with which training takes a moment.
const SETTINGS: [&str; 10] = [
    "model.config.hidden_size=16",
    "model.config.intermediate_size=16",
    "model.config.num_hidden_layers=1",
    "model.config.head_dim=4",
    "packing.length=32",
    "batch.sequences=2",
    "batch.micro=2",
    "schedule.steps=2",
    "evaluation.every=2",
    "data.evaluation_share=0.1",
];

/// A text of its own for each number.
fn text(number: usize) -> String {
    let words = ["abc", "cab", "a", "fade", "gab", "beach.", "head,"];
    let word = |place: usize| words[(number * number + place * (number % 5 + 1)) % words.len()];
    let letters = "abcdefgh".chars().cycle().skip(number % 8).take(number % 13);
    (0..30).map(word).chain([&*letters.collect::<String>()]).collect::<Vec<_>>().join(" ")
}

fn texts(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(text).collect()
}

fn jsonl(texts: &[String]) -> String {
    texts.iter().map(|text| json!({"text": text}).to_string() + "\n").collect()
}

/// A tokenizer, a Hub with a dataset of 60, 60 and 30 texts, and the same texts in a folder.
struct Bench {
    folder: TempDir,
    server: HubServer,
}

impl Bench {
    fn new() -> Self {
        Self::with(|dataset| vec![dataset])
    }

    fn with(publish: impl FnOnce(HubRepository) -> Vec<HubRepository>) -> Self {
        let layout = Layout { rows_a_group: 25, ..Layout::default() };
        let compressed = zstd::encode_all(jsonl(&texts(120..150)).as_bytes(), 3).unwrap();
        let dataset = HubRepository::dataset("org/texts")
            .with(FILES[0], &parquet(&texts(0..60), layout))
            .with(FILES[1], &parquet(&texts(60..120), layout))
            .with(FILES[2], &compressed)
            .with("README.md", b"not needed");
        let server = HubServer::start(publish(dataset));
        let bench = Self { folder: tempfile::tempdir().unwrap(), server };
        fs::create_dir(bench.path("tokenizer")).unwrap();
        write_bpe(&bench.path("tokenizer"), SINGLES, &[("a", "b"), (" ", "c")]);
        fs::write(bench.path("all.jsonl"), jsonl(&texts(0..150))).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn spec(&self, args: &[&str], more: &[(&str, &str)]) -> Output {
        let home = self.text("home");
        let fixed =
            [("HF_HOME", &*home), ("HF_ENDPOINT", &self.server.url), ("NO_PROXY", "127.0.0.1")];
        SPEC.run_with(args, &[&fixed[..], more].concat(), "")
    }

    /// Trains on `data`, with the ids in a cache of that name.
    fn train(&self, cache: &str, data: &[&str], more: &[(&str, &str)]) -> Output {
        let run = format!("runs/{}", fs::read_dir(self.path("runs")).map_or(0, Iterator::count));
        let (tokenizer, cache, out) = (self.text("tokenizer"), self.text(cache), self.text(&run));
        let fixed = ["train", "--recipe", "nano", "--threads", "1", "--tokenizer", &tokenizer];
        let places = ["--cache", &cache, "--out", &out];
        let settings: Vec<&str> = SETTINGS.iter().flat_map(|value| ["--set", value]).collect();
        self.spec(&[&fixed[..], &places, &settings, data].concat(), more)
    }

    /// Folders of ids.
    fn ids(&self, cache: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(cache)).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The only folder of ids: training, evaluation, and what is known of them.
    fn only_ids(&self, cache: &str) -> (Vec<u8>, Vec<u8>, Value) {
        let [folder] = &self.ids(cache)[..] else { panic!("one folder of ids: {cache}") };
        let read = |name: &str| fs::read(folder.join(name)).unwrap();
        let counts = serde_json::from_slice(&read("counts.json")).unwrap();
        (read("train.bin"), read("evaluation.bin"), counts)
    }

    /// Names of the files whose bytes were sent, in that order, and how many requests there were.
    fn sent(&self) -> (Vec<&'static str>, usize) {
        let log = self.server.log();
        let sent = FILES.iter().flat_map(|name| vec![*name; self.server.transfers(name).len()]);
        (sent.collect(), log.len())
    }

    fn repository(&self) -> PathBuf {
        self.path("home/hub/datasets--org--texts")
    }
}

/// Variables and their values.
type Environment<'a> = &'a [(&'a str, &'a str)];

const OFFLINE: [(&str, &str); 1] = [("HF_HUB_OFFLINE", "1")];

#[test]
fn parquet_gives_what_jsonl_gives() {
    let bench = Bench::new();
    fs::create_dir(bench.path("rows")).unwrap();
    for (name, numbers) in [("a", 0..100), ("b", 100..150)] {
        let file = parquet(&texts(numbers), Layout::default());
        fs::write(bench.path(&format!("rows/{name}.parquet")), file).unwrap();
    }
    let (lines, rows) = (bench.text("all.jsonl"), bench.text("rows"));
    stdout(&bench.train("lines", &["--data", &lines], &[]));
    stdout(&bench.train("rows-ids", &["--data", &rows], &[]));
    let ids = bench.only_ids("lines");
    assert!(ids.0.len() > 10_000 && !ids.1.is_empty());
    assert_eq!(bench.only_ids("rows-ids"), ids);

    let vocab = |data: &str, out: &str| -> Value {
        let out = bench.text(out);
        let fixed = ["vocab", "build", "--kind", "bpe", "--size", "270", "--json", "--out", &out];
        let data = ["--data", data, "--eval", data, "--limit-bytes", "15000"];
        let mut shown: Value =
            serde_json::from_str(&stdout(&bench.spec(&[&fixed[..], &data].concat(), &[]))).unwrap();
        shown.as_object_mut().unwrap().remove("out");
        shown
    };
    let shown = vocab(&lines, "vocabulary-lines");
    assert_eq!((&shown["text"]["bytes"], &shown["eval"]), (&json!(15_000), &shown["text"]));
    assert_eq!(vocab(&rows, "vocabulary-rows"), shown);

    let first = bench.text("rows/a.parquet");
    let body = bench.train("none", &["--data", &first, "--column", "body"], &[]);
    assert_one_line(&body, &["a.parquet", "no column `body`", "number, text", "--column"]);
    let bytes = fs::read(&first).unwrap();
    fs::write(&first, &bytes[..bytes.len() / 2]).unwrap();
    assert_one_line(&bench.train("none", &["--data", &first], &[]), &["a.parquet", "truncated"]);
    assert!(bench.ids("none").is_empty());
}

#[test]
fn a_dataset_is_read_and_kept() {
    let bench = Bench::new();
    bench.server.fault(FILES[1], Fault::CutOnce(300));
    let run = stdout(&bench.train("hub", &["--data", DATASET], &[]));
    stdout(&bench.train("lines", &["--data", &bench.text("all.jsonl")], &[]));
    assert_eq!(bench.only_ids("hub"), bench.only_ids("lines"));
    let (sent, requests) = bench.sent();
    assert_eq!(sent, [FILES[0], FILES[1], FILES[1], FILES[2]], "the cut one went on");
    assert!(bench.server.log().iter().all(|request| !request.path.contains("README")));
    let snapshot = bench.repository().join("snapshots").join(commit(1));
    for name in FILES {
        let blob = fs::canonicalize(snapshot.join(name)).unwrap();
        assert_eq!(
            blob.parent().unwrap(),
            bench.repository().join("blobs").canonicalize().unwrap()
        );
    }
    assert_eq!(fs::read_to_string(bench.repository().join("refs/main")).unwrap(), commit(1));

    stdout(&bench.train("again", &["--data", DATASET], &[]));
    let added = bench.server.log()[requests..].to_vec();
    assert!(added.iter().all(|request| request.path.starts_with("/api/")), "{added:?}");
    let requests = bench.server.log().len();
    stdout(&bench.train("offline", &["--data", DATASET], &OFFLINE));
    let recipe = fs::read_to_string(Path::new(run.trim()).join("recipe.toml")).unwrap();
    let pinned = format!("{DATASET}@{}", commit(1));
    assert!(recipe.contains(&format!("\"{pinned}\"")), "{recipe}");
    stdout(&bench.train("pinned", &["--data", &pinned], &[]));
    assert_eq!(
        bench.server.log().len(),
        requests,
        "offline, or at a known commit, nobody is asked"
    );
    for cache in ["again", "offline", "pinned"] {
        assert_eq!(bench.only_ids(cache), bench.only_ids("hub"));
    }
}

#[test]
fn a_commit_decides_and_no_date_does() {
    let bench = Bench::with(|dataset| vec![dataset.moved_on("more/d.txt", text(150).as_bytes())]);
    let first = format!("{DATASET}@first");
    stdout(&bench.train("ids", &["--data", &first], &[]));
    for name in FILES {
        let path = bench.repository().join("snapshots").join(commit(1)).join(name);
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    stdout(&bench.train("ids", &["--data", &format!("{DATASET}@{}", commit(1))], &[]));
    assert_eq!(bench.ids("ids").len(), 1, "the same commit, later");
    let (sent, _) = bench.sent();
    stdout(&bench.train("ids", &["--data", DATASET], &[]));
    assert_eq!(bench.ids("ids").len(), 2, "main is another commit");
    assert_eq!(bench.sent().0, sent, "of which the cache has all but the new file");
    let (a, b) = (format!("{DATASET}/data=1"), format!("{DATASET}/more/c.jsonl.zst=3"));
    stdout(&bench.train("shares", &["--data", &a, "--data", &b], &[]));
    let counts = &bench.only_ids("shares").2;
    let documents: u64 = ["train_documents", "evaluation_documents"]
        .map(|key| counts[key].as_u64().unwrap())
        .iter()
        .sum();
    assert!((38..=42).contains(&documents), "30 texts are three quarters: {counts}");
}

#[test]
fn what_is_large_has_to_be_asked_for() {
    let bench = Bench::new();
    let refused = bench.train("ids", &["--data", DATASET, "--max-download", "3kB"], &[]);
    assert_one_line(&refused, &["hf://datasets/org/texts@", "--max-download", "3kB", "unasked"]);
    assert!(bench.server.log().iter().all(|request| request.path.starts_with("/api/")));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let needed = said.split("--max-download ").nth(1).unwrap().split(',').next().unwrap();
    let both = ["--data", "hf://datasets/org/texts/data", "--eval-data"];
    let both = [&both[..], &["hf://datasets/org/texts/more", "--max-download", "3kB"]].concat();
    assert_one_line(&bench.train("ids", &both, &[]), &["texts@", "/data, hf://", "/more are"]);
    let part = ["--set", "data.max_bytes=100", "--data", DATASET, "--max-download", "100"];
    let named = ["data/a.parquet would be a download of", "100B", "--max-download"];
    assert_one_line(&bench.train("ids", &part, &[]), &named);
    assert_eq!(bench.sent().0.len(), 0);
    let unit = bench.train("ids", &["--data", DATASET, "--max-download", "many"], &[]);
    assert_eq!(unit.status.code(), Some(2));
    stdout(&bench.train("ids", &["--data", DATASET, "--max-download", needed], &[]));
    stdout(&bench.train("again", &["--data", DATASET, "--max-download", "0"], &[]));
}

#[test]
fn files_are_fetched_when_they_are_read() {
    let bench = Bench::new();
    let part = ["--data", DATASET, "--set", "data.max_bytes=5000"];
    stdout(&bench.train("ids", &part, &[]));
    assert_eq!(bench.sent().0, [FILES[0]]);
    let counts = &bench.only_ids("ids").2;
    let bytes =
        counts["train_bytes"].as_u64().unwrap() + counts["evaluation_bytes"].as_u64().unwrap();
    assert!((5_000..5_300).contains(&bytes), "{counts}");
    stdout(&bench.train("offline", &part, &OFFLINE));
    assert_eq!(bench.only_ids("offline"), bench.only_ids("ids"));
    let whole = bench.train("whole", &["--data", DATASET], &OFFLINE);
    assert_one_line(&whole, &[FILES[1], "org/texts", "not in the cache", "HF_HUB_OFFLINE"]);
    assert!(bench.ids("whole").is_empty());

    let (out, limit) = (bench.text("vocabulary"), "--limit-bytes");
    let vocab = ["vocab", "build", "--kind", "bpe", "--size", "262", "--out", &out, "--data"];
    let more = format!("{DATASET}/more");
    stdout(&bench.spec(&[&vocab[..], &[DATASET, limit, "9000", "--eval", &more]].concat(), &[]));
    assert_eq!(bench.sent().0, [FILES[0], FILES[1], FILES[2]]);
}

#[test]
fn a_snapshot_of_python_is_enough_offline() {
    let bench = Bench::new();
    let snapshot = bench.repository().join("snapshots").join(commit(1));
    fs::create_dir_all(snapshot.join("deep/er")).unwrap();
    fs::write(snapshot.join("deep/er/all.jsonl"), jsonl(&texts(0..150))).unwrap();
    fs::write(snapshot.join("README.md"), "not text").unwrap();
    fs::create_dir_all(bench.repository().join("refs")).unwrap();
    fs::write(bench.repository().join("refs/main"), commit(1)).unwrap();
    let output = bench.train("hub", &["--data", DATASET], &OFFLINE);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.matches("taking the 2 that are there").count(), 1, "{said}");
    stdout(&output);
    stdout(&bench.train("lines", &["--data", &bench.text("all.jsonl")], &[]));
    assert_eq!(bench.only_ids("hub"), bench.only_ids("lines"));
    assert!(bench.server.log().is_empty());
}

#[test]
fn refusals_name_the_dataset() {
    let bench = Bench::with(|dataset| vec![dataset.access(Access::Private)]);
    let token = [("HF_TOKEN", GOOD_TOKEN)];
    let other = [("HF_TOKEN", "hf_other")];
    let page = format!("{}/datasets/org/texts", bench.server.url);
    let cases: [(&str, Environment, &[&str]); 8] = [
        (DATASET, &OFFLINE, &["dataset org/texts is not in the cache", "HF_HUB_OFFLINE"]),
        (DATASET, &[], &[&page, "the dataset does not exist, or is gated or private", "HF_TOKEN"]),
        (DATASET, &other, &[&page, "does not exist"]),
        ("hf://datasets/org/none", &token, &["datasets/org/none does not exist"]),
        ("hf://datasets/org/texts@v9", &token, &["org/texts has no revision `v9`", &page]),
        ("hf://datasets/org/texts/other", &token, &["org/texts/other has no file of .txt", &page]),
        ("hf://org/texts", &token, &["`hf://org/texts`", "hf://datasets/ORGANISATION/NAME"]),
        ("nowhere", &[], &["nowhere does not exist", "hf://datasets/"]),
    ];
    for (data, environment, parts) in cases {
        assert_one_line(&bench.train("ids", &["--data", data], environment), parts);
    }
    assert_eq!(bench.sent().0.len(), 0);
    stdout(&bench.train("ids", &["--data", DATASET], &token));
    for request in bench.server.log().iter().filter(|request| request.is_cdn) {
        assert_eq!(request.token, None, "the token stays with the Hub");
    }
}

#[test]
fn evaluation_may_have_text_of_its_own() {
    let bench = Bench::new();
    let (train, eval) = (bench.text("all.jsonl"), bench.text("eval.jsonl"));
    let count = |cache: &str, key: &str| bench.only_ids(cache).2[key].as_u64().unwrap();
    fs::write(&eval, jsonl(&texts(200..220))).unwrap();
    let run = stdout(&bench.train("own", &["--data", &train, "--eval-data", &eval], &[]));
    assert_eq!((count("own", "train_documents"), count("own", "evaluation_documents")), (150, 20));
    let recipe = fs::read_to_string(Path::new(run.trim()).join("recipe.toml")).unwrap();
    assert!(recipe.contains("evaluation_share = 0.0") && recipe.contains("eval.jsonl"), "{recipe}");
    let metrics = fs::read_to_string(Path::new(run.trim()).join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("eval_loss"), "{metrics}");

    let hub = format!("data.evaluation_sources=[\"{DATASET}/more\"]");
    stdout(&bench.train("hub", &["--data", &train, "--set", &hub], &[]));
    assert_eq!(count("hub", "evaluation_documents"), 30);
    assert_eq!(bench.sent().0, [FILES[2]]);

    fs::write(&eval, jsonl(&texts(300..321))).unwrap();
    stdout(&bench.train("own", &["--data", &train, "--eval-data", &eval], &[]));
    assert_eq!(bench.ids("own").len(), 2, "other text for evaluation gives other ids");
    fs::write(&eval, "\n").unwrap();
    let empty = bench.train("none", &["--data", &train, "--eval-data", &eval], &[]);
    assert_one_line(&empty, &["the data for evaluation holds no document"]);
    let missing = bench.train("none", &["--data", &train, "--eval-data", "nowhere"], &[]);
    assert_one_line(&missing, &["nowhere does not exist"]);
}

#[test]
fn a_draft_is_distilled_on_a_dataset() {
    let bench = Bench::new();
    let models = Models::new(SPEC);
    let (draft, target, cache, out) =
        (models.path("same"), models.path("target"), bench.text("cache"), bench.text("distilled"));
    let fixed =
        ["distill", "--draft", &draft, "--target", &target, "--data", DATASET, "--no-bench"];
    let places = ["--cache", &cache, "--out", &out, "--threads", "1"];
    let settings = [
        "distill.pieces=20",
        "distill.evaluation_pieces=4",
        "distill.piece_bytes=60",
        "schedule.steps=2",
        "schedule.warmup=1",
        "batch.sequences=2",
        "batch.micro=2",
        "packing.length=32",
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|value| ["--set", value]).collect();
    stdout(&bench.spec(&[&fixed[..], &places, &settings].concat(), &[]));
    assert_eq!(bench.sent().0, [FILES[0]], "no more than the pieces need");
    let recipe = fs::read_to_string(bench.path("distilled/recipe.toml")).unwrap();
    assert!(recipe.contains(&format!("{DATASET}@{}", commit(1))), "{recipe}");
    let eval = ["--set", "data.evaluation_sources=[\"x\"]", "--out", "none"];
    let refused = bench.spec(&[&fixed[..], &eval].concat(), &[]);
    assert_one_line(&refused, &["data.evaluation_sources", "spec train"]);
}
