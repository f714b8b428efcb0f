//! `spec trace` and `spec bench --trace` from outside: drafts measured without their target as with it, on small
//! models and on real pairs, and what is refused.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use experiments::bench::record::{Counts, Estimate, Record, Report};
use experiments::trace::file::Trace;
use serde_json::{Value, json};
use support::command::{Models, Spec, assert_one_line, stdout};
use support::shared;
use target::trace::Text;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

/// Records of a run by case, prompt and repeat.
fn counts(folder: &Path) -> BTreeMap<(String, usize, u32), (Vec<u32>, Counts)> {
    let text = fs::read_to_string(folder.join("records.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Record>(line).unwrap());
    let speculative = records.filter(|record| record.method != "plain");
    let place = |record: Record| {
        ((record.case, record.prompt_index, record.repeat), (record.ids, record.counts))
    };
    speculative.map(place).collect()
}

/// Small models with a trace of their target.
struct Bench {
    models: Models,
}

impl Bench {
    fn new() -> Self {
        Self { models: Models::new(SPEC) }
    }

    fn text(&self, name: &str) -> String {
        self.models.path(name)
    }

    fn record(&self, name: &str, more: &[&str]) -> std::process::Output {
        let (target, prompts) = (self.text("target"), self.models.usual_prompts());
        let out = self.text(name);
        let fixed = ["trace", "record", "--target", &target, "--prompts", &prompts, "--out", &out];
        SPEC.run(&[&fixed[..], &["--max-new", "20", "--threads", "1"], more].concat())
    }

    fn replay(&self, trace: &str, more: &[&str]) -> std::process::Output {
        let trace = self.text(trace);
        SPEC.run(&[&["bench", "--trace", &trace, "--threads", "1"], more].concat())
    }
}

#[test]
fn counts_on_a_trace_are_those_with_the_target() {
    let bench = Bench::new();
    let folder = bench.models.folder.path();
    for (temperature, methods) in [("0", "slem,tli,tree,byte"), ("1", "slem,tree")] {
        let (trace, live, replayed) = (
            format!("{temperature}.jsonl.zst"),
            format!("l{temperature}"),
            format!("r{temperature}"),
        );
        let printed = stdout(&bench.record(&trace, &["--temperature", temperature, "--top", "2"]));
        assert_eq!(printed.trim(), bench.text(&trace));
        for draft in ["draft", "monster", "ngram"] {
            let name = if draft == "ngram" { draft.to_owned() } else { bench.text(draft) };
            let method = if draft == "ngram" { "auto" } else { methods };
            let (live, replayed) = (format!("{live}{draft}"), format!("{replayed}{draft}"));
            let flags = |out| [["--method", method], ["--gamma", "3"], ["--out", out]].concat();
            let (own, out) = (bench.text(&live), bench.text(&replayed));
            let (target, prompts) = (bench.text("target"), bench.models.usual_prompts());
            let fixed = ["bench", "--draft", &name, "--target", &target, "--prompts", &prompts];
            let more = ["--max-new", "20", "--threads", "1", "--temperature", temperature];
            stdout(&SPEC.run(&[&fixed[..], &more, &flags(&own)].concat()));
            let json = [&["--draft", &name, "--json"][..], &flags(&out)].concat();
            let report: Report =
                serde_json::from_str(&stdout(&bench.replay(&trace, &json))).unwrap();
            let (live, replayed) = (counts(&folder.join(live)), counts(&folder.join(replayed)));
            assert!(live.len() >= 8 && live == replayed, "{draft} at {temperature}");
            assert!(report.header.trace.is_some() && report.complete);
            assert!(report.cases.iter().all(|case| {
                let overall = &case.overall;
                overall.mean_acceptance_length.value.is_some()
                    && overall.speedup_at_cost.iter().all(|at| at.speedup.value.is_some())
                    && overall.speedup == Estimate::default()
                    && overall.target_tokens_per_second == Estimate::default()
                    && case.costs.is_none()
            }));
        }
    }
}

#[test]
fn no_weights_are_needed_and_another_tokenizer_is_refused() {
    let bench = Bench::new();
    stdout(&bench.record("a.jsonl", &["--temperature", "1"]));
    let draft = bench.text("draft");
    let run = |more: &[&str], out: &str| {
        let out = bench.text(out);
        bench.replay("a.jsonl", &[&["--draft", &draft, "--out", &out], more].concat())
    };
    let usual = stdout(&run(&[], "r0"));
    assert!(usual.contains("replayed from a trace") && !usual.contains("tokens/s"), "{usual}");
    assert!(usual.contains("byte, gamma 5"), "the default for two vocabularies: {usual}");
    let target = bench.models.folder.path().join("target");
    let elsewhere = bench.models.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(target.join("tokenizer.json"), elsewhere.join("tokenizer.json")).unwrap();
    fs::remove_dir_all(target).unwrap();
    assert_one_line(&run(&[], "r1"), &["tokenizer is not at hand", "--target"]);
    let place = elsewhere.display().to_string();
    let file = format!("{place}/tokenizer.json");
    for named in [&place, &file] {
        stdout(&run(&["--target", named], &format!("r{}", named.len())));
    }
    let other = run(&["--target", &draft], "r2");
    assert_one_line(&other, &["another tokenizer than that of the trace", "SHA-256"]);
}

#[test]
fn what_cannot_be_replayed_is_said_in_one_line() {
    let bench = Bench::new();
    stdout(&bench.record("a.jsonl", &["--temperature", "1", "--limit", "2"]));
    let draft = bench.text("draft");
    let run = |more: &[&str]| {
        let out = bench.text("never");
        bench.replay("a.jsonl", &[&["--draft", &draft, "--out", &out], more].concat())
    };
    let several = run(&["--method", "byte", "--siblings", "2"]);
    assert_one_line(&several, &["several drawn candidates", "--siblings 1"]);
    assert_one_line(&run(&["--gamma", "auto"]), &["--gamma auto", "a trace does not"]);
    assert!(!Path::new(&bench.text("never")).exists(), "nothing is left of them");
    for conflict in [["--prompts", "x"], ["--temperature", "1"], ["--max-new", "3"]] {
        let output = run(&conflict);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr.contains("cannot be used with") && stderr.contains(conflict[0]), "{stderr}");
    }
    assert_one_line(&bench.record("a.jsonl", &[]), &["exists already", "--out"]);
    assert_one_line(&bench.record("a.txt", &[]), &["*.jsonl or *.jsonl.zst"]);
    assert_one_line(&bench.replay("none.jsonl", &["--draft", &draft]), &["none.jsonl"]);
}

#[test]
fn a_trace_that_is_broken_off_leaves_nothing() {
    let bench = Bench::new();
    let folder = bench.models.folder.path().join("traces");
    let (target, prompts) = (bench.text("target"), bench.models.usual_prompts());
    let out = folder.join("a.jsonl").display().to_string();
    let fixed = ["trace", "record", "--target", &target, "--prompts", &prompts, "--out", &out];
    let more = ["--max-new", "20", "--temperature", "1", "--repeats", "1000000"];
    let mut child = SPEC.start(&[&fixed[..], &more].concat(), &[]);
    let patience = Instant::now();
    while !fs::read_dir(&folder).is_ok_and(|entries| entries.count() > 0) {
        assert!(patience.elapsed() < Duration::from_secs(60), "it records");
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

/// A text as a server would answer with it.
fn answer(text: &Text, with_ids: bool) -> Value {
    let bytes: Vec<&[u8]> = text.bytes.iter().map(|bytes| &bytes.0[..]).collect();
    let tokens: Vec<String> = (text.ids.iter().zip(&bytes))
        .map(|(id, bytes)| match bytes {
            [] => format!("token_id:{id}"),
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        })
        .collect();
    let mut choice = json!({"text": String::from_utf8_lossy(&bytes.concat()),
        "logprobs": {"tokens": tokens, "token_logprobs": text.logprobs}});
    if with_ids {
        choice["token_ids"] = json!(text.ids);
        choice["prompt_token_ids"] = json!(text.prompt_ids);
    }
    let request = json!({"prompt": text.said[0], "temperature": 1.0, "max_tokens": 20});
    json!({"request": request, "response": {"choices": [choice]}})
}

#[test]
fn a_servers_answers_are_a_trace() {
    let bench = Bench::new();
    stdout(&bench.record("own.jsonl", &["--temperature", "1"]));
    let own = Trace::read(Path::new(&bench.text("own.jsonl"))).unwrap();
    let write = |name: &str, lines: Vec<Value>| {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        fs::write(bench.text(name), lines.join("\n")).unwrap();
    };
    let answers = |with_ids| own.texts.iter().map(|text| answer(text, with_ids)).collect();
    write("with", answers(true));
    write("without", answers(false));
    let import = |from: &str, out: &str, more: &[&str]| {
        let (from, out, tokenizer) = (bench.text(from), bench.text(out), bench.text("target"));
        let fixed = ["trace", "import", &from, "--out", &out, "--tokenizer", &tokenizer];
        SPEC.run(&[&fixed[..], more].concat())
    };
    for from in ["with", "without"] {
        let out = format!("{from}.jsonl");
        stdout(&import(from, &out, &["--logprobs", "before", "--temperature", "1"]));
        let read = Trace::read(Path::new(&bench.text(&out))).unwrap();
        for (own, read) in own.texts.iter().zip(&read.texts) {
            assert_eq!((&own.ids, &own.prompt_ids), (&read.ids, &read.prompt_ids), "{from}");
            assert!(own.logprobs == read.logprobs && own.bytes == read.bytes);
            assert_eq!(own.finish, read.finish);
        }
        assert_eq!(read.header.imported.unwrap().logprobs, "before");
    }
    // It is as good as one that was recorded.
    let draft = bench.text("draft");
    let replay = |trace: &str| {
        let out = bench.text(&format!("on-{trace}"));
        let flags = ["--draft", &draft, "--method", "tli,slem", "--out", &out];
        stdout(&bench.replay(&format!("{trace}.jsonl"), &flags));
        counts(Path::new(&out))
    };
    assert!(replay("own") == replay("with"));
    let refused = |more: &[&str]| import("with", "no.jsonl", more);
    let hot = ["--logprobs", "before", "--temperature", "0.7"];
    assert_one_line(&refused(&hot), &["only at temperature 1 without truncation", "after"]);
    let cut = ["--logprobs", "before", "--temperature", "1", "--top-p", "0.9"];
    assert_one_line(&refused(&cut), &["only at temperature 1 without truncation"]);
    let other = ["--logprobs", "after", "--temperature", "0.7"];
    assert_one_line(&refused(&other), &["line 1", "temperature 1.0, and the flags say 0.7"]);
    let told = refused(&["--temperature", "1"]);
    assert!(String::from_utf8_lossy(&told.stderr).contains("--logprobs"), "it must be told");
    let foreign = answer(&own.texts[0], true);
    let mut line = foreign.clone();
    line["response"]["choices"][0]["prompt_token_ids"] = json!([0]);
    write("with", vec![foreign, line]);
    let usual = ["--logprobs", "after", "--temperature", "1"];
    assert_one_line(&refused(&usual), &["line 2", "read the prompt as other ids"]);
    assert!(!Path::new(&bench.text("no.jsonl")).exists());
}

/// Measures a draft with a real target at hand and on its trace.
fn compare(draft: &str, target: &str, prompts: &str, (limit, max_new): (&str, &str)) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let run = |arguments: &[&str]| stdout(&SPEC.run(arguments));
    let report = |arguments: &[&str]| -> Report {
        serde_json::from_str(&run(&[arguments, &["--json"]].concat())).unwrap()
    };
    for (temperature, methods) in [("0", "slem"), ("1", "slem,tli")] {
        let (trace, live, replayed) = (
            path(&format!("{temperature}.jsonl.zst")),
            path(&format!("live{temperature}")),
            path(&format!("replayed{temperature}")),
        );
        let asked = [
            ["--target", target],
            ["--prompts", prompts],
            ["--limit", limit],
            ["--max-new", max_new],
            ["--temperature", temperature],
            ["--seed", "4"],
        ];
        run(&[&["trace", "record", "--out", &trace][..], &asked.concat()].concat());
        let drafting = ["--draft", draft, "--method", methods];
        let own = [&["bench", "--out", &live][..], &drafting, &asked.concat()].concat();
        let its = ["bench", "--out", &replayed, "--trace", &trace, "--seed", "4"];
        let (own, its) = (report(&own), report(&[&its[..], &drafting].concat()));
        let of_slem = |folder: &str| {
            let mut found = counts(Path::new(folder));
            found.retain(|(case, ..), _| case == "slem");
            found
        };
        assert!(of_slem(&live) == of_slem(&replayed), "slem at {temperature}");
        if temperature == "1" {
            let length = |report: &Report| {
                let case = report.cases.iter().find(|case| case.case == "tli").unwrap();
                case.overall.mean_acceptance_length
            };
            let (own, its) = (length(&own), length(&its));
            eprintln!("tli at 1, {draft}: live {own:?}, on the trace {its:?}");
            let holds = |own: Estimate, its: Estimate| {
                own.low.unwrap() < its.value.unwrap() && its.value.unwrap() < own.high.unwrap()
            };
            assert!(holds(own, its) && holds(its, own));
        }
    }
}

#[test]
fn a_draft_of_stories_is_measured_on_a_trace_as_with_its_target() {
    let (Some(draft), Some(target)) =
        (shared::path("weights/tinystories-656k"), shared::path("weights/babyllama-tok105"))
    else {
        return;
    };
    let prompts = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/stories.jsonl");
    let [draft, target, prompts] = [draft, target, prompts].map(|path| path.display().to_string());
    compare(&draft, &target, &prompts, ("40", "24"));
}

#[test]
fn a_draft_of_other_tokens_is_measured_on_a_trace_as_with_its_target() {
    let (Some(draft), Some(target), Some(prompts)) = (
        shared::path("weights/gsm-draft-stentor2"),
        shared::path("weights/gsm-target-llama3"),
        shared::path("eval/gsm8k/test.jsonl"),
    ) else {
        return;
    };
    let [draft, target, prompts] = [draft, target, prompts].map(|path| path.display().to_string());
    compare(&draft, &target, &prompts, ("8", "12"));
}
