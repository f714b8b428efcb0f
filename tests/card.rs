//! `spec card`: a model is trained, evaluated and benched, and its card says exactly that.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use support::command::{Models, SINGLES, Spec, assert_one_line, stdout};
use support::tokenizers::write_bpe;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

const RECIPE: &str = r#"
about = "a | recipe <of> the tests"
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
steps = 12
warmup = 2
decay = 0
[precision]
dtype = "fp32"
[evaluation]
every = 4
sequences = 4
max_blocks = 8
log_every = 5
[checkpoint]
minutes = 0.0
keep = 1
best_from = 0
dtype = "fp32"
recompute = false
"#;

/// Runs of one model, and its folder.
struct Runs {
    models: Models,
    model: String,
}

fn spec(flags: &[&str]) -> Output {
    SPEC.run(&[flags, &["--threads", "1"]].concat())
}

impl Runs {
    /// Trains, evaluates and benches.
    fn new() -> Self {
        let models = Models::new(SPEC);
        let model = format!("{}/checkpoints/step-0000012", models.path("trained"));
        let runs = Self { models, model };
        runs.train();
        let [texts, bench, data, target] =
            ["texts", "bench", "data.jsonl", "target"].map(|name| runs.path(name));
        let eval = ["eval", "--model", &runs.model, "--suite", "perplexity", "--data", &data];
        stdout(&spec(&[&eval[..], &["--limit", "20", "--out", &texts]].concat()));
        let (drafts, prompts) = (format!("{},ngram", runs.model), runs.models.usual_prompts());
        let pair = ["bench", "--draft", &drafts, "--target", &target, "--prompts", &prompts];
        let more = ["--max-new", "8", "--temperature", "0,1", "--out", &bench];
        stdout(&spec(&[&pair[..], &more].concat()));
        runs
    }

    fn train(&self) {
        let words = ["abc", "cab", "a", "fade", "gab", "beach.", "head,"];
        let text = |index: usize| {
            let word = |own: usize| words[(index * index + own * (index % 5 + 1)) % words.len()];
            (0..40).map(word).collect::<Vec<_>>().join(" ")
        };
        let lines: Vec<String> =
            (0..300).map(|own| json!({"text": text(own)}).to_string()).collect();
        let [data, recipe, tokenizer, cache, out] =
            ["data.jsonl", "recipe.toml", "words", "cache", "trained"].map(|name| self.path(name));
        fs::write(&data, lines.join("\n")).unwrap();
        fs::write(&recipe, RECIPE).unwrap();
        fs::create_dir(&tokenizer).unwrap();
        write_bpe(Path::new(&tokenizer), SINGLES, &[("a", "b"), (" ", "c")]);
        let text = ["train", "--recipe", &recipe, "--tokenizer", &tokenizer, "--data", &data];
        stdout(&spec(&[&text[..], &["--cache", &cache, "--out", &out]].concat()));
    }

    fn path(&self, name: &str) -> String {
        self.models.path(name)
    }

    fn card(&self, runs: &[&str], flags: &[&str]) -> Output {
        let runs: Vec<String> = runs.iter().map(|run| self.path(run)).collect();
        let named = runs.iter().flat_map(|run| ["--run", run.as_str()]);
        let args: Vec<&str> = ["card"].into_iter().chain(named).collect();
        SPEC.run(&[&args[..], flags].concat())
    }

    fn report(&self, run: &str) -> Value {
        json(&PathBuf::from(self.path(run)).join("report.json"))
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The front matter as YAML reads it, and the page.
fn read(card: &str) -> (Value, &str) {
    let rest = card.strip_prefix("---\n").unwrap();
    let (front, page) = rest.split_once("\n---\n").unwrap();
    (serde_norway::from_str(front).unwrap(), page)
}

fn metric<'a>(results: &'a [Value], task: &str, kind: &str) -> Vec<&'a Value> {
    let of = results.iter().filter(|own| own["task"]["name"] == *task);
    let all = of.flat_map(|own| own["metrics"].as_array().unwrap());
    all.filter(|own| own["type"] == *kind).collect()
}

/// A title that would break out where it is not escaped.
const TITLE: &str = "a \"name\": [with]\n--- <b>";

#[test]
fn a_card_is_what_its_runs_say() {
    let runs = Runs::new();
    let out = PathBuf::from(runs.path("card/README.md"));
    let fixed = ["--model", &runs.model, "--out", out.to_str().unwrap(), "--name", TITLE];
    let said =
        ["--license", "apache-2.0", "--language", "en", "--dataset", "some/data", "--tag", "tests"];
    stdout(&runs.card(&["trained", "texts", "bench"], &[&fixed[..], &said].concat()));
    let text = fs::read_to_string(&out).unwrap();
    let (front, page) = read(&text);
    check_front(&runs, &front);
    check_page(&runs, page);
    let picture = fs::read(out.with_file_name("training_curves.svg")).unwrap();
    let own = PathBuf::from(runs.path("trained")).join("training_curves.svg");
    assert_eq!(picture, fs::read(own).unwrap());
    let again = runs.card(&["texts"], &["--out", out.to_str().unwrap()]);
    assert_one_line(&again, &["exists already"]);
    check_single(&runs);
    check_suites(&runs);
    refuse(&runs);
}

/// Of an evaluation by several suites a card has each.
fn check_suites(runs: &Runs) {
    let [data, out, card] = ["questions", "suites", "suites.md"].map(|name| runs.path(name));
    fs::create_dir(&data).unwrap();
    let rows = |name: &str, row: Value| {
        let lines = [row.to_string(), row.to_string()].join("\n");
        fs::write(Path::new(&data).join(name), lines).unwrap();
    };
    rows(
        "copa_validation.jsonl",
        json!({"premise": "a cab.", "choice1": "a gab.", "choice2": "a head.", "question": "effect",
            "idx": 0, "label": 1}),
    );
    rows(
        "winogrande_xl_validation.jsonl",
        json!({"sentence": "a cab, _ head", "option1": "gab", "option2": "fade", "answer": "1"}),
    );
    let eval = ["eval", "--model", &runs.model, "--suite", "copa,winogrande", "--data", &data];
    stdout(&spec(&[&eval[..], &["--out", &out]].concat()));
    stdout(&runs.card(&["suites"], &["--out", &card]));
    let text = fs::read_to_string(&card).unwrap();
    let (front, page) = read(&text);
    let results = front["model-index"][0]["results"].as_array().unwrap();
    for suite in ["copa", "winogrande"] {
        let report = json(&Path::new(&out).join(suite).join("report.json"));
        let of = |own: &&Value| own["dataset"]["name"] == *suite;
        let found = results.iter().find(of).unwrap();
        assert_eq!(found["metrics"][0]["value"], report["results"]["acc"]["value"], "{suite}");
        assert!(page.contains(&format!("suites/{suite}")), "{suite}");
    }
}

fn check_front(runs: &Runs, front: &Value) {
    assert_eq!(front["license"], "apache-2.0");
    assert_eq!(front["language"], json!(["en"]));
    assert_eq!(front["datasets"], json!(["some/data"]));
    assert_eq!(front["tags"], json!(["speculative-decoding", "draft-model", "tests"]));
    assert!(front.get("base_model").is_none(), "what nobody said is left out");
    let index = &front["model-index"][0];
    assert_eq!(index["name"], *TITLE);
    let results = index["results"].as_array().unwrap();

    let texts = runs.report("texts");
    for kind in ["loss", "perplexity", "bits_per_byte"] {
        let found = metric(results, "Text generation", kind);
        assert_eq!(found.len(), 1);
        let own = &texts["results"][kind];
        let expected = own.as_f64().or_else(|| own["value"].as_f64());
        assert_eq!(found[0]["value"].as_f64(), expected, "{kind}");
    }
    let bits = &texts["results"]["bits_per_byte"];
    let found = metric(results, "Text generation", "bits_per_byte")[0];
    let (low, high) = (bits["low"].as_f64().unwrap(), bits["high"].as_f64().unwrap());
    assert!(found["name"].as_str().unwrap().contains(&format!("[{low:.4}, {high:.4}]")), "{found}");

    let bench = runs.report("bench");
    let cases = bench["cases"].as_array().unwrap();
    let own = |case: &&Value| case["settings"]["draft"].as_str().unwrap().starts_with("step-");
    for (kind, field) in [
        ("acceptance_rate", "draft_acceptance_rate"),
        ("mean_acceptance_length", "mean_acceptance_length"),
        ("speed_up", "speedup"),
    ] {
        let values = cases.iter().filter(own).map(|case| &case["overall"][field]["value"]);
        let values: Vec<f64> = values.filter_map(Value::as_f64).collect();
        let found = metric(results, "Speculative decoding", kind).into_iter();
        let found: Vec<f64> = found.map(|own| own["value"].as_f64().unwrap()).collect();
        assert!(!found.is_empty() && found.len() <= 2, "{kind} at two temperatures");
        assert_eq!(found, values, "{kind}");
    }
}

fn check_page(runs: &Runs, page: &str) {
    let bench = runs.report("bench");
    let weights = bench["header"]["drafts"][0]["weights_sha256"].as_str().unwrap();
    for part in [
        r#"# a "name": \[with\] --- &lt;b>"#,
        "## Architecture",
        "| hidden size | 32 |",
        "## Training: trained",
        "| steps | 12 |",
        "a \\| recipe &lt;of> the tests",
        "(best)",
        "![Training and evaluation losses](training_curves.svg)",
        "## Evaluation",
        "| data.jsonl | bits per byte |",
        "## Acceptance by target: bench",
        "| ngram |",
        "## Limits",
        "Not measured here: accuracy",
        "Not measured here: losslessness",
        "## Provenance",
        weights,
    ] {
        assert!(page.contains(part), "`{part}` is not in {page}");
    }
    assert!(!page.contains("No licence") && !page.contains("Not measured here: training"));
}

/// Cards of one run, about which nobody says anything.
fn check_single(runs: &Runs) {
    let alone = stdout(&runs.card(&["texts"], &[]));
    let (front, page) = read(&alone);
    assert_eq!(front["model-index"][0]["name"], "step-0000012");
    assert!(front.get("license").is_none() && page.contains("No licence is stated"));
    assert!(page.contains("Not measured here: acceptance by a target"));
    let only = stdout(&runs.card(&["trained"], &[]));
    assert!(read(&only).0.get("model-index").is_none(), "nothing was measured");
}

/// Folders that are no runs, and runs of another model.
fn refuse(runs: &Runs) {
    let empty = runs.path("empty");
    fs::create_dir(&empty).unwrap();
    assert_one_line(
        &runs.card(&["empty"], &[]),
        &["empty", "neither a report.json nor a recipe.toml"],
    );
    fs::write(format!("{empty}/report.json"), "{\"kind\": \"speed\"}").unwrap();
    assert_one_line(&runs.card(&["empty"], &[]), &["report.json", "`speed`"]);
    fs::write(format!("{empty}/report.json"), "{\"kind\": \"report\", \"schema\": 1}").unwrap();
    assert_one_line(&runs.card(&["empty"], &[]), &["schema 1", "run the bench again"]);
    fs::write(format!("{empty}/report.json"), "{").unwrap();
    assert_one_line(&runs.card(&["empty"], &[]), &["cannot read", "report.json"]);
    let other = runs.path("draft");
    assert_one_line(
        &runs.card(&["texts"], &["--model", &other]),
        &["texts", "parameters", "leave it out"],
    );
    assert_one_line(
        &runs.card(&["bench", "texts", "trained"], &["--model", &other]),
        &["bench", "parameters"],
    );
}
