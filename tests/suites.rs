//! `spec eval` on suites of questions: their prompts are those of lm-evaluation-harness, their figures those
//! of a direct computation and of the harness, and their data comes from files, folders and the Hub.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use align::Tokenizer;
use draft::{Model, Wanted};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde::Deserialize;
use serde_json::{Value, json};
use support::checkpoints::{tiny_config, write_formula};
use support::command::{Models, Spec, assert_one_line, stdout};
use support::hub_repository::{HubFile, HubRepository, commit};
use support::hub_server::HubServer;
use support::shared::{self, compute, fixture};
use support::tokenizers::write_bpe;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));
const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/suites");
const SUITES: [&str; 11] = [
    "arc-challenge",
    "arc-easy",
    "boolq",
    "copa",
    "hellaswag",
    "lambada",
    "openbookqa",
    "piqa",
    "sciq",
    "swag",
    "winogrande",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    suite: String,
    index: usize,
    group: Option<String>,
    contexts: Vec<String>,
    continuations: Vec<String>,
    log_likelihoods: Vec<f64>,
    tokens: Vec<usize>,
    greedy: Vec<bool>,
    gold: usize,
    answer: usize,
    acc: bool,
    answer_norm: Option<usize>,
    acc_norm: Option<bool>,
    encoded_alone: usize,
}

impl Record {
    fn requests(&self) -> Vec<[String; 2]> {
        let pick = |texts: &[String], at: usize| texts[at.min(texts.len() - 1)].clone();
        let count = self.log_likelihoods.len();
        (0..count).map(|at| [pick(&self.contexts, at), pick(&self.continuations, at)]).collect()
    }
}

/// A model that reads all of ASCII, byte by byte, and a few pairs of letters.
fn letters(models: &Models) -> String {
    let folder = models.folder.path().join("letters");
    fs::create_dir(&folder).unwrap();
    let singles: String = (' '..='~').chain(['\u{10a}']).collect();
    write_bpe(&folder, &singles, &[("e", "r"), (" ", "t"), (" t", "h"), ("i", "n")]);
    write_formula(&folder, &tiny_config(singles.chars().count() + 5), 8);
    folder.display().to_string()
}

/// Evaluates into a folder, and gives what was printed and the folder.
fn run(models: &Models, model: &str, flags: &[&str]) -> (Value, tempfile::TempDir) {
    let out = tempfile::tempdir_in(models.folder.path()).unwrap();
    let folder = out.path().join("run").display().to_string();
    let fixed = ["eval", "--threads", "1", "--model", model, "--json", "--out", &folder];
    let printed = stdout(&SPEC.run(&[&fixed[..], flags].concat()));
    (serde_json::from_str(&printed).unwrap(), out)
}

fn records(folder: &Path) -> Vec<Record> {
    let text = fs::read_to_string(folder.join("records.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn argmax(values: impl IntoIterator<Item = f64>) -> usize {
    let values: Vec<f64> = values.into_iter().collect();
    (0..values.len()).rev().max_by(|&one, &two| values[one].total_cmp(&values[two])).unwrap()
}

/// ln p of a continuation behind a context that is encoded alone.
fn log(path: &str, [context, continuation]: &[String; 2]) -> f64 {
    let tokenizer = Tokenizer::load(Path::new(path)).unwrap();
    let encode = |text: &str| tokenizer.encode_reference(text, false).unwrap();
    let mut model = Model::load(Path::new(path), compute()).unwrap();
    let whole = encode(&[&**context, continuation].concat());
    let mut ids = if context.is_empty() { vec![tokenizer.eos().unwrap()] } else { encode(context) };
    let before = if context.is_empty() { 0 } else { ids.len() };
    let scored = whole.len() - before;
    ids.extend(&whole[before..]);
    ids.drain(..ids.len().saturating_sub(65));
    let logits = model.network.extend(&ids[..ids.len() - 1], Wanted::All).unwrap();
    let at = |place: usize| {
        let row = logits.row(place - 1);
        let total: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
        f64::from(row[ids[place] as usize]) - total.ln()
    };
    (ids.len() - scored..ids.len()).map(at).sum()
}

fn near(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{found} {expected}");
}

/// The harness's cases of a model.
fn cases(model: &str) -> Vec<Value> {
    let all = fixture("suites.json");
    let own = all["cases"].as_array().unwrap().iter().filter(|case| case["model"] == model);
    own.cloned().collect()
}

#[test]
fn prompts_are_those_of_the_harness_and_answers_follow_from_the_logits() {
    let models = Models::new(SPEC);
    let path = letters(&models);
    let (report, out) = run(&models, &path, &["--suite", &SUITES.join(","), "--data", OWN]);
    let reports = report["reports"].as_array().unwrap();
    assert_eq!((&report["kind"], reports.len()), (&json!("evaluations"), 11));
    for ((case, report), name) in cases("stories260k").iter().zip(reports).zip(SUITES) {
        assert_eq!((&report["header"]["suite"], &case["suite"]), (&json!(name), &json!(name)));
        let source = report["header"]["data"]["source"].as_str().unwrap();
        assert!(source.ends_with(&format!("{name}.jsonl")), "{source}");
        let records = records(&out.path().join("run").join(name));
        let requests: Vec<_> = records.iter().map(Record::requests).collect();
        assert_eq!(json!(requests), case["requests"], "{name}");
        let results = &report["results"];
        let share = |right: usize| right as f64 / records.len() as f64;
        for (index, record) in records.iter().enumerate() {
            assert_eq!((&*record.suite, record.index), (name, index));
            let logs = &record.log_likelihoods;
            let expected = log(&path, &requests[index][0]);
            assert!((logs[0] - expected).abs() < 1e-4, "{record:?} {expected}");
            assert_eq!(record.answer, argmax(logs.iter().copied()));
            let is_right =
                if name == "lambada" { record.greedy[0] } else { record.answer == record.gold };
            assert_eq!(record.acc, is_right);
            assert!(record.encoded_alone == 0 && record.group.is_none());
            assert!(record.tokens.iter().all(|&count| count > 0));
            // Of the choices as they are, without the space before them.
            let length = |text: &String| text[1..].chars().count() as f64;
            let normed = logs.iter().zip(&record.continuations);
            let normed = normed.map(|(log, text)| log / length(text));
            match record.answer_norm {
                Some(answer) => {
                    assert_eq!(answer, argmax(normed), "{name}");
                    assert_eq!(record.acc_norm, Some(answer == record.gold));
                }
                None => assert!(results["acc_norm"].is_null(), "{name}"),
            }
        }
        let acc = share(records.iter().filter(|own| own.acc).count());
        near(&results["acc"]["value"], acc);
        near(&results["acc"]["standard_error"], (acc * (1.0 - acc) / 7.0).sqrt());
        if !results["acc_norm"].is_null() {
            let right = records.iter().filter(|own| own.acc_norm == Some(true)).count();
            near(&results["acc_norm"]["value"], share(right));
        }
        if name == "lambada" {
            let mean: f64 = records.iter().map(|own| own.log_likelihoods[0]).sum::<f64>() / 8.0;
            near(&results["perplexity"]["value"], (-mean).exp());
        }
    }
}

#[test]
fn likelihoods_and_answers_are_those_of_the_harness() {
    let models = Models::new(SPEC);
    for name in ["stories260k", "gsm-draft-stentor2"] {
        let Some(path) = shared::path(&format!("weights/{name}")) else { return };
        let path = path.display().to_string();
        let flags = ["--dtype", "fp32", "--suite", &SUITES.join(","), "--data", OWN];
        let (report, out) = run(&models, &path, &flags);
        let cases = cases(name);
        assert_eq!(cases.len(), SUITES.len());
        for (case, report) in cases.iter().zip(report["reports"].as_array().unwrap()) {
            let suite = case["suite"].as_str().unwrap();
            let records = records(&out.path().join("run").join(suite));
            for (index, record) in records.iter().enumerate() {
                assert_eq!(json!(record.requests()), case["requests"][index], "{name} {suite}");
                for (place, log) in record.log_likelihoods.iter().enumerate() {
                    let expected = case["logs"][index][place].as_f64().unwrap();
                    assert!((log - expected).abs() < 1e-3, "{name} {suite} {record:?} {expected}");
                }
                assert_eq!(json!(record.acc), case["acc"][index], "{name} {suite} {record:?}");
                assert_eq!(json!(record.acc_norm), case["acc_norm"][index], "{name} {record:?}");
            }
            for (figure, expected) in case["means"].as_object().unwrap() {
                let found = &report["results"][figure];
                let value = expected[0].as_f64().unwrap();
                let apart = (found["value"].as_f64().unwrap() - value).abs();
                assert!(apart < 1e-4 * value.max(1.0), "{name} {suite} {figure}: {found} {value}");
                if let Some(error) = expected[1].as_f64() {
                    near(&found["standard_error"], error);
                }
            }
        }
    }
}

#[test]
fn sums_are_made_from_the_seed() {
    let models = Models::new(SPEC);
    let path = letters(&models);
    let sums = |flags: &[&str]| {
        let fixed = ["--suite", "arithmark", "--limit", "12"];
        let (report, out) = run(&models, &path, &[&fixed[..], flags].concat());
        (report, records(&out.path().join("run")))
    };
    let (report, records) = sums(&[]);
    let groups = report["results"]["groups"].as_array().unwrap();
    let names: Vec<_> = groups.iter().map(|own| own["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one operation", "two operations", "three operations"]);
    let mean: f64 = groups.iter().map(|own| own["acc"]["value"].as_f64().unwrap()).sum();
    near(&report["results"]["acc"]["value"], mean / 3.0);
    near(&report["results"]["chance"], 0.25);
    assert_eq!((records.len(), &report["results"]["questions"]), (36, &json!(36)));
    assert!(records.iter().all(|own| own.contexts[0].ends_with(" =") && own.tokens.len() == 4));
    let digest = |report: &Value| report["header"]["data"]["sha256"].clone();
    assert_eq!(digest(&sums(&[]).0), digest(&report));
    assert_ne!(digest(&sums(&["--seed", "1"]).0), digest(&report));
}

#[test]
fn several_suites_have_a_table_and_a_folder_each() {
    let models = Models::new(SPEC);
    let path = letters(&models);
    let out = models.folder.path().join("both").display().to_string();
    let fixed = ["eval", "--threads", "1", "--model", &path, "--data", OWN, "--out", &out];
    let flags = [&fixed[..], &["--suite", "all", "--limit", "3"]].concat();
    let output = SPEC.run(&flags);
    let (page, talk) = (stdout(&output), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(talk.contains("blimp is left out"), "{talk}");
    for part in [
        "# letters on 12 suites",
        "| piqa | acc | 3 |",
        "| piqa | acc_norm | 3 |",
        "| lambada | perplexity | 3 |",
        "| arithmark | acc | 9 |",
        "## winogrande",
        "Guessing gets 50.00 %.",
    ] {
        assert!(page.contains(part), "no {part} in\n{page}");
    }
    let read = |name: &str| fs::read_to_string(Path::new(&out).join(name)).unwrap();
    assert_eq!(read("report.md"), page);
    assert_eq!(read("piqa/records.jsonl").lines().count(), 3);
    assert!(read("piqa/report.md").contains("## Provenance"));
    assert!(read("piqa/report.json").contains("\"suite\": \"piqa\""));
}

/// A Parquet file of ARC: questions, two answers each, and which is right.
fn arc(rows: &[(&str, [&str; 2], &str)]) -> Vec<u8> {
    let list = |name: &str| {
        format!(
            "required group {name} (LIST) {{ repeated group list {{ required binary element \
             (STRING); }} }}"
        )
    };
    let schema = format!(
        "message rows {{ required binary question (STRING); required group choices {{ {} {} }} \
         required binary answerKey (STRING); }}",
        list("text"),
        list("label")
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut write = |values: Vec<&str>, a_row: usize| {
        let values: Vec<ByteArray> = values.into_iter().map(ByteArray::from).collect();
        let mut column = group.next_column().unwrap().unwrap();
        let repeated: Vec<i16> = (0..values.len()).map(|at| i16::from(at % a_row > 0)).collect();
        let levels = (a_row > 1).then(|| (vec![1i16; values.len()], repeated));
        let (defined, repeated) = levels.as_ref().map(|(a, b)| (&a[..], &b[..])).unzip();
        column.typed::<ByteArrayType>().write_batch(&values, defined, repeated).unwrap();
        column.close().unwrap();
    };
    write(rows.iter().map(|row| row.0).collect(), 1);
    write(rows.iter().flat_map(|row| row.1).collect(), 2);
    write(rows.iter().flat_map(|_| ["1", "2"]).collect(), 2);
    write(rows.iter().map(|row| row.2).collect(), 1);
    group.close().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn without_data_a_suite_asks_its_own_dataset_of_the_hub() {
    let models = Models::new(SPEC);
    let (path, home) = (letters(&models), models.path("home"));
    let own = |name: &str| fs::read(Path::new(OWN).join(format!("{name}.jsonl"))).unwrap();
    let test = arc(&[("What is wet?", ["water", "sand"], "1"), ("Hot?", ["ice", "fire"], "2")]);
    let arc = HubRepository::dataset("allenai/ai2_arc")
        .with("ARC-Challenge/test-00000-of-00001.parquet", b"another configuration")
        .with("ARC-Easy/train-00000-of-00001.parquet", b"another split")
        .with("ARC-Easy/test-00000-of-00001.parquet", &test);
    let mut sciq = HubRepository::dataset("allenai/sciq").with("sciq.py", b"a script");
    let converted = HubFile { name: "default/test/0000.jsonl".into(), bytes: own("sciq") };
    sciq.commits.push(("refs/convert/parquet".into(), commit(2), vec![converted]));
    let server = HubServer::start(vec![arc, sciq]);
    let eval = |suite: &str, more: &[(&str, &str)]| {
        let fixed = [("HF_HOME", &*home), ("HF_ENDPOINT", &server.url), ("NO_PROXY", "127.0.0.1")];
        let flags = ["eval", "--threads", "1", "--model", &path, "--json", "--suite", suite];
        SPEC.run_with(&flags, &[&fixed[..], more].concat(), "")
    };
    let sources = |output: &std::process::Output| -> Vec<(String, u64)> {
        let report: Value = serde_json::from_str(&stdout(output)).unwrap();
        let each = report["reports"].as_array().unwrap().iter().map(|own| {
            let source = own["header"]["data"]["source"].as_str().unwrap();
            (source.to_owned(), own["results"]["questions"].as_u64().unwrap())
        });
        each.collect()
    };
    let expected = [
        (
            format!(
                "hf://datasets/allenai/ai2_arc@{}/ARC-Easy/test-00000-of-00001.parquet",
                commit(1)
            ),
            2,
        ),
        (format!("hf://datasets/allenai/sciq@{}/default/test/0000.jsonl", commit(2)), 8),
    ];
    assert_eq!(sources(&eval("arc-easy,sciq", &[])), expected);
    let asked = server.log().len();
    assert_eq!(sources(&eval("arc-easy,sciq", &[("HF_HUB_OFFLINE", "1")])), expected);
    assert_eq!(server.log().len(), asked, "offline nobody is asked");
    let piqa = eval("piqa", &[("HF_HUB_OFFLINE", "1")]);
    assert_one_line(&piqa, &["--suite piqa", "--data", "baber/piqa", "HF_HUB_OFFLINE"]);
}

#[test]
fn errors_name_the_file_the_line_and_what_to_do() {
    let models = Models::new(SPEC);
    let path = letters(&models);
    let file = |name: &str, text: &str| {
        let path = models.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = r#"{"goal": "a", "sol1": "b", "sol2": "c", "label": 0}"#;
    let no_label = file("none.jsonl", &format!("{good}\n\n{}", good.replace('0', "-1")));
    let no_goal = file("goal.jsonl", &good.replace("goal", "aim"));
    let no_json = file("json.jsonl", &format!("{good}\n{{"));
    let label = file(
        "arc.jsonl",
        r#"{"question": "a", "choices": {"text": ["b"], "label": ["A"]}, "answerKey": ""}"#,
    );
    let blank =
        file("wino.jsonl", r#"{"sentence": "a", "option1": "b", "option2": "c", "answer": "1"}"#);
    let (rows, empty) = (file("rows.parquet", "PAR1 and no more"), file("empty.jsonl", "\n"));
    let long = file("long.jsonl", &good.replace("\"b\"", &json!("b".repeat(70)).to_string()));
    let cases: [(&str, &str, &[&str]); 9] = [
        ("piqa", &no_label, &["none.jsonl, line 3", "-1 is no right answer", "baber/piqa"]),
        ("piqa", &no_goal, &["goal.jsonl, line 1", "missing field `goal`", "a row of PIQA has"]),
        ("piqa", &no_json, &["json.jsonl, line 2", "a row of PIQA has"]),
        ("arc-easy", &label, &["arc.jsonl, line 1", "no answer is labelled \"\"", "split"]),
        ("winogrande", &blank, &["wino.jsonl, line 1", "no blank `_`", "allenai/winogrande"]),
        ("piqa", &rows, &["rows.parquet", "no Parquet file"]),
        ("piqa", &empty, &["empty.jsonl", "holds no question"]),
        ("piqa", &long, &["long.jsonl, line 1", "71 ids", "context of 64"]),
        ("piqa", "nowhere.jsonl", &["nowhere.jsonl", "does not exist"]),
    ];
    for (suite, data, parts) in cases {
        let flags = ["eval", "--threads", "1", "--model", &path, "--suite", suite, "--data", data];
        assert_one_line(&SPEC.run(&flags), parts);
    }
    let both = ["eval", "--model", &path, "--suite", "piqa,blimp", "--data", OWN];
    assert_one_line(&SPEC.run(&both), &["fixtures/suites", "names blimp", "--data"]);
    let unknown = SPEC.run(&["eval", "--model", &path, "--suite", "piqa,pikwa"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("winogrande"));
}
