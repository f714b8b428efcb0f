//! `spec eval --lossless`: what it says of pairs whose vocabularies differ and of one that shares its
//! vocabulary. That its checks find broken loops is shown beside them, in `experiments`.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::process::Output;

use serde_json::{Value, json};
use support::command::{Models, Spec, assert_one_line, stdout};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

fn run(models: &Models, draft: &str, flags: &[&str]) -> Output {
    let (draft, target) = (models.path(draft), models.path("target"));
    let prompts = models.usual_prompts();
    let fixed = ["eval", "--lossless", "--draft", &draft, "--target", &target];
    let more = ["--prompts", &prompts, "--max-new", "20", "--threads", "1"];
    SPEC.run(&[&fixed[..], &more, flags].concat())
}

fn of<'a>(report: &'a Value, method: &str) -> &'a Value {
    let methods = report["methods"].as_array().unwrap();
    methods.iter().find(|own| own["method"] == method).unwrap()
}

#[test]
fn pairs_of_unequal_vocabularies_are_lossless() {
    let models = Models::new(SPEC);
    for draft in ["draft", "monster"] {
        let printed = stdout(&run(&models, draft, &["--json", "--draws", "300", "--seed", "3"]));
        let report: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!((&report["kind"], &report["holds"]), (&json!("lossless"), &json!(true)));
        let refused = of(&report, "identity")["refused"].as_str().unwrap();
        assert!(refused.contains("needs one vocabulary"), "{refused}");
        for method in ["slem", "tli", "tree"] {
            let own = of(&report, method);
            let greedy = &own["greedy"];
            assert_eq!((&greedy["prompts"], &greedy["differences"]), (&json!(8), &json!([])));
            let identical = greedy["identical"].as_u64().unwrap();
            let ties = greedy["ties"].as_array().unwrap().len() as u64;
            assert_eq!(identical + ties, 8, "{method}");
            let first = &own["first_token"][0];
            assert_eq!(first["draws"], 300);
            assert!(first["seeds"].as_u64().unwrap() >= 300);
            assert!(first["proposed"].as_u64().unwrap() > 0, "{method}: {first}");
            assert!(first["p_value"].as_f64().unwrap() >= 1e-6);
            assert_eq!(own["same_seed"].is_null(), method == "tli", "{method}");
        }
        assert_eq!(of(&report, "slem")["same_seed"]["prompts"], 8);
    }
}

#[test]
fn a_shared_vocabulary_has_all_methods_and_a_folder_has_the_report() {
    let models = Models::new(SPEC);
    let out = models.folder.path().join("report");
    let flags = ["--draws", "100", "--draw-prompts", "2", "--limit", "2", "--out"];
    let page = stdout(&run(&models, "same", &[&flags[..], &[out.to_str().unwrap()]].concat()));
    for part in ["| identity | 2 of 2", "not applicable: candidates are drawn", "| slem |", "p = "]
    {
        assert!(page.contains(part), "`{part}` is not in {page}");
    }
    let report: Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(of(&report, "identity")["first_token"].as_array().unwrap().len(), 2);
    assert!(fs::read_to_string(out.join("report.md")).unwrap().contains("## Provenance"));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
}

#[test]
fn methods_and_rules_are_chosen() {
    let models = Models::new(SPEC);
    let flags = ["--json", "--draws", "50", "--limit", "2", "--method", "tli,identity"];
    let more = ["--verify", "block", "--temperature", "0.7"];
    let printed = stdout(&run(&models, "same", &[&flags[..], &more].concat()));
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["methods"].as_array().unwrap().len(), 2);
    assert_eq!(report["header"]["verification"], "block");
    let flags = ["--json", "--draws", "0", "--limit", "2", "--method", "slem"];
    let printed = stdout(&run(&models, "draft", &flags));
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(of(&report, "slem")["first_token"], json!([]));
    // The target alone, seen through the same loop: the seed decides.
    let again = stdout(&run(&models, "draft", &flags));
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(report["methods"], again["methods"]);
}

#[test]
fn errors_are_one_line() {
    let models = Models::new(SPEC);
    let wrong: [(&[&str], &[&str]); 5] = [
        (&["--temperature", "0"], &["--temperature is above 0"]),
        (&["--gamma", "0"], &["--gamma is at least 1"]),
        (&["--limit", "0"], &["--limit is at least 1"]),
        (&["--out", "/"], &["exists already"]),
        (&["--prompts", "nowhere.jsonl"], &["nowhere.jsonl"]),
    ];
    for (flags, parts) in wrong {
        let (draft, target) = (models.path("draft"), models.path("target"));
        let fixed = ["eval", "--lossless", "--draft", &draft, "--target", &target];
        assert_one_line(&SPEC.run(&[&fixed[..], flags].concat()), parts);
    }
    let output = run(&models, "draft", &["--method", "slem,identity"]);
    assert_one_line(&output, &["identity", "slem or tli"]);
    let target = models.path("target");
    let both: [&[&str]; 4] = [
        &["--lossless", "--suite", "blimp", "--draft", &target, "--target", &target],
        &["--lossless", "--model", &target],
        &["--model", &target],
        &["--suite", "blimp", "--model", &target, "--draws", "5"],
    ];
    for flags in both {
        let output = SPEC.run(&[&["eval"], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(output.stdout.is_empty());
    }
}
