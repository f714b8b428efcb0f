//! `spec sweep`: its texts are those of `spec generate`, and its figures follow from them.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::process::Output;

use serde_json::Value;
use support::command::{Models, Spec, assert_one_line, stdout};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

fn sweep(model: &str, flags: &[&str]) -> Output {
    SPEC.run(&[&["sweep", "--threads", "1", "--model", model], flags].concat())
}

fn object(model: &str, flags: &[&str]) -> Value {
    serde_json::from_str(&stdout(&sweep(model, &[flags, &["--json"]].concat()))).unwrap()
}

fn generated(model: &str, flags: &[&str]) -> Vec<Value> {
    let command = ["generate", "--threads", "1", "--json", "--model", model];
    let text = stdout(&SPEC.run(&[&command[..], flags].concat()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_text_is_the_one_that_generate_draws() {
    let models = Models::new(SPEC);
    for name in ["target", "monster"] {
        let model = models.path(name);
        let fixed = ["--prompt", "ab cd", "--seed", "3", "--max-new", "12", "--top-k", "9"];
        let flags = [&fixed[..], &["--temperatures", "0,0.7,2", "--samples", "3"]].concat();
        let found = object(&model, &flags);
        let rows = found["temperatures"].as_array().unwrap();
        for (row, (temperature, count)) in rows.iter().zip([("0", 1), ("0.7", 3), ("2", 3)]) {
            assert_eq!(row["temperature"].as_f64(), temperature.parse().ok());
            let samples = row["samples"].as_array().unwrap();
            assert_eq!(samples.len(), count);
            let number = count.to_string();
            let own = [&fixed[..], &["--temperature", temperature, "--samples", &number]].concat();
            for (sample, plain) in samples.iter().zip(generated(&model, &own)) {
                for field in ["ids", "text", "bytes_b64", "finish", "tokens", "sample"] {
                    assert_eq!(sample[field], plain[field], "{name} {temperature} {field}");
                }
            }
        }
        assert_eq!(rows.len(), 3);
    }
}

/// The mean log-probability is that of the explorer, which reads the same ids by itself.
#[test]
fn log_probabilities_are_those_of_the_model() {
    let models = Models::new(SPEC);
    let model = models.path("target");
    let found = object(&model, &["--prompt", "ab cd", "--temperatures", "1.5", "--max-new", "9"]);
    let sample = &found["temperatures"][0]["samples"][0];
    let numbers = |ids: &Value| -> Vec<String> {
        ids.as_array().unwrap().iter().map(Value::to_string).collect()
    };
    let ids = [numbers(&found["prompt_ids"]), numbers(&sample["ids"])].concat();
    let flags = ["explore", "--model", &model, "--ids", &ids.join(","), "--json", "--top", "1"];
    let explored: Value = serde_json::from_str(&stdout(&SPEC.run(&flags))).unwrap();
    let count = sample["ids"].as_array().unwrap().len();
    let positions = explored["positions"].as_array().unwrap();
    let own = &positions[positions.len() - count..];
    let sum: f64 = own.iter().map(|position| position["logprob"].as_f64().unwrap()).sum();
    let mean = sample["mean_logprob"].as_f64().unwrap();
    assert!((mean - sum / count as f64).abs() < 1e-6, "{mean} {sum}");
    let figure = &found["temperatures"][0]["figures"]["mean_logprob"];
    assert_eq!(figure["value"].as_f64(), Some(mean), "one text is all of them");
    assert!(figure["low"].is_null());
}

#[test]
fn the_page_is_not_too_wide() {
    let models = Models::new(SPEC);
    let flags = ["--prompt", "ab cd", "--temperatures", "0,0.5,0.8,1,1.5", "--samples", "5"];
    let page = stdout(&sweep(&models.path("target"), &flags));
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    for part in ["T 0 ", "T 1.5", "distinct-1", "repetition", "log p", "95 % intervals"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[test]
fn errors_are_one_line() {
    let models = Models::new(SPEC);
    let model = models.path("target");
    let long = "ab gh ".repeat(60);
    let wrong: [(&[&str], &[&str]); 6] = [
        (&["--prompt", &long], &["context is 64", "shorten"]),
        (&["--prompt", ""], &["prompt is empty"]),
        (&["--prompt", "ab", "--temperatures=-1,0"], &["temperature is 0 or above"]),
        (&["--prompt", "ab", "--temperatures", "1,0.5,1"], &["1 is there twice"]),
        (&["--prompt", "ab", "--samples", "0"], &["--samples is at least 1"]),
        (&["--prompt", "ab", "--top-p", "2"], &["--top-p"]),
    ];
    for (flags, parts) in wrong {
        assert_one_line(&sweep(&model, flags), parts);
    }
}
