//! `spec compare-text`: its texts are those of `spec generate`, and its scores those of the models.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::f64::consts::LN_2;
use std::process::Output;

use serde_json::Value;
use support::command::{Models, Spec, assert_one_line, stdout};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

fn compare(models: &[&str], flags: &[&str]) -> Output {
    let named = models.iter().flat_map(|model| ["--model", model]);
    let args: Vec<&str> = ["compare-text", "--threads", "1"].into_iter().chain(named).collect();
    SPEC.run(&[&args[..], flags].concat())
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap()
}

/// Bits per byte of what stands behind the first `given` of these ids, as the explorer sees them.
fn bits(model: &str, ids: &[u64], given: usize, bytes: usize) -> f64 {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    let flags = ["explore", "--model", model, "--ids", &ids.join(","), "--json", "--top", "1"];
    let explored = json(&SPEC.run(&flags));
    let positions = &explored["positions"].as_array().unwrap()[given..];
    let sum: f64 = positions.iter().map(|own| own["logprob"].as_f64().unwrap()).sum();
    -sum / LN_2 / bytes as f64
}

fn ids(model: &str, text: &str) -> Vec<u64> {
    let flags = ["explore", "--model", model, "--prompt", text, "--json", "--top", "1"];
    serde_json::from_value(json(&SPEC.run(&flags))["prompt_ids"].clone()).unwrap()
}

#[test]
fn texts_are_those_of_generate_and_scores_are_symmetric() {
    let models = Models::new(SPEC);
    let named = [models.path("target"), models.path("draft")];
    let fixed = ["--prompt", "ab cd", "--seed", "2", "--max-new", "10", "--temperature", "0.9"];
    let reference = "gh. ab";
    let flags = [&fixed[..], &["--reference", reference, "--json"]].concat();
    let found = json(&compare(&[&named[0], &named[1]], &flags));
    for (own, model) in found["models"].as_array().unwrap().iter().zip(&named) {
        let command = ["generate", "--threads", "1", "--json", "--model", model];
        let plain = json(&SPEC.run(&[&command[..], &fixed].concat()));
        for field in ["ids", "text", "bytes_b64", "finish", "tokens", "prompt_ids"] {
            assert_eq!(own[field], plain[field], "{field}");
        }
        assert_eq!(own["decode_seconds"].as_array().unwrap().len(), 3);
        // No token of either vocabulary runs over that boundary.
        let given = ids(model, "ab cd");
        let whole = ids(model, &format!("ab cd{reference}"));
        let expected = bits(model, &whole, given.len(), reference.len());
        let score = own["scores"]["reference"]["bits_per_byte"].as_f64().unwrap();
        assert!((score - expected).abs() < 1e-5, "{score} {expected}");
    }
    // What the first says of the second's text is a score of the same bytes as the second's own.
    let scores = |index: usize, field: &str| &found["models"][index]["scores"][field];
    for (one, two) in [(0, 1), (1, 0)] {
        assert_eq!(scores(one, "other")["bytes"], scores(two, "own")["bytes"]);
        assert_eq!(scores(one, "own")["bytes"], found["models"][one]["bytes"]);
    }
    let turned = json(&compare(&[&named[1], &named[0]], &flags));
    for field in ["prompt", "own", "other", "reference"] {
        assert_eq!(*scores(0, field), turned["models"][1]["scores"][field]);
    }
    let ratio = &found["tokens_per_second_ratio"];
    let part = |name: &str| ratio[name].as_f64().unwrap();
    assert!(part("low") > 0.0 && part("low") <= part("value") && part("value") <= part("high"));
}

#[test]
fn both_may_be_named_at_once_and_the_page_is_not_too_wide() {
    let models = Models::new(SPEC);
    let both = format!("{},{}", models.path("monster"), models.path("same"));
    let flags = ["--models", &both, "--prompt", "ab cd", "--max-new", "6", "--rounds", "2"];
    let page = stdout(&SPEC.run(&[&["compare-text", "--threads", "1"], &flags[..]].concat()));
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    for part in ["monster", "same", "tokens a second", "bits per byte, text of same", "2 round(s)"]
    {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("reference"));
}

#[test]
fn errors_are_one_line() {
    let models = Models::new(SPEC);
    let target = models.path("target");
    let long = "ab gh ".repeat(60);
    assert_one_line(&compare(&[&target], &["--prompt", "ab"]), &["two models", "named is 1"]);
    let three = [&*target, &*target, &*target];
    assert_one_line(&compare(&three, &["--prompt", "ab"]), &["two models", "named is 3"]);
    let two = [&*target, &*target];
    assert_one_line(&compare(&two, &["--prompt", &long]), &["context is 64", "shorten"]);
    assert_one_line(&compare(&two, &["--prompt", ""]), &["prompt is empty"]);
    assert_one_line(&compare(&two, &["--prompt", "ab", "--rounds", "0"]), &["--rounds"]);
    assert_one_line(&compare(&[&target, "nothing-here"], &["--prompt", "ab"]), &["nothing-here"]);
}
