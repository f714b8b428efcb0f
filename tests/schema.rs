//! `spec schema`: the schemas say of real files what the program's own readers say of them.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use experiments::bench::record::{Record, Report};
use experiments::train::recipe::Recipe;
use serde_json::{Value, json};
use support::command::{Models, Spec, stdout};
use support::json_schema::fault;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

fn schema(subject: &str) -> Value {
    serde_json::from_str(&stdout(&SPEC.run(&["schema", subject]))).unwrap()
}

/// A run that has all there is in records and reports: greedy and sampled, trees and chains, several
/// drafts, categories of Spec-Bench with a second turn.
fn run(models: &Models) -> String {
    let prompts: Vec<Value> = (0..6)
        .map(|index| {
            let category = ["qa", "writing"][index % 2];
            json!({"question_id": index, "category": category, "turns": ["ab cd", "ef, gh"]})
        })
        .collect();
    for name in ["target", "draft", "same"] {
        let template = "{% for m in messages %}{{ m.content }}.{% endfor %}";
        let config = json!({"eos_token": "<eos>", "chat_template": template});
        let path = models.folder.path().join(name).join("tokenizer_config.json");
        fs::write(path, config.to_string()).unwrap();
    }
    let (out, drafts) = (models.path("run"), [models.path("draft"), models.path("same")].join(","));
    let (target, prompts) = (models.path("target"), models.prompts(&prompts));
    let fixed = ["bench", "--draft", &drafts, "--target", &target, "--prompts", &prompts];
    let more = ["--method", "slem,byte", "--temperature", "0,1", "--max-new", "8", "--out", &out];
    stdout(&SPEC.run(&[&fixed[..], &more, &["--threads", "1"]].concat()));
    out
}

fn read(path: impl AsRef<Path>) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The places of all objects that have fields of their own, not keys that somebody chose; of lists the
/// first two.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let is_map = ["/definitions", "/by_category", "/tasks", "/config"]
                .iter()
                .any(|end| at.ends_with(end));
            if !is_map {
                found.push(at.to_owned());
            }
            if !at.ends_with("/config") {
                fields.iter().for_each(|(name, field)| {
                    objects(field, &format!("{at}/{name}"), found);
                });
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate().take(2) {
                objects(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Fails unless schema and reader take the value as it is, refuse it with one field more wherever there are
/// fields, and agree about it with each of its fields left out.
fn assert_agree(schema: &Value, value: &Value, reads: impl Fn(&Value) -> bool) {
    assert_eq!(fault(schema, value), None);
    assert!(reads(value));
    let mut places = Vec::new();
    objects(value, "", &mut places);
    for place in &places {
        let mut other = value.clone();
        other.pointer_mut(place).unwrap()["an_unknown_field"] = json!(1);
        assert!(fault(schema, &other).is_some(), "the schema takes a field more at `{place}`");
        assert!(!reads(&other), "the reader takes a field more at `{place}`");
        let names: Vec<String> =
            value.pointer(place).unwrap().as_object().unwrap().keys().cloned().collect();
        for name in names {
            let mut other = value.clone();
            other.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(&name);
            assert_eq!(fault(schema, &other).is_none(), reads(&other), "without {place}/{name}");
        }
    }
}

#[test]
fn records_and_reports_are_as_their_schemas_say() {
    let models = Models::new(SPEC);
    let out = run(&models);
    let records = fs::read_to_string(Path::new(&out).join("records.jsonl")).unwrap();
    let records: Vec<Value> =
        records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_records = schema("record");
    for record in &records {
        assert_eq!(fault(&of_records, record), None);
    }
    let reads = |value: &Value| serde_json::from_value::<Record>(value.clone()).is_ok();
    let is_second = |record: &&Value| record["turn"] == 1 && record["greedy"].is_object();
    assert_agree(&of_records, records.iter().find(is_second).unwrap(), reads);
    let report = read(Path::new(&out).join("report.json"));
    assert!(report["cases"][2]["spec_bench"].is_object(), "{report}");
    let reads = |value: &Value| serde_json::from_value::<Report>(value.clone()).is_ok();
    assert_agree(&schema("report"), &report, reads);
    // A record is no report, and another version is no record of this one.
    assert!(fault(&of_records, &report).is_some());
    let mut other = records[0].clone();
    other["schema"] = json!(1);
    assert!(fault(&of_records, &other).unwrap().contains("schema"));

    let cases = report["cases"].as_array().unwrap();
    let name = |index: usize| format!("{out}:{}", cases[index]["case"].as_str().unwrap());
    let compared = stdout(&SPEC.run(&["compare", &name(2), &name(4), "--json"]));
    let compared: Value = serde_json::from_str(&compared).unwrap();
    let of_comparisons = schema("comparison");
    assert_eq!(fault(&of_comparisons, &compared), None);
    let mut other = compared.clone();
    other["a"]["more"] = json!(1);
    assert!(fault(&of_comparisons, &other).is_some());
}

#[test]
fn recipes_are_as_their_schema_says() {
    let schema = schema("recipe");
    let reads = |value: &Value| serde_json::from_value::<Recipe>(value.clone()).is_ok();
    for name in ["nano", "stentor2", "stentor", "er"] {
        let recipe = serde_json::to_value(Recipe::resolve(name, &[]).unwrap()).unwrap();
        assert_agree(&schema, &recipe, reads);
    }
    let mut recipe = serde_json::to_value(Recipe::resolve("nano", &[]).unwrap()).unwrap();
    recipe["schedule"]["kind"] = json!("linear");
    assert!(fault(&schema, &recipe).is_some() && !reads(&recipe));
}

/// Fails unless all fields below are described.
fn assert_described(schema: &Value, at: &str) {
    match schema {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let ("properties", Value::Object(own)) = (name.as_str(), field) {
                    for (name, field) in own {
                        let text = field["description"].as_str().unwrap_or_default();
                        assert!(text.len() > 3, "{at}: {name} has no description");
                        assert!(!text.contains("[`"), "{at}: {name}: {text}");
                    }
                }
                assert_described(field, &format!("{at}/{name}"));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_described(item, at)),
        _ => {}
    }
}

#[test]
fn every_field_is_described() {
    for subject in ["record", "report", "recipe", "comparison"] {
        let schema = schema(subject);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema["properties"].as_object().unwrap().len() > 3, "{subject}");
        assert_described(&schema, subject);
    }
    let refused = SPEC.run(&["schema", "runs"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("record, report, recipe, comparison")
    );
}

/// The notebook is kept as it is before it runs: what it printed would be of one machine.
#[test]
fn the_notebook_is_kept_without_outputs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks/acceptance.ipynb");
    let text = fs::read_to_string(path).unwrap();
    let notebook: Value = serde_json::from_str(&text).unwrap();
    let cells = notebook["cells"].as_array().unwrap();
    let code: Vec<&Value> = cells.iter().filter(|cell| cell["cell_type"] == "code").collect();
    assert!(code.len() > 4);
    for cell in code {
        assert_eq!(cell["outputs"], json!([]), "{cell}");
        assert!(cell["execution_count"].is_null(), "{cell}");
    }
    for part in ["/home/", "/Users/", "/root/", "/tmp/", "C:\\"] {
        assert!(!text.contains(part), "{part}");
    }
}
