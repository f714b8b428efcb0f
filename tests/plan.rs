//! `spec bench --plan`: a pilot run, and how many prompts it says are needed.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use support::command::{Models, Spec, assert_one_line, stdout};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

/// A run of two cases on 24 prompts of two categories.
fn pilot(models: &Models) -> String {
    let letters = ["ab ", "cd", "gh, ", "e", "abcd ", "f."];
    let prompt = |index: usize| {
        let text: String =
            (0..3 + index % 4).map(|at| letters[(index * 7 + at * at) % 6]).collect();
        json!({"prompt": text, "category": (["x", "y"][index % 2])})
    };
    let prompts = models.prompts(&(0..24).map(prompt).collect::<Vec<_>>());
    let out = models.path("pilot");
    let more = ["--method", "slem,tree", "--ignore-eos", "--out", &out];
    stdout(&models.bench_on("draft", &prompts, &more));
    out
}

#[test]
fn a_pilot_says_how_many_prompts_are_needed() {
    let models = Models::new(SPEC);
    let out = pilot(&models);
    let ask = |run: &[&str], more: &[&str]| -> Value {
        let args = [&["bench", "--plan"][..], run, &["--json"], more].concat();
        serde_json::from_str(&stdout(&SPEC.run(&args))).unwrap()
    };
    let compared: Value = serde_json::from_str(&stdout(&SPEC.run(&[
        "compare",
        &format!("{out}:slem"),
        &format!("{out}:tree"),
        "--json",
    ])))
    .unwrap();
    let length = &compared["figures"][1];
    let both = ask(&[&out], &["--difference", "5%"]);
    assert_eq!((&both["a"]["case"], &both["b"]["case"]), (&json!("slem"), &json!("tree")));
    assert_eq!((&both["value_a"], &both["value_b"]), (&length["a"], &length["b"]));
    assert_eq!((&both["prompts"], &both["strata"]), (&json!(24), &json!(2)));
    // What the linearisation says of the pilot's own interval is near what the bootstrap said.
    let outlook = both["outlook"].as_array().unwrap();
    let own = outlook.iter().find(|row| row["prompts"] == 24).unwrap();
    let difference = &length["difference"];
    let half = (difference["high"].as_f64().unwrap() - difference["low"].as_f64().unwrap()) / 2.0;
    let foretold = own["half_width"].as_f64().unwrap();
    assert!((foretold / half - 1.0).abs() < 0.25, "±{foretold}, by the bootstrap ±{half}");
    // Half the size takes four times as many, about.
    let absolute = (both["size"].as_f64().unwrap() / 2.0).to_string();
    let finer =
        ask(&[&format!("{out}:slem"), &format!("{out}:tree")], &["--difference", &absolute]);
    let prompts = |of: &Value| of["to_show"]["prompts"].as_f64().unwrap();
    let times = prompts(&finer) / prompts(&both);
    assert!((3.0..4.5).contains(&times), "{times}");
    assert!(both["to_narrow"]["prompts"].as_u64() < both["to_show"]["prompts"].as_u64());
    let sure = ask(&[&out], &["--difference", "5%", "--power", "0.95"]);
    assert!(prompts(&sure) > prompts(&both));
    let one = ask(&[&format!("{out}:slem")], &["--difference", "5%", "--figure", "speedup"]);
    assert!(one["to_show"].is_null() && one["to_narrow"]["prompts"].as_u64().unwrap() >= 5);

    let words = stdout(&SPEC.run(&["bench", "--plan", &out, "--difference", &absolute]));
    for part in ["with a chance of 80 %: about ", "a pilot of 24 leaves", "the prompt file has 24"]
    {
        assert!(words.contains(part), "`{part}` is not in:\n{words}");
    }
}

#[test]
fn what_cannot_be_foretold_is_one_line() {
    let models = Models::new(SPEC);
    let out = models.path("few");
    let prompts = models.prompts(&[json!({"prompt": "ab"}), json!({"prompt": "cd"})]);
    stdout(&models.bench_on("draft", &prompts, &["--method", "slem,tree,tli", "--out", &out]));
    let plan = |more: &[&str]| SPEC.run(&[&["bench", "--plan"][..], more].concat());
    let (first, second) = (format!("{out}:slem"), format!("{out}:tree"));
    assert_one_line(&plan(&[&out, "--difference", "1"]), &["several cases", "slem, tree, tli"]);
    assert_one_line(&plan(&[&first, &second, "--difference", "1"]), &["2 prompts are too few"]);
    assert_one_line(&plan(&["nowhere", "--difference", "1"]), &["nowhere", "--out"]);
    assert_one_line(&plan(&[&first, "--difference", "1", "--power", "1"]), &["--power"]);
    assert_one_line(
        &SPEC.run(&["bench", "--draft", "x", "--difference", "1"]),
        &["--difference is for --plan"],
    );
    for (args, part) in [
        (vec!["bench"], "--draft"),
        (vec!["bench", "--plan", &out], "--difference"),
        (vec!["bench", "--plan", &out, "--difference", "0%"], "--difference"),
        (vec!["bench", "--plan", &out, "--difference", "1", "--draft", "x"], "--draft"),
    ] {
        let refused = SPEC.run(&args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(part), "{args:?}");
    }
}
