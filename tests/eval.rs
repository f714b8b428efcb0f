//! `spec eval`: its figures are those of a direct computation from the model's logits, and those of
//! lm-evaluation-harness.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeMap;
use std::f64::consts::LN_2;
use std::fs;
use std::path::Path;
use std::process::Output;

use align::Tokenizer;
use draft::{Model, Wanted};
use serde::Deserialize;
use serde_json::{Value, json};
use support::checkpoints::{tiny_config, write_formula};
use support::command::{Models, SINGLES, Spec, assert_one_line, stdout};
use support::shared::{self, compute, fixture};
use support::tokenizers::add_special;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

/// The end of text of the models `target` and `same`.
const EOS: u32 = (SINGLES.len() + 4) as u32;

fn eval(model: &str, suite: &str, flags: &[&str]) -> Output {
    let fixed = ["eval", "--threads", "1", "--model", model, "--suite", suite];
    SPEC.run(&[&fixed[..], flags].concat())
}

/// Evaluates into a folder, and gives the report and the records.
fn run<T: for<'a> Deserialize<'a>>(
    models: &Models,
    (model, suite): (&str, &str),
    data: &str,
    flags: &[&str],
) -> (Value, Vec<T>) {
    let out = tempfile::tempdir_in(models.folder.path()).unwrap();
    let folder = out.path().join("run");
    let more = ["--data", data, "--json", "--out", folder.to_str().unwrap()];
    let printed = stdout(&eval(model, suite, &[flags, &more].concat()));
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(printed, text("report.json"));
    assert!(text("report.md").contains("## Provenance"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
    let records = text("records.jsonl");
    let records = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (serde_json::from_str(&printed).unwrap(), records)
}

fn near(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{found} {expected}");
}

/// ln p of the last of some ids behind the others.
fn log(model: &mut Model, ids: &[u32]) -> f64 {
    model.network.truncate(0);
    let (&last, before) = ids.split_last().unwrap();
    let logits = model.network.extend(before, Wanted::Last).unwrap();
    let total: f64 = logits.last().iter().map(|&logit| f64::from(logit).exp()).sum();
    f64::from(logits.last()[last as usize]) - total.ln()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scored {
    document: usize,
    bytes: usize,
    tokens: usize,
    nats: f64,
}

fn write_documents(models: &Models, documents: &[String]) -> String {
    let path = models.folder.path().join("documents.jsonl");
    let lines: Vec<String> =
        documents.iter().map(|text| json!({"text": text}).to_string()).collect();
    fs::write(&path, lines.join("\n")).unwrap();
    path.display().to_string()
}

/// Documents of which the first is longer than any context here.
fn documents() -> Vec<String> {
    vec!["ab cd, gh ab abcd. ".repeat(12), "a".into(), "abcd abcd fe".into(), String::new()]
}

/// Nats of a document, each of its ids behind what its window shows: of the windows that begin with the
/// first id, and then end `stride` ids further each, the first that holds it.
fn nats(model: &mut Model, ids: &[u32], (window, stride): (usize, usize)) -> f64 {
    let place = |at: usize| {
        let further = at.saturating_sub(window).div_ceil(stride);
        let end = (window + 1 + further * stride).min(ids.len());
        -log(model, &ids[end.saturating_sub(window + 1)..=at])
    };
    (1..ids.len()).map(place).sum()
}

#[test]
fn each_token_is_scored_once_behind_what_its_window_shows() {
    let models = Models::new(SPEC);
    let (path, documents) = (models.path("target"), documents());
    let data = write_documents(&models, &documents);
    let tokenizer = Tokenizer::load(Path::new(&path)).unwrap();
    let mut model = Model::load(Path::new(&path), compute()).unwrap();
    let cuts: [(&[&str], (usize, usize)); 4] = [
        (&[], (64, 32)),
        (&["--window", "16"], (16, 8)),
        (&["--window", "17", "--stride", "5"], (17, 5)),
        (&["--window", "9", "--stride", "9"], (9, 9)),
    ];
    for (flags, cut) in cuts {
        let (report, records) = run::<Scored>(&models, (&path, "perplexity"), &data, flags);
        let mut sums = (0.0, 0, 0);
        for (record, text) in records.iter().zip(&documents) {
            let own = tokenizer.encode_reference(text, false).unwrap();
            let expected = nats(&mut model, &[&[EOS], &own[..]].concat(), cut);
            assert!((record.nats - expected).abs() < 1e-3, "{cut:?}: {record:?} {expected}");
            assert_eq!((record.tokens, record.bytes), (own.len(), text.len()));
            sums = (sums.0 + expected, sums.1 + own.len(), sums.2 + text.len());
        }
        assert!(records.iter().enumerate().all(|(place, own)| own.document == place));
        let results = &report["results"];
        let (nats, tokens, bytes) = sums;
        for (name, expected) in [("documents", 4), ("window", cut.0), ("stride", cut.1)] {
            assert_eq!(results[name], expected);
        }
        assert_eq!((&results["tokens"], &results["begins_with"]), (&json!(tokens), &json!([EOS])));
        near(&results["loss"], nats / tokens as f64);
        near(&results["perplexity"], (nats / tokens as f64).exp());
        near(&results["bits_per_byte"]["value"], nats / LN_2 / bytes as f64);
        assert_eq!(report["cost"]["scored_tokens"].as_u64(), Some(tokens as u64));
    }
}

#[test]
fn bits_per_byte_have_the_error_of_a_ratio() {
    let models = Models::new(SPEC);
    let path = models.path("target");
    let texts: Vec<String> = (1..9).map(|count| "ab cd, ".repeat(count * count % 7 + 1)).collect();
    let data = write_documents(&models, &texts);
    let (report, records) = run::<Scored>(&models, (&path, "perplexity"), &data, &[]);
    let (nats, bytes): (f64, f64) = records
        .iter()
        .fold((0.0, 0.0), |(nats, bytes), own| (nats + own.nats, bytes + own.bytes as f64));
    let squares: f64 =
        records.iter().map(|own| (own.nats - nats / bytes * own.bytes as f64).powi(2)).sum();
    let expected = (8.0 / 7.0 * squares).sqrt() / bytes / LN_2;
    let results = &report["results"];
    near(&results["standard_error"], expected);
    let part = |name: &str| results["bits_per_byte"][name].as_f64().unwrap();
    assert!(part("low") < part("value") && part("value") < part("high"));
    assert!(part("high") - part("low") < 8.0 * expected);
    let other = run::<Scored>(&models, (&path, "perplexity"), &data, &["--seed", "1"]).0;
    assert_ne!(other["results"]["bits_per_byte"], results["bits_per_byte"]);
    assert_eq!(other["results"]["nats"], results["nats"]);
}

#[test]
fn bytes_are_those_of_the_text_as_it_is() {
    let models = Models::new(SPEC);
    let path = models.path("monster");
    let text = "ab Z ab.".to_owned();
    let data = write_documents(&models, std::slice::from_ref(&text));
    let (report, records) = run::<Scored>(&models, (&path, "perplexity"), &data, &[]);
    let tokenizer = Tokenizer::load(Path::new(&path)).unwrap();
    let own = tokenizer.encode_reference(&text, false).unwrap();
    let mut model = Model::load(Path::new(&path), compute()).unwrap();
    let begin = report["results"]["begins_with"][0].as_u64().unwrap() as u32;
    assert_eq!(begin as usize, SINGLES.len() + 6, "the end of text of config.json");
    let expected = nats(&mut model, &[&[begin], &own[..]].concat(), (64, 32));
    near(&report["results"]["bits_per_byte"]["value"], expected / LN_2 / 8.0);
    assert_eq!(records[0].bytes, 8);
    assert_eq!(report["results"]["unknown"], 1, "Z has no token");
    assert!(report["results"]["standard_error"].is_null());
}

#[test]
fn files_of_a_folder_follow_each_other_and_the_limit_counts_documents() {
    let models = Models::new(SPEC);
    let path = models.path("target");
    let folder = models.folder.path().join("texts");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.txt"), "ab cd").unwrap();
    let lines = "{\"story\": \"abcd\"}\n\n{\"story\": \"gh\"}\n";
    fs::write(folder.join("b.jsonl.zst"), zstd::encode_all(lines.as_bytes(), 3).unwrap()).unwrap();
    let data = folder.display().to_string();
    let bytes = |flags: &[&str]| {
        let flags = [&["--column", "story"], flags].concat();
        let (_, records) = run::<Scored>(&models, (&path, "perplexity"), &data, &flags);
        records.iter().map(|own| own.bytes).collect::<Vec<_>>()
    };
    assert_eq!(bytes(&[]), [5, 4, 2]);
    assert_eq!(bytes(&["--limit", "2"]), [5, 4]);
}

#[test]
fn a_model_that_reads_one_text_at_a_time_is_scored_too() {
    let models = Models::new(SPEC);
    let folder = models.copy("target", "recurrent");
    let mut config = tiny_config(EOS as usize + 1);
    let more = json!({"model_type": "qwen3_5_text", "num_hidden_layers": 2, "head_dim": 9,
        "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2,
        "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 6,
        "linear_conv_kernel_dim": 4});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    write_formula(&folder, &config, 3);
    let (path, documents) = (folder.display().to_string(), documents());
    let data = write_documents(&models, &documents);
    let flags = ["--window", "20", "--stride", "6"];
    let (_, records) = run::<Scored>(&models, (&path, "perplexity"), &data, &flags);
    let tokenizer = Tokenizer::load(&folder).unwrap();
    let mut model = Model::load(&folder, compute()).unwrap();
    for (record, text) in records.iter().zip(&documents) {
        let own = tokenizer.encode_reference(text, false).unwrap();
        let expected = nats(&mut model, &[&[EOS], &own[..]].concat(), (20, 6));
        assert!((record.nats - expected).abs() < 1e-3, "{record:?} {expected}");
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Judged {
    paradigm: String,
    index: usize,
    log_likelihood_good: f64,
    log_likelihood_bad: f64,
    tokens_good: usize,
    tokens_bad: usize,
    correct: bool,
}

/// Paradigm, linguistic term, the two sentences. The third pair of `islands_1` is a tie.
const PAIRS: [(&str, &str, &str, &str); 7] = [
    ("islands_1", "island_effects", "ab cd.", "cd ab."),
    ("islands_1", "island_effects", "gh ab abcd", "abcd ab gh"),
    ("islands_1", "island_effects", "ab", "ab"),
    ("islands_2", "island_effects", "a b c", "c b a"),
    ("binding_1", "binding", "ab abcd, ab", "ab, abcd ab"),
    ("binding_1", "binding", "d", "dd dd dd dd dd dd"),
    ("binding_1", "binding", "dd dd dd dd dd dd", "d"),
];

fn pair_lines() -> Vec<String> {
    let line = |(paradigm, term, good, bad): (&str, &str, &str, &str)| {
        json!({"sentence_good": good, "sentence_bad": bad, "field": "syntax",
            "linguistics_term": term, "UID": paradigm, "pairID": "0"})
        .to_string()
    };
    PAIRS.map(line).to_vec()
}

fn write_pairs(models: &Models) -> String {
    let path = models.folder.path().join("pairs.jsonl");
    fs::write(&path, pair_lines().join("\n")).unwrap();
    path.display().to_string()
}

/// Of a sentence, with a space before it, behind an id; and how many ids it has.
fn sentence(path: &str, start: u32, text: &str) -> (f64, usize) {
    let tokenizer = Tokenizer::load(Path::new(path)).unwrap();
    let mut model = Model::load(Path::new(path), compute()).unwrap();
    let own = tokenizer.encode_reference(&format!(" {text}"), false).unwrap();
    let ids = [&[start], &own[..]].concat();
    ((1..ids.len()).map(|at| log(&mut model, &ids[..=at])).sum(), own.len())
}

#[test]
fn sentences_are_scored_behind_a_space_and_the_end_of_text() {
    let models = Models::new(SPEC);
    let data = write_pairs(&models);
    for (name, start) in [("target", EOS), ("monster", SINGLES.len() as u32 + 5)] {
        let path = models.path(name);
        let (report, records) = run::<Judged>(&models, (&path, "blimp"), &data, &[]);
        let mut right: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for (record, (paradigm, _, good, bad)) in records.iter().zip(PAIRS) {
            let (good, good_tokens) = sentence(&path, start, good);
            let (bad, bad_tokens) = sentence(&path, start, bad);
            assert!((record.log_likelihood_good - good).abs() < 1e-4, "{record:?} {good}");
            assert!((record.log_likelihood_bad - bad).abs() < 1e-4, "{record:?} {bad}");
            assert_eq!((record.tokens_good, record.tokens_bad), (good_tokens, bad_tokens));
            assert_eq!(record.correct, good >= bad, "a tie is the first, which is the good one");
            let own = right.entry(paradigm).or_default();
            assert_eq!((&*record.paradigm, record.index), (paradigm, own.len()));
            own.push(record.correct);
        }
        let share =
            |own: &Vec<bool>| own.iter().filter(|&&right| right).count() as f64 / own.len() as f64;
        let results = &report["results"];
        near(&results["accuracy"]["value"], right.values().map(share).sum::<f64>() / 3.0);
        near(
            &results["accuracy_of_pairs"]["value"],
            share(&right.values().flatten().copied().collect()),
        );
        assert!(results["accuracy"]["standard_error"].is_null(), "one paradigm has one pair");
        assert_eq!((&results["begins_with"], &results["pairs"]), (&json!(start), &json!(7)));
        let shares: Vec<f64> = right.values().map(share).collect();
        let count = |test: fn(f64) -> bool| json!(shares.iter().filter(|&&own| test(own)).count());
        let bands = &results["bands"];
        assert_eq!(bands["strong"], count(|own| own >= 0.85));
        assert_eq!(bands["weak"], count(|own| own <= 0.55));
        assert_eq!(bands["moderate"], count(|own| 0.55 < own && own < 0.85));
        let domains = results["domains"].as_array().unwrap();
        let names: Vec<_> = domains.iter().map(|own| own["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["anaphora and binding", "islands"]);
        near(
            &domains[1]["accuracy"]["value"],
            share(&right["islands_1"]).midpoint(share(&right["islands_2"])),
        );
    }
}

#[test]
fn an_id_that_begins_texts_comes_before_the_end_of_text() {
    let models = Models::new(SPEC);
    let folder = models.copy("target", "begun");
    let bos = add_special(&folder, "<bos>");
    write_formula(&folder, &tiny_config(bos as usize + 1), 6);
    let config = json!({"eos_token": "<eos>", "bos_token": "<bos>"});
    fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
    let (path, data) = (folder.display().to_string(), write_pairs(&models));
    let (report, records) = run::<Judged>(&models, (&path, "blimp"), &data, &[]);
    assert_eq!(report["results"]["begins_with"], json!(bos));
    let (expected, _) = sentence(&path, bos, PAIRS[0].2);
    assert!((records[0].log_likelihood_good - expected).abs() < 1e-4);
}

#[test]
fn the_limit_counts_pairs_of_each_paradigm_and_a_folder_is_its_files() {
    let models = Models::new(SPEC);
    let path = models.path("target");
    let folder = models.folder.path().join("paradigms");
    fs::create_dir(&folder).unwrap();
    let lines = pair_lines();
    fs::write(folder.join("b.jsonl"), lines[..4].join("\n")).unwrap();
    let rest = zstd::encode_all(lines[4..].join("\n").as_bytes(), 3).unwrap();
    fs::write(folder.join("a.jsonl.zst"), rest).unwrap();
    let data = folder.display().to_string();
    let (report, records) = run::<Judged>(&models, (&path, "blimp"), &data, &["--limit", "2"]);
    let kept: Vec<_> = records.iter().map(|own| (&*own.paradigm, own.index)).collect();
    let expected =
        [("binding_1", 0), ("binding_1", 1), ("islands_1", 0), ("islands_1", 1), ("islands_2", 0)];
    assert_eq!(kept, expected);
    assert_eq!(report["header"]["limit"], 2);
    let whole = run::<Judged>(&models, (&path, "blimp"), &data, &[]).0;
    assert_ne!(report["header"]["data"]["sha256"], whole["header"]["data"]["sha256"]);
}

#[test]
fn tables_go_to_standard_output() {
    let models = Models::new(SPEC);
    let path = models.path("target");
    let pairs = stdout(&eval(&path, "blimp", &["--data", &write_pairs(&models)]));
    for part in [
        "# target on blimp",
        "| strong (85 % and above) |",
        "| islands | 2 |",
        "| islands_1 | islands |",
    ] {
        assert!(pairs.contains(part), "no {part} in\n{pairs}");
    }
    let data = write_documents(&models, &documents());
    let text = stdout(&eval(&path, "perplexity", &["--data", &data]));
    for part in
        ["| documents | 4 |", "| window | 64 |", "| stride | 32 |", "the end of text", "a second"]
    {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
}

#[test]
fn errors_are_one_line() {
    let models = Models::new(SPEC);
    let (path, data) = (models.path("target"), write_documents(&models, &documents()));
    let pairs = write_pairs(&models);
    let file = |name: &str, bytes: &[u8]| {
        let path = models.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let zst = zstd::encode_all(fs::read(&data).unwrap().as_slice(), 3).unwrap();
    let cut = file("cut.jsonl.zst", &zst[..zst.len() / 2]);
    let (empty, blank) = (file("empty.jsonl", b""), file("blank.jsonl", b"{\"text\": \"\"}\n"));
    let other = file("other.jsonl", b"{\"text\": \"ab\"}\n{\"story\": \"ab\"}\n");
    let wrong: [(&str, &[&str], &[&str]); 14] = [
        ("perplexity", &["--data", "nowhere.jsonl"], &["nowhere.jsonl", "does not exist"]),
        ("perplexity", &[], &["--suite perplexity needs --data"]),
        ("perplexity", &["--data", &empty], &["empty.jsonl", "no text to score"]),
        ("perplexity", &["--data", &blank], &["blank.jsonl", "no text to score"]),
        ("blimp", &["--data", &empty], &["empty.jsonl", "no pair of sentences"]),
        ("perplexity", &["--data", &other], &["other.jsonl, line 2", "`text`", "--column"]),
        ("blimp", &["--data", &data], &["documents.jsonl, line 1", "sentence_good"]),
        ("perplexity", &["--data", &cut], &["cut.jsonl.zst, line 1", "damaged"]),
        ("blimp", &["--data", &cut], &["cut.jsonl.zst, line 1", "damaged"]),
        ("perplexity", &["--data", &data, "--window", "65"], &["--window 65", "64 ids"]),
        ("perplexity", &["--data", &data, "--window", "8", "--stride", "9"], &["--stride 9", "8"]),
        ("blimp", &["--data", &pairs, "--window", "8"], &["--window", "--suite perplexity"]),
        ("blimp", &["--data", &pairs, "--limit", "0"], &["--limit is at least 1"]),
        ("blimp", &["--data", &pairs, "--device", "tpu"], &["tpu", "cuda"]),
    ];
    let out = models.folder.path().join("out").display().to_string();
    for (suite, flags, parts) in wrong {
        assert_one_line(&eval(&path, suite, &[flags, &["--out", &out]].concat()), parts);
        assert!(!Path::new(&out).exists(), "{suite} {flags:?}");
    }
    fs::create_dir(&out).unwrap();
    let there = eval(&path, "blimp", &["--data", &pairs, "--out", &out]);
    assert_one_line(&there, &["exists already", "--out"]);
    let unknown = eval(&path, "piqua", &["--data", &pairs]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("perplexity, blimp"));
    let wordless = file("wordless.jsonl", pair_lines()[0].replace("cd ab.", "zz").as_bytes());
    let nothing = eval(&models.make_bytes(), "blimp", &["--data", &wordless]);
    assert_one_line(&nothing, &["islands_1, pair 0", "no id to score of ` zz`"]);
}

#[test]
fn likelihoods_are_those_of_the_harness() {
    let Some(data) = shared::path("eval/blimp/blimp.jsonl.zst") else { return };
    let expected = fixture("eval.json");
    let mut cases: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for case in expected["cases"].as_array().unwrap() {
        cases.entry(case["model"].as_str().unwrap()).or_default().push(case);
    }
    let models = Models::new(SPEC);
    let (data, count) = (data.display().to_string(), expected["pairs"].to_string());
    for (name, cases) in cases {
        let Some(model) = shared::path(&format!("weights/{name}")) else { return };
        let model = model.display().to_string();
        let (_, records) = run::<Judged>(&models, (&model, "blimp"), &data, &["--limit", &count]);
        assert_eq!(cases.len(), 67);
        let mut records = records.iter();
        for case in cases {
            let pairs =
                case["logs"].as_array().unwrap().iter().zip(case["correct"].as_array().unwrap());
            for (logs, correct) in pairs {
                let own = records.next().unwrap();
                assert_eq!(case["paradigm"], own.paradigm);
                let apart =
                    |found: f64, place: usize| (found - logs[place].as_f64().unwrap()).abs();
                let (good, bad) = (own.log_likelihood_good, own.log_likelihood_bad);
                assert!(apart(good, 0) < 1e-3 && apart(bad, 1) < 1e-3, "{own:?} {logs}");
                assert_eq!(*correct, own.correct, "{own:?} {logs}");
            }
        }
        assert!(records.next().is_none());
    }
}
