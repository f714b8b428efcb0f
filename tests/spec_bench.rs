//! Spec-Bench's questions: found or fetched, all turns run, its leaderboard's columns beside ours.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod written;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use experiments::bench::record::Record;
use experiments::prompts::{PromptFile, take_evenly};
use serde_json::{Value, json};
use support::checkpoints::{tiny_config, write_formula};
use support::command::{Models, Spec, assert_one_line, stdout};
use support::hub_repository::HubRepository;
use support::hub_server::HubServer;
use support::shared;
use support::tokenizers::write_bpe;
use written::{records, report};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));
const QUESTIONS: &str = "eval/spec-bench/question.jsonl";
const PARTS: [(&str, &str); 6] = [
    ("question.jsonl", ""),
    ("translation.jsonl", "translation"),
    ("summarization.jsonl", "summarization"),
    ("qa.jsonl", "qa"),
    ("math_reasoning.jsonl", "math_reasoning"),
    ("rag.jsonl", "rag"),
];

fn conversation(id: usize, category: &str, turns: &[&str]) -> Value {
    json!({"question_id": id, "category": category, "turns": turns})
}

/// Length of a text in a model's tokens.
fn tokens(models: &Models, name: &str, text: &str) -> usize {
    let line = json!({"text": text}).to_string();
    let args = ["tokenize", "--tokenizer", &models.path(name), "--jsonl"];
    let ids: Value = serde_json::from_str(&stdout(&SPEC.run_with(&args, &[], &line))).unwrap();
    ids["ids"].as_array().unwrap().len()
}

/// A model that has all bytes, for contexts so long.
fn write_bytes_model(models: &Models, name: &str, context: usize) -> String {
    let folder = models.folder.path().join(name);
    fs::create_dir_all(&folder).unwrap();
    let is_shown = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let hidden = (0..256_u32).filter(|byte| !is_shown(byte)).count() as u32;
    let letters = (0..256).filter(is_shown).chain(256..256 + hidden);
    let letters: String = letters.filter_map(char::from_u32).collect();
    write_bpe(&folder, &letters, &[("t", "h"), ("th", "e")]);
    let mut config = tiny_config(259);
    config["max_position_embeddings"] = context.into();
    write_formula(&folder, &config, 7);
    models.path(name)
}

/// Fails unless the second turns of a run read what plain decoding answered in the first ones, as `said`
/// writes it down for the target and the draft.
fn assert_second_turns(
    models: &Models,
    (target, draft): (&str, &str),
    records: &[Record],
    said: impl Fn(&str) -> [String; 2],
) {
    let plain = |own: &&Record| own.method == "plain" && own.turn == 0;
    let firsts: Vec<&Record> = records.iter().filter(plain).collect();
    assert_eq!(firsts.len(), 2);
    for first in firsts {
        let [for_target, for_draft] = said(&first.text);
        let of = |own: &&Record| own.prompt_index == first.prompt_index && own.turn == 1;
        let seconds: Vec<&Record> = records.iter().filter(of).collect();
        assert_eq!(seconds.len(), 3, "plain decoding and two cases");
        for second in seconds {
            assert_eq!(second.prompt_tokens, tokens(models, target, &for_target));
            assert_eq!(second.draft_prompt_tokens, tokens(models, draft, &for_draft));
            assert!(second.method == "plain" || second.greedy.unwrap().identical, "{second:?}");
        }
    }
}

#[test]
fn a_second_turn_goes_on_from_the_plain_answer() {
    let models = Models::new(SPEC);
    let turns = ["ab cd", "ef gh"];
    let prompts =
        models.prompts(&[conversation(1, "writing", &turns), conversation(2, "qa", &turns)]);
    for (name, template) in [
        (
            "target",
            "{% for m in messages %}{% if m.role == 'user' %}a {% else %}b {% endif %}{{ m.content }}.{% endfor %}",
        ),
        ("draft", "{% for m in messages %}{{ m.content }},{% endfor %}"),
    ] {
        let config = json!({"eos_token": "<eos>", "chat_template": template});
        let path = models.folder.path().join(name).join("tokenizer_config.json");
        fs::write(path, config.to_string()).unwrap();
    }
    let out = models.path("chat");
    let flags = ["--method", "slem,byte", "--out", &out, "--json"];
    let chat = report(&models.bench_on("draft", &prompts, &flags));
    assert_eq!(chat.header.prompts.later_turns_left_out, 0);
    assert_eq!(chat.cases[1].overall.generations, 4);
    assert_second_turns(&models, ("target", "draft"), &records(&out), |answer| {
        let [first, second] = turns;
        [format!("a {first}.b {answer}.a {second}."), format!("{first},{answer},{second},")]
    });
    let columns = chat.cases[2].spec_bench.as_ref().unwrap();
    assert_eq!(columns.tasks.len(), 2, "of the tasks that were run: {columns:?}");
    assert!(columns.tasks.contains_key("Multi-turn Conversation"));
    let length = chat.cases[2].overall.mean_acceptance_length.value.unwrap();
    assert!((columns.mean_accepted_tokens - length).abs() < 1e-12);

    write_bytes_model(&models, "bytes", 96);
    let (draft, out) = (write_bytes_model(&models, "other", 96), models.path("raw"));
    let fixed =
        ["bench", "--target", &models.path("bytes"), "--draft", &draft, "--prompts", &prompts];
    let raw = ["--template", "none", "--method", "slem,tli", "--max-new", "9", "--out", &out];
    stdout(&SPEC.run(&[&fixed[..], &raw].concat()));
    assert_second_turns(&models, ("bytes", "other"), &records(&out), |answer| {
        let said = [turns[0], answer, turns[1]].join("\n\n");
        [said.clone(), said]
    });
}

#[test]
fn the_targets_template_alone_and_what_is_too_long_for_it() {
    let models = Models::new(SPEC);
    let turns = ["ab cd", "ef gh"];
    let prompts =
        models.prompts(&[conversation(1, "stem", &turns), conversation(2, "rag", &turns)]);
    let (target, draft) =
        (write_bytes_model(&models, "bytes", 96), write_bytes_model(&models, "other", 96));
    let bench = |more: &[&str]| {
        let fixed = ["bench", "--target", &target, "--draft", &draft, "--prompts", &prompts];
        SPEC.run(&[&fixed[..], &["--method", "slem,tli", "--json"], more].concat())
    };
    let refused = bench(&["--template", "target"]);
    assert_one_line(&refused, &["has no chat template", "--template none"]);
    let template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>";
    let config = json!({"eos_token": "<eos>", "chat_template": template});
    fs::write(Path::new(&target).join("tokenizer_config.json"), config.to_string()).unwrap();
    let out = models.path("chat");
    let chat = report(&bench(&["--template", "target", "--max-new", "9", "--out", &out]));
    assert_eq!(chat.header.settings.template, "target");
    assert_second_turns(&models, ("bytes", "other"), &records(&out), |answer| {
        let [first, second] = turns;
        let rendered = format!("<user>{first}<assistant>{answer}<user>{second}<assistant>");
        [rendered, [first, answer, second, ""].join("\n\n")]
    });
    // Longer ones are cut as raw text for both sides, or left out.
    let long = ["--template", "target", "--max-new", "60"];
    let cut = report(&bench(&[&long[..], &["--long-prompts", "truncate-left"]].concat()));
    assert_eq!((cut.header.prompts.truncated, cut.header.prompts.later_turns_left_out), (2, 0));
    assert_eq!(cut.cases[1].overall.generations, 4);
    assert_eq!(cut.cases[1].overall.greedy_identical.unwrap().value, Some(1.0));
    assert_eq!(report(&bench(&long)).header.prompts.later_turns_left_out, 2);
}

#[test]
fn turns_that_do_not_fit_are_counted_and_said() {
    let models = Models::new(SPEC);
    // The small vocabularies have no line end, which stands between the messages of a raw conversation.
    let prompts = models.prompts(&[
        conversation(1, "writing", &["ab", "cd", "ef"]),
        conversation(2, "coding", &["gh"]),
    ]);
    let inexpressible = models.bench_on("draft", &prompts, &["--json"]);
    assert_eq!(report(&inexpressible).header.prompts.later_turns_left_out, 2);
    let (target, out) = (write_bytes_model(&models, "bytes", 64), models.path("run"));
    let fixed = ["bench", "--draft", "ngram", "--target", &target, "--prompts", &prompts];
    let flags = ["--max-new", "30", "--ignore-eos", "--out", &out];
    let table = stdout(&SPEC.run(&[&fixed[..], &flags].concat()));
    assert!(
        table.lines().any(|line| line.starts_with("later turns") && line.contains("2 left out")),
        "{table}"
    );
    for part in ["Spec-Bench", "transl."] {
        assert!(table.contains(part), "`{part}` is not in:\n{table}");
    }
    let page = fs::read_to_string(Path::new(&out).join("report.md")).unwrap();
    for part in [
        "## Spec-Bench",
        "| #Mean Accepted Tokens | Overall |",
        "over the tasks that were run",
        "- later turns: 2 left out",
    ] {
        assert!(page.contains(part), "`{part}` is not in:\n{page}");
    }
    // Gone on with, the same turns are left out.
    let again = SPEC.run(&[&fixed[..], &flags, &["--json"]].concat());
    assert_eq!(report(&again).header.prompts.later_turns_left_out, 2);
}

#[test]
fn all_questions_of_the_file_are_read() {
    let Some(path) = shared::path(QUESTIONS) else { return };
    let file = PromptFile::read(Some(&path)).unwrap();
    assert_eq!((file.source.as_str(), file.prompts.len()), ("Spec-Bench", 480));
    let mut categories: BTreeMap<String, usize> = BTreeMap::new();
    for prompt in &file.prompts {
        *categories.entry(prompt.category.clone()).or_default() += 1;
    }
    let sizes: Vec<usize> = categories.values().copied().collect();
    assert_eq!(sizes.iter().filter(|size| **size == 10).count(), 8, "{categories:?}");
    assert_eq!(sizes.iter().filter(|size| **size == 80).count(), 5, "{categories:?}");
    let two: Vec<_> = file.prompts.iter().filter(|prompt| !prompt.later.is_empty()).collect();
    assert_eq!(two.len(), 80);
    assert!(two.iter().all(|prompt| prompt.later.len() == 1 && categories[&prompt.category] == 10));
    assert!(file.prompts.iter().all(|prompt| prompt.is_chat));
    let some = take_evenly(file.prompts, 39, |prompt| prompt.category.clone());
    for category in categories.keys() {
        assert_eq!(some.iter().filter(|prompt| prompt.category == *category).count(), 3);
    }
}

#[test]
fn a_question_of_each_category_fills_the_columns() {
    let Some(path) = shared::path(QUESTIONS) else { return };
    let models = Models::new(SPEC);
    let (target, out) = (write_bytes_model(&models, "bytes", 4096), models.path("run"));
    let fixed = ["bench", "--draft", "ngram", "--target", &target, "--prompts", "spec-bench"];
    let flags = ["--limit", "13", "--max-new", "3", "--json", "--out", &out];
    // The folder of a clone of Spec-Bench is a place as good as the file.
    let place = models.folder.path().join("clone");
    let inner = place.join("data/spec_bench");
    fs::create_dir_all(&inner).unwrap();
    fs::copy(&path, inner.join("question.jsonl")).unwrap();
    let environment = [("SPEC_BENCH_QUESTIONS", place.to_str().unwrap())];
    let output = SPEC.run_with(&[&fixed[..], &flags].concat(), &environment, "");
    let found = report(&output);
    let prompts = &found.header.prompts;
    assert_eq!((prompts.source.as_str(), prompts.total, prompts.run), ("Spec-Bench", 480, 13));
    assert_eq!(found.cases[1].by_category.len(), 13);
    assert_eq!(found.cases[1].spec_bench.as_ref().unwrap().tasks.len(), 6);
    let records = records(&out);
    let second = records.iter().filter(|own| own.method == "plain" && own.turn == 1).count();
    assert_eq!(second + prompts.later_turns_left_out, 8);
    assert!(second >= 6, "{second}");
}

/// The questions as the dataset has them: a file for each task.
fn parts(path: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let text = fs::read_to_string(path).unwrap();
    let part = |(name, category): (&'static str, &str)| {
        let is_own = |line: &&str| {
            let row: Value = serde_json::from_str(line).unwrap();
            let own = row["category"].as_str().unwrap().to_owned();
            match category {
                "" => PARTS.iter().all(|(_, other)| *other != own),
                category => own == category,
            }
        };
        let lines: Vec<&str> = text.lines().filter(is_own).collect();
        (name, lines.join("\n").into_bytes())
    };
    PARTS.into_iter().map(part).collect()
}

/// A Hub with a dataset of some files, and where a run finds it.
struct Site {
    server: HubServer,
    models: Models,
    target: String,
    home: String,
}

impl Site {
    fn new(files: &[(&'static str, Vec<u8>)]) -> Self {
        let models = Models::new(SPEC);
        let empty = HubRepository::dataset("RedHatAI/speculator_benchmarks");
        let dataset = files.iter().fold(empty, |own, (name, bytes)| own.with(name, bytes));
        let target = write_bytes_model(&models, "bytes", 512);
        let home = models.path("home");
        Self { server: HubServer::start(vec![dataset]), models, target, home }
    }

    fn bench(&self, more: &[(&str, &str)]) -> Output {
        let args =
            ["bench", "--draft", "ngram", "--target", &self.target, "--prompts", "spec-bench"];
        let out = self.models.path("run");
        let flags = ["--limit", "1", "--max-new", "2", "--json", "--out", &out];
        let fixed = [
            ("HF_HOME", &*self.home),
            ("XDG_CACHE_HOME", &self.home),
            ("HF_ENDPOINT", &self.server.url),
            ("NO_PROXY", "127.0.0.1"),
        ];
        SPEC.run_with(&[&args[..], &flags].concat(), &[&fixed[..], more].concat(), "")
    }
}

/// Fails unless the command failed and its last line holds all of `parts`.
fn assert_last_line(output: &Output, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = stderr.lines().last().unwrap_or_default().to_owned() + "\n";
    assert_one_line(&Output { stderr: last.into_bytes(), ..output.clone() }, parts);
}

#[test]
fn the_questions_are_fetched_once_and_known_by_their_hash() {
    let Some(path) = shared::path(QUESTIONS) else { return };
    let site = Site::new(&parts(&path));
    let fetched = report(&site.bench(&[]));
    assert_eq!((fetched.header.prompts.total, fetched.header.prompts.run), (480, 1));
    let kept: PathBuf = Path::new(&site.home).join("spec/spec-bench/question.jsonl");
    assert!(fs::read(&kept).unwrap() == fs::read(&path).unwrap(), "the parts are the file");
    let requests = site.server.log().len();
    assert!(report(&site.bench(&[])).complete);
    assert_eq!(site.server.log().len(), requests, "what is kept is not asked for");
    // A copy that was spoilt is made anew, from the Hub's cache.
    fs::write(&kept, "spoilt").unwrap();
    assert!(report(&site.bench(&[("HF_HUB_OFFLINE", "1")])).complete);
    assert!(fs::read(&kept).unwrap() == fs::read(&path).unwrap());
}

#[test]
fn questions_that_are_others_or_nowhere_are_one_line() {
    let line = conversation(1, "qa", &["other"]).to_string().into_bytes();
    let files: Vec<_> = PARTS.iter().map(|(name, _)| (*name, line.clone())).collect();
    let site = Site::new(&files);
    let ways = ["--prompts FILE", "SPEC_BENCH_QUESTIONS"];
    let others = site.bench(&[]);
    assert_last_line(
        &others,
        &[&["is not Spec-Bench's file", "SPEC_BENCH_DATASET"], &ways[..]].concat(),
    );
    let lacking = Site::new(&files[..2]);
    assert_last_line(&lacking.bench(&[]), &["has no summarization.jsonl", ways[1]]);
    let offline = [("HF_HUB_OFFLINE", "1"), ("HF_HOME", "nowhere")];
    assert_last_line(&site.bench(&offline), &["HF_HUB_OFFLINE", ways[0], ways[1]]);
    let place = [("SPEC_BENCH_QUESTIONS", "nowhere")];
    assert_last_line(&site.bench(&place), &["SPEC_BENCH_QUESTIONS is nowhere"]);
    let elsewhere = [("SPEC_BENCH_DATASET", "somewhere")];
    assert_last_line(&site.bench(&elsewhere), &["hf://datasets/ORGANISATION/NAME"]);
    // Named, a file of other questions is taken, and said to be one.
    let mine = site.models.prompts(&[conversation(1, "qa", &["ab"])]);
    let named = site.bench(&[("SPEC_BENCH_QUESTIONS", &mine)]);
    assert_eq!(report(&named).header.prompts.total, 1);
    assert!(String::from_utf8_lossy(&named.stderr).contains("not the file that Spec-Bench had"));
}
