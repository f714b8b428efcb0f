//! The binary as users meet it: what it prints where, its exit codes, its files.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod written;

use std::fs;

use experiments::bench::record::Report;
use serde_json::{Value, json};
use support::checkpoints::tiny_config;
use support::command::{Models, SINGLES, Spec, assert_one_line, stdout};
use written::{records, report};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

#[test]
fn every_method_runs_and_is_greedy_identical() {
    let models = Models::new(SPEC);
    let pairs = [
        ("same", "identity"),
        ("same", "slem"),
        ("same", "tli"),
        ("draft", "slem"),
        ("draft", "tli"),
        ("monster", "slem"),
        ("monster", "tli"),
        ("same", "tree"),
        ("draft", "tree"),
        ("monster", "tree"),
        ("same", "byte"),
        ("draft", "byte"),
        ("monster", "byte"),
    ];
    for (draft, method) in pairs {
        let report = report(&models.bench(draft, &["--method", method, "--json"]));
        let case = report.cases.iter().find(|case| case.case == method).unwrap();
        let identical = case.overall.greedy_identical.unwrap().value;
        assert_eq!(identical, Some(1.0), "{draft} {method}");
        assert!(case.overall.counts.num_draft_tokens > 0, "{draft} {method}");
        assert!(report.complete);
    }
}

#[test]
fn the_text_itself_drafts_without_a_model() {
    let models = Models::new(SPEC);
    let (target, prompts) = (models.path("target"), models.usual_prompts());
    let fixed = ["bench", "--draft", "ngram", "--target", &target, "--prompts", &prompts, "--json"];
    for temperature in ["0", "1"] {
        let flags = ["--ignore-eos", "--max-new", "60", "--temperature", temperature];
        let report = report(&models.spec.run(&[&fixed[..], &flags].concat()));
        let case = report.cases.iter().find(|case| case.case == "ngram").unwrap();
        let (counts, plain) = (&case.overall.counts, &report.cases[0].overall.counts);
        assert!(counts.num_draft_tokens > 0 && counts.draft_model_tokens == 0);
        assert_eq!(report.header.drafts[0].parameters, 0);
        assert_eq!(counts.num_emitted_tokens, plain.num_emitted_tokens);
        if temperature == "0" {
            assert_eq!(case.overall.greedy_identical.unwrap().value, Some(1.0));
        }
    }
    let refused = models.spec.run(&[&fixed[..], &["--method", "slem"]].concat());
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--method slem"));
}

#[test]
fn the_number_of_candidates_can_be_left_open() {
    let models = Models::new(SPEC);
    for (method, flag) in [("slem", "--gamma"), ("byte", "--gamma"), ("tree", "--tree-nodes")] {
        let run = models.bench("draft", &["--method", method, flag, "auto", "--json"]);
        let report = report(&run);
        assert!(report.cases[1].settings.auto, "{method}");
        let overall = &report.cases[1].overall;
        assert_eq!(overall.greedy_identical.unwrap().value, Some(1.0), "{method}");
        assert!(overall.counts.num_plain_steps > 0, "two rounds of a run are without candidates");
    }
    let refused = models.bench("draft", &["--gamma", "some"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("neither auto nor a number"));
}

#[test]
fn trees_blocks_and_siblings_are_said_in_the_report() {
    let models = Models::new(SPEC);
    let tree = report(
        &models.bench("draft", &["--method", "tree", "--tree-nodes", "4", "--beam", "3", "--json"]),
    );
    let size = tree.cases[1].settings.tree.unwrap();
    assert_eq!((size.nodes, size.beam), (4, 3));
    let counts = &tree.cases[1].overall.counts;
    assert!(counts.num_draft_tokens > counts.proposed_by_position.iter().sum(), "several a place");
    assert!(counts.num_draft_tokens <= 4 * counts.steps());
    let flags = ["--method", "tli", "--temperature", "1"];
    for more in [&["--verify", "block"][..], &["--siblings", "3", "--sibling-rule", "greedy"]] {
        let table = stdout(&models.bench("draft", &[&flags[..], more].concat()));
        let said = if more.len() == 2 { "tli, verified by blocks" } else { "3 candidates a place" };
        assert!(table.lines().next().unwrap().contains(said), "{table}");
    }
    for (flag, value) in [("--verify", "both"), ("--sibling-rule", "best")] {
        let refused = models.bench("draft", &[flag, value]);
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr.contains(flag) && stderr.contains(value), "{stderr}");
    }
}

#[test]
fn the_default_method_depends_on_the_vocabularies() {
    let models = Models::new(SPEC);
    let cases = [("same", "0", "identity"), ("draft", "0", "byte"), ("draft", "0.7", "byte")];
    for (draft, temperature, method) in cases {
        let flags = ["--json", "--limit", "2", "--temperature", temperature];
        for more in [&[][..], &["--method", "auto"]] {
            let report = report(&models.bench(draft, &[&flags, more].concat()));
            let settings = &report.cases[1].settings;
            assert_eq!(settings.method, method);
            assert!(settings.method_reason.starts_with("auto: "), "{}", settings.method_reason);
        }
    }
    // What branches is a tree of several candidates a place; verification by blocks is of chains.
    for (more, count, said) in
        [(&[][..], None, "branching (drawn)"), (&["--verify", "block"], Some(1), "by blocks")]
    {
        let flags = [&["--limit", "2", "--temperature", "1"], more].concat();
        let siblings = report(&models.bench("draft", &[&flags[..], &["--json"]].concat()));
        assert_eq!(siblings.cases[1].settings.siblings.count, count);
        assert!(stdout(&models.bench("draft", &flags)).lines().next().unwrap().contains(said));
    }
}

#[test]
fn a_model_accepts_all_of_itself() {
    let models = Models::new(SPEC);
    let report = report(&models.bench("target", &["--json"]));
    let case = report.cases.iter().find(|case| case.case == "identity").unwrap();
    assert_eq!(case.overall.draft_acceptance_rate.value, Some(1.0));
}

#[test]
fn files_hold_what_is_printed_and_records_add_up() {
    let models = Models::new(SPEC);
    let out = models.folder.path().join("run");
    let path = out.display().to_string();
    let fixed = ["--json", "--temperature", "1", "--repeats", "2", "--method", "slem"];
    let flags = [&fixed[..], &["--out", &path]].concat();
    let printed = report(&models.bench("draft", &flags));
    let written: Report =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(printed.cases, written.cases);
    assert!(fs::read_to_string(out.join("report.md")).unwrap().contains("slem"));
    let records = records(&out);
    assert_eq!(records.len(), 8 * 2 * 2, "prompts, repeats, cases");
    for record in &records {
        let seconds = &record.seconds;
        let sum = seconds.prefill + seconds.draft + seconds.align + seconds.verify + seconds.other;
        assert!((sum - seconds.total).abs() < 1e-9);
        assert_eq!(record.counts.num_emitted_tokens, record.ids.len() as u64);
        assert!(record.greedy.is_none(), "temperature 1 has no greedy text");
    }
    // The text of slem is plain sampling's for the same seed.
    let of = |case: &str| -> Vec<&Vec<u32>> {
        records.iter().filter(|record| record.case == case).map(|record| &record.ids).collect()
    };
    assert_eq!(of("plain"), of("slem"));
    let names: Vec<_> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "nothing half-written is left: {names:?}");
}

#[test]
fn the_same_seed_gives_the_same_result() {
    let models = Models::new(SPEC);
    let run = |name: &str, seed: &str| {
        let out = models.folder.path().join(name);
        let path = out.display().to_string();
        let flags = ["--temperature", "1", "--method", "tli", "--seed", seed, "--out", &path];
        stdout(&models.bench("draft", &flags));
        records(&out).into_iter().map(|record| (record.ids, record.counts)).collect::<Vec<_>>()
    };
    let first = run("one", "7");
    assert_eq!(first, run("two", "7"));
    assert_ne!(first, run("three", "8"));
}

#[test]
fn the_table_goes_to_stdout_and_talk_to_stderr() {
    let models = Models::new(SPEC);
    let table = stdout(&models.bench("draft", &[]));
    for name in ["speed-up", "acceptance rate", "mean acceptance length", "greedy identity"] {
        assert!(table.contains(name), "{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
}

#[test]
fn prompts_that_do_not_fit_are_counted() {
    let models = Models::new(SPEC);
    let long = "ab cd ".repeat(40);
    let prompts = models.prompts(&[
        json!({"prompt": "ab cd", "category": "x"}),
        json!({"prompt": long, "category": "x"}),
        json!({"prompt": "ab zzz", "category": "y"}),
    ]);
    let skipped = report(&models.bench_on("draft", &prompts, &["--json"])).header.prompts;
    assert_eq!((skipped.total, skipped.run), (3, 1));
    let of = |category: &str| {
        let row = skipped.skipped.iter().find(|row| row.category == category).unwrap();
        (row.too_long, row.inexpressible)
    };
    assert_eq!((of("x"), of("y")), ((1, 0), (0, 1)));
    let flags = ["--json", "--long-prompts", "truncate-left"];
    let cut = report(&models.bench_on("draft", &prompts, &flags)).header.prompts;
    assert_eq!((cut.run, cut.truncated), (2, 1));
    let refused = models.bench_on("draft", &prompts, &["--long-prompts", "error"]);
    assert_one_line(&refused, &["target tokens", "--long-prompts"]);
}

#[test]
fn a_draft_whose_context_is_full_slides_and_says_so() {
    let models = Models::new(SPEC);
    let folder = models.copy("draft", "short");
    let mut config = tiny_config(SINGLES.len() + 3);
    config["max_position_embeddings"] = 16.into();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let flags = ["--json", "--ignore-eos", "--max-new", "50", "--method", "tli"];
    let (draft, target) = (models.path("short"), models.path("target"));
    let prompts = models.usual_prompts();
    let fixed = ["bench", "--draft", &draft, "--target", &target, "--prompts", &prompts];
    let report = report(&SPEC.run(&[&fixed[..], &flags].concat()));
    let case = report.cases.iter().find(|case| case.case == "tli").unwrap();
    assert!(case.overall.counts.draft_window_slides > 0);
    assert!(report.warnings.iter().any(|warning| warning.contains("window slid")));
    assert_eq!(case.overall.greedy_identical.unwrap().value, Some(1.0));
}

#[test]
fn chat_prompts_are_rendered_by_each_sides_own_template() {
    let models = Models::new(SPEC);
    let prompts = models.prompts(&[json!({"question_id": 1, "category": "x", "turns": ["ab cd"]})]);
    let raw = report(&models.bench_on("draft", &prompts, &["--json"]));
    assert_eq!(raw.header.prompts.run, 1);
    for (name, template) in [
        ("draft", "{% for m in messages %}{{ m.content }}{% endfor %}"),
        ("target", "{% for m in messages %}ab {{ m.content }} cd{% endfor %}"),
    ] {
        let config = json!({"eos_token": "<eos>", "chat_template": template});
        let path = models.folder.path().join(name).join("tokenizer_config.json");
        fs::write(path, config.to_string()).unwrap();
    }
    let length = |name: &str, flags: &[&str]| {
        let out = models.folder.path().join(name);
        let path = out.display().to_string();
        stdout(&models.bench_on("draft", &prompts, &[&["--out", &path], flags].concat()));
        records(&out)[0].prompt_tokens
    };
    assert!(length("rendered", &[]) > length("raw", &["--template", "none"]));
}

#[test]
fn text_becomes_ids_and_ids_text() {
    let models = Models::new(SPEC);
    for name in ["target", "monster"] {
        let path = models.path(name);
        let text = "ab cd ab. gh";
        let line = json!({"text": text}).to_string();
        let ids =
            stdout(&SPEC.run_with(&["tokenize", "--tokenizer", &path, "--jsonl"], &[], &line));
        let decoded = stdout(&SPEC.run_with(
            &["tokenize", "--tokenizer", &path, "--jsonl", "--decode"],
            &[],
            &ids,
        ));
        let decoded: Value = serde_json::from_str(&decoded).unwrap();
        assert_eq!(decoded["text"], text, "{name}");
        assert_eq!(decoded["bytes_b64"], "YWIgY2QgYWIuIGdo", "{name}");
    }
    let bad =
        SPEC.run_with(&["tokenize", "--tokenizer", &models.path("target"), "--jsonl"], &[], "{}");
    assert_one_line(&bad, &["line 1", "{\"text\": …}"]);
    assert_one_line(
        &SPEC.run(&["tokenize", "--tokenizer", "nowhere"]),
        &["nowhere", "does not exist"],
    );
}

#[test]
fn doctor_says_what_is_linked() {
    let json: Value = serde_json::from_str(&stdout(&SPEC.run(&["doctor", "--json"]))).unwrap();
    assert!(json["torch"].as_str().unwrap().starts_with("2.11"));
    assert_eq!(json["devices"][0]["fp32"], true);
    assert_eq!(json["openmp"].as_array().unwrap().len(), 1);
}

#[test]
fn a_model_in_the_cache_needs_no_network() {
    let models = Models::new(SPEC);
    let cache = models.folder.path().join("cache");
    let repo = cache.join("models--StentorLabs--Stentor2-12M");
    let snapshot = repo.join("snapshots/0123");
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), "0123").unwrap();
    for entry in fs::read_dir(models.folder.path().join("monster")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), snapshot.join(entry.file_name())).unwrap();
    }
    let (cache, target) = (cache.display().to_string(), models.path("target"));
    let prompts = models.usual_prompts();
    let output = SPEC.run_with(
        &[
            "bench",
            "--draft",
            "stentor2",
            "--target",
            &target,
            "--prompts",
            &prompts,
            "--json",
            "--max-new",
            "20",
        ],
        &[("HF_HUB_CACHE", &cache), ("HF_HUB_OFFLINE", "1")],
        "",
    );
    assert_eq!(report(&output).header.drafts[0].name, "stentor2");
}
