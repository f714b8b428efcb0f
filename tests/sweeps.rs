//! Runs of several cases, as users meet them: sweeps, runs that are gone on with, and cases compared.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod written;

use std::fs;

use experiments::bench::record::{Record, Report};
use serde_json::Value;
use support::command::{Models, Spec, assert_one_line, stdout};
use written::{records, report};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

#[test]
fn a_sweep_runs_all_its_cases_on_the_same_prompts() {
    let models = Models::new(SPEC);
    let (out, json) = (models.folder.path().join("sweep"), "--json");
    let path = out.display().to_string();
    let lists =
        ["--method", "slem,tree", "--gamma", "2-3", "--tree-nodes", "4,6", "--temperature", "0,1"];
    let found = report(&models.bench("draft", &[&lists[..], &["--out", &path, json]].concat()));
    let names: Vec<&str> = found.cases.iter().map(|case| case.case.as_str()).collect();
    // slem has no nodes: 2 plain, 2 × 2 of slem, 2 × 2 × 2 of tree.
    assert_eq!(names.len(), 2 + 4 + 8, "{names:?}");
    for name in ["plain T 0", "slem gamma 3 T 1", "tree gamma 2 nodes 6 T 0"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let cases = &found.cases;
    assert!(cases.iter().all(|case| case.overall.prompts == cases[0].overall.prompts));
    for case in cases.iter().filter(|case| !case.settings.is_plain()) {
        assert!(case.overall.speedup.value.is_some() && case.costs.is_some(), "{}", case.case);
        let greedy = case.overall.greedy_identical.and_then(|share| share.value);
        assert_eq!(greedy, (case.settings.temperature == 0.0).then_some(1.0), "{}", case.case);
    }
    // Each against the first one at its temperature.
    assert_eq!(found.differences.len(), 5 + 5);
    // Which goes first changes from prompt to prompt.
    let first = |prompt| records(&out).into_iter().find(|own| own.prompt_index == prompt);
    assert_ne!(first(0).unwrap().case, first(1).unwrap().case);
    let records = records(&out);
    assert!(records.iter().all(|own| own.run == found.header.run && own.repeat == 0));
    assert_eq!(records.len(), names.len() * cases[0].overall.prompts);
    for range in ["3-2", "2-", "a", "1,,2"] {
        let refused = models.bench("draft", &["--gamma", range]);
        assert_eq!(refused.status.code(), Some(2), "{range}");
    }
    assert_one_line(&models.bench("draft", &["--gamma", "0-2"]), &["--gamma is at least 1"]);
}

/// What of a record does not hang on the clock.
fn without_times(record: &Record) -> (String, usize, Vec<u32>, u64) {
    let counts = &record.counts;
    (record.case_key.clone(), record.prompt_index, record.ids.clone(), counts.num_draft_tokens)
}

#[test]
fn a_run_that_was_stopped_is_gone_on_with() {
    let models = Models::new(SPEC);
    let out = models.folder.path().join("run");
    let path = out.display().to_string();
    let fixed = ["--out", &path, "--json", "--seed", "3", "--temperature", "0,1"];
    let run = |more: &[&str]| models.bench("draft", &[&fixed[..], more].concat());
    let whole = report(&run(&["--method", "slem"]));
    let before = records(&out);
    // As if it had been killed while it wrote a record.
    let text = fs::read_to_string(out.join("records.jsonl")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let half = lines[..lines.len() / 2].join("\n") + "\n" + &lines[lines.len() / 2][..40];
    fs::write(out.join("records.jsonl"), half).unwrap();
    let again = report(&run(&["--method", "slem"]));
    let after = records(&out);
    assert_eq!(before.len(), after.len());
    let plain = |records: &[Record]| {
        let mut all: Vec<_> = records.iter().map(without_times).collect();
        all.sort();
        all
    };
    assert_eq!(plain(&before), plain(&after));
    assert_eq!(after[..lines.len() / 2], before[..lines.len() / 2], "what was there is kept");
    assert_eq!(whole.cases[2].overall.counts, again.cases[2].overall.counts);
    // A sweep may grow; what is there is not run again.
    let grown = report(&run(&["--method", "slem,tli"]));
    assert_eq!(grown.cases.len(), 2 + 4);
    let kept = records(&out);
    let same = |own: &&Record| kept.iter().any(|other| own.seconds == other.seconds);
    assert!(after.iter().filter(same).count() == after.len());
    assert_one_line(&run(&["--method", "tree"]), &["no part of this one", "slem", "another --out"]);
    let with = |seed: &'static str| ["--method", "slem,tli", "--seed", seed];
    let other = models.bench("draft", &[&fixed[..2], &with("4")].concat());
    assert_one_line(&other, &["records.jsonl", "no part of this one"]);
    assert_eq!(kept, records(&out), "a run that is refused changes nothing");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_done() {
    let models = Models::new(SPEC);
    let out = models.folder.path().join("run");
    let path = out.display().to_string();
    let (draft, target) = (models.path("draft"), models.path("target"));
    let prompts = models.usual_prompts();
    let mut child = std::process::Command::new(SPEC.0)
        .args(["bench", "--draft", &draft, "--target", &target, "--prompts", &prompts])
        .args(["--out", &path, "--method", "slem", "--temperature", "1", "--repeats", "2000"])
        .args(["--max-new", "20"])
        .env("OMP_NUM_THREADS", "1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let length = || fs::metadata(out.join("records.jsonl")).map_or(0, |file| file.len());
    while length() == 0 {
        assert_eq!(child.try_wait().unwrap(), None, "it ended too early");
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the same command with its --out goes on with it"), "{said}");
    let report: Report =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    let done = records(&out).len();
    assert!(!report.complete && done > 0);
    assert_eq!(report.cases.iter().map(|case| case.overall.generations).sum::<usize>(), done);
}

#[test]
fn two_cases_are_compared_prompt_by_prompt_and_held_to_a_floor() {
    let models = Models::new(SPEC);
    let out = models.folder.path().join("run");
    let path = out.display().to_string();
    let lists = ["--method", "slem,byte", "--out", &path];
    stdout(&models.bench("draft", &lists));
    let compare = |more: &[&str]| models.spec.run(&[&["compare"], more].concat());
    let (slem, byte) = (format!("{path}:slem"), format!("{path}:byte"));
    let found: Value = serde_json::from_str(&stdout(&compare(&[&slem, &byte, "--json"]))).unwrap();
    let names: Vec<&str> = found["figures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| own["name"].as_str().unwrap())
        .collect();
    let expected =
        ["draft_acceptance_rate", "mean_acceptance_length", "target_tokens_per_second", "speedup"];
    assert_eq!(names, expected);
    // The report says the same of its own cases.
    let report: Report =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    let ours = &report.differences[0];
    assert_eq!((ours.from.as_str(), ours.to.as_str(), ours.prompts), ("slem", "byte", 8));
    let figures = serde_json::to_value(&ours.figures).unwrap();
    assert_eq!(figures, found["figures"]);
    let same = stdout(&compare(&[&slem, &slem]));
    assert!(same.contains("B - A +0.0000 [+0.0000, +0.0000]   no difference shown"), "{same}");
    assert_one_line(&compare(&[&path, &path]), &["no single case in common", "RUN:CASE"]);
    let unknown = format!("{path}:tree");
    assert_one_line(&compare(&[&slem, &unknown]), &["no case `tree`", "slem, byte"]);
    let code = |flags: &[&str]| compare(&[&[slem.as_str(), slem.as_str()], flags].concat());
    let rate = report.cases[1].overall.draft_acceptance_rate.value.unwrap();
    let (below, above) = ((rate * 0.9).to_string(), (rate * 1.1).to_string());
    assert_eq!(code(&["--min-acceptance", &below]).status.code(), Some(0));
    let failed = code(&["--min-acceptance", &above]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("below --min-acceptance"));
    assert_eq!(code(&["--max-regression", "0"]).status.code(), Some(0));
    let length = |case: usize| report.cases[case].overall.mean_acceptance_length.value.unwrap();
    let (worse, better) = if length(1) < length(2) { (&slem, &byte) } else { (&byte, &slem) };
    let held = |most: &str| compare(&[better, worse, "--max-regression", most]);
    assert_eq!(held("0").status.code(), Some(1), "{} {}", length(1), length(2));
    assert_eq!(held("1").status.code(), Some(0));
    assert_one_line(&held("2"), &["from 0 to 1"]);
}
