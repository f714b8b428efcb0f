//! `spec explore`: its object, its laws, and that they are the model's.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use draft::{Compute, LanguageModel, Model, Sampling, Session, Wanted};
use experiments::explore::spelling::Spelling;
use experiments::explore::{Request, explore as explore_with};
use serde::Deserialize;
use serde_json::Value;
use support::checkpoints::{tiny_config, write_formula};
use support::command::{Models, SINGLES, Spec, assert_one_line, stdout};
use support::shared;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "all fields are named, so that a renamed one is seen")]
struct Explored {
    model: String,
    device: String,
    dtype: String,
    seed: u64,
    sampling: Option<Sampling>,
    greedy: bool,
    prompt: Option<String>,
    prompt_ids: Vec<u32>,
    positions: Vec<Position>,
    generated_ids: Vec<u32>,
    finish: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    index: usize,
    id: u32,
    bytes_b64: String,
    text: String,
    generated: bool,
    rank: Option<usize>,
    logprob: Option<f64>,
    next: Vec<Candidate>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Candidate {
    id: u32,
    bytes_b64: String,
    text: String,
    logprob: f64,
}

fn run(model: &str, flags: &[&str]) -> Output {
    SPEC.run(&[&["explore", "--threads", "1", "--model", model], flags].concat())
}

fn explore(model: &str, flags: &[&str]) -> Explored {
    let text = stdout(&run(model, &[flags, &["--json"]].concat()));
    serde_json::from_str(&text).unwrap()
}

fn rows_of(model: &str, ids: &[u32]) -> (Box<dyn LanguageModel>, Vec<Vec<f32>>) {
    let mut network = Model::load(Path::new(model), Compute::CPU).unwrap().network;
    let logits = network.extend(ids, Wanted::All).unwrap();
    let rows = (0..ids.len()).map(|index| logits.row(index).to_vec()).collect();
    (network, rows)
}

fn log_sum(logits: &[f32]) -> f64 {
    logits.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln()
}

#[test]
fn whole_distributions_are_the_models_own() {
    let models = Models::new(SPEC);
    for name in ["target", "monster"] {
        let model = models.path(name);
        let explored = explore(&model, &["--prompt", "ab cd ab. gh", "--top", "0"]);
        let (_, rows) = rows_of(&model, &explored.prompt_ids);
        assert_eq!(explored.positions.len(), explored.prompt_ids.len());
        assert!(explored.sampling.is_none() && explored.finish.is_none());
        for (index, (position, row)) in explored.positions.iter().zip(&rows).enumerate() {
            assert_eq!((position.index, position.id), (index, explored.prompt_ids[index]));
            assert!(!position.generated);
            assert_eq!(position.next.len(), row.len(), "every id has mass");
            let sum: f64 = position.next.iter().map(|next| next.logprob.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
            for pair in position.next.windows(2) {
                let in_order = pair[0].logprob > pair[1].logprob
                    || (pair[0].logprob == pair[1].logprob && pair[0].id < pair[1].id);
                assert!(in_order, "{pair:?}");
            }
            let log_total = log_sum(row);
            for next in &position.next {
                let expected = f64::from(row[next.id as usize]) - log_total;
                assert!((next.logprob - expected).abs() < 1e-6);
            }
        }
        assert_eq!((explored.positions[0].rank, explored.positions[0].logprob), (None, None));
        for pair in explored.positions.windows(2) {
            let rank = pair[0].next.iter().position(|next| next.id == pair[1].id).unwrap();
            assert_eq!(pair[1].rank, Some(rank + 1));
            assert_eq!(pair[1].logprob, Some(pair[0].next[rank].logprob));
        }
    }
}

#[test]
fn top_shows_the_first_of_the_whole() {
    let models = Models::new(SPEC);
    let model = models.path("target");
    let whole = explore(&model, &["--prompt", "ab cd", "--top", "0"]);
    for (flags, count) in [(&["--top", "3"][..], 3), (&[][..], 10), (&["--top", "99"][..], 16)] {
        let some = explore(&model, &[&["--prompt", "ab cd"], flags].concat());
        for (some, whole) in some.positions.iter().zip(&whole.positions) {
            let ids = |next: &[Candidate]| next.iter().map(|next| next.id).collect::<Vec<_>>();
            assert_eq!(ids(&some.next), ids(&whole.next[..count]));
        }
    }
}

#[test]
fn shaped_laws_are_those_of_sampling() {
    let models = Models::new(SPEC);
    let model = models.path("target");
    let full =
        Sampling { top_k: Some(8), top_p: Some(0.8), repetition_penalty: 1.4, temperature: 0.7 };
    let cases: [(&[&str], Sampling); 5] = [
        (&["--temperature", "0.5"], Sampling::at(0.5)),
        (&["--top-k", "4"], Sampling { top_k: Some(4), ..Sampling::at(1.0) }),
        (
            &["--repetition-penalty", "1.5"],
            Sampling { repetition_penalty: 1.5, ..Sampling::at(1.0) },
        ),
        (
            &["--temperature", "0", "--top-p", "0.5"],
            Sampling { top_p: Some(0.5), ..Sampling::at(1.0) },
        ),
        (
            &[
                "--temperature",
                "0.7",
                "--top-k",
                "8",
                "--top-p",
                "0.8",
                "--repetition-penalty",
                "1.4",
            ],
            full,
        ),
    ];
    for (flags, sampling) in cases {
        let fixed = ["--prompt", "ab cd, ab gh", "--top", "0"];
        let explored = explore(&model, &[&fixed[..], flags].concat());
        assert_eq!(explored.sampling, Some(sampling));
        let ids = &explored.prompt_ids;
        let (_, rows) = rows_of(&model, ids);
        for (position, row) in explored.positions.iter().zip(&rows) {
            let law = sampling.law(row, &[&ids[..=position.index]]);
            let support = (0..row.len() as u32).filter(|&id| law.probability(id) > 0.0).count();
            assert_eq!(position.next.len(), support, "ids without mass are left out");
            let mut sum = 0.0;
            for next in &position.next {
                assert!((next.logprob.exp() - law.probability(next.id)).abs() < 1e-6, "{flags:?}");
                sum += next.logprob.exp();
            }
            assert!((sum - 1.0).abs() < 1e-9);
        }
    }
    let own = explore(&model, &["--prompt", "ab", "--temperature", "0"]);
    assert!(own.sampling.is_none() && own.greedy, "temperature 0 shows the model's own law");
}

fn generated(model: &str, flags: &[&str]) -> (Vec<u32>, String) {
    let command = ["generate", "--threads", "1", "--json", "--model", model];
    let line: Value =
        serde_json::from_str(&stdout(&SPEC.run(&[&command, flags].concat()))).unwrap();
    (
        serde_json::from_value(line["ids"].clone()).unwrap(),
        line["finish"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn what_it_appends_is_what_generate_says() {
    let models = Models::new(SPEC);
    let mut ended = 0;
    for name in ["target", "monster"] {
        let model = models.path(name);
        let cases: [&[&str]; 6] = [
            &[],
            &["--repetition-penalty", "1.3"],
            &["--temperature", "1", "--seed", "0"],
            &["--temperature", "1", "--seed", "1"],
            &["--temperature", "5", "--seed", "3"],
            &["--temperature", "0.9", "--top-p", "0.9", "--seed", "2"],
        ];
        for flags in cases {
            let shared = [&["--prompt", "ab cd"], flags].concat();
            let explored = explore(&model, &[&shared[..], &["--generate", "30"]].concat());
            let (ids, finish) = generated(&model, &[&shared[..], &["--max-new", "30"]].concat());
            assert_eq!(explored.generated_ids, ids, "{name} {flags:?}");
            assert_eq!(explored.finish.as_deref(), Some(&*finish));
            ended += usize::from(finish == "eos");
            let all = [&explored.prompt_ids[..], &ids].concat();
            let shown: Vec<u32> = explored.positions.iter().map(|position| position.id).collect();
            assert_eq!(shown, all);
            for position in &explored.positions {
                assert_eq!(position.generated, position.index >= explored.prompt_ids.len());
                assert!(!position.next.is_empty());
                if position.generated && explored.greedy {
                    assert_eq!(position.rank, Some(1), "{name} {flags:?}");
                }
            }
        }
    }
    assert!(ended > 0, "no case came to an end of text");
}

#[test]
fn a_full_context_ends_it() {
    let models = Models::new(SPEC);
    let ids = vec!["1"; 60].join(",");
    let fixed = ["--ids", &ids, "--generate", "20", "--top", "2"];
    let explored = explore(&models.path("same"), &fixed);
    assert_eq!(explored.finish.as_deref(), Some("context"));
    assert_eq!(explored.positions.len(), 65);
    assert!(explored.positions[64].next.is_empty(), "there is no position to read it at");
    assert!(!explored.positions[63].next.is_empty());
}

#[test]
fn ids_are_used_as_given_and_need_no_tokenizer() {
    let models = Models::new(SPEC);
    let with = explore(&models.path("target"), &["--ids", "3, 1,4,15"]);
    assert_eq!(with.prompt_ids, [3, 1, 4, 15]);
    assert_eq!(with.positions[3].text, "<eos>");
    let folder = models.copy("target", "bare");
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    fs::remove_file(folder.join("tokenizer_config.json")).unwrap();
    let model = folder.display().to_string();
    let without = explore(&model, &["--ids", "3,1,4,15"]);
    for (with, without) in with.positions.iter().zip(&without.positions) {
        assert_eq!((with.id, with.rank, with.logprob), (without.id, without.rank, without.logprob));
        assert!(without.text.is_empty() && without.bytes_b64.is_empty());
        for (with, without) in with.next.iter().zip(&without.next) {
            assert_eq!((with.id, with.logprob), (without.id, without.logprob));
            assert!(without.text.is_empty() && without.bytes_b64.is_empty());
        }
    }
    assert_one_line(&run(&model, &["--prompt", "ab"]), &["bare", "no tokenizer"]);
}

#[test]
fn bytes_are_those_that_an_id_adds_to_the_text_so_far() {
    let models = Models::new(SPEC);
    models.make_bytes();
    for (name, prompt) in [("bytes", "aáb"), ("monster", "ab ab. a b")] {
        let model = models.path(name);
        let tokenizer = align::Tokenizer::load(Path::new(&model)).unwrap();
        let flags = ["--generate", "30", "--temperature", "2", "--seed", "1", "--top", "0"];
        let explored = explore(&model, &[&["--prompt", prompt], &flags[..]].concat());
        let (mut ids, mut bytes, mut broken) = (Vec::new(), Vec::new(), 0);
        for position in &explored.positions {
            let own = STANDARD.decode(&position.bytes_b64).unwrap();
            ids.push(position.id);
            bytes.extend(own);
            assert_eq!(bytes, tokenizer.decode(&ids), "{name}");
            for next in &position.next {
                let added = STANDARD.decode(&next.bytes_b64).unwrap();
                let longer = tokenizer.decode(&[&ids[..], &[next.id]].concat());
                assert_eq!([&bytes[..], &added].concat(), longer, "{name}");
                let is_special = tokenizer.vocabulary().is_special(next.id);
                assert!(is_special || next.text == String::from_utf8_lossy(&added));
                broken += usize::from(std::str::from_utf8(&added).is_err());
            }
        }
        assert!(bytes.starts_with(prompt.as_bytes()));
        assert_eq!(broken > 0, name == "bytes");
    }
}

#[test]
fn long_texts_are_read_block_by_block() {
    let models = Models::new(SPEC);
    let folder = models.copy("target", "long");
    let mut config = tiny_config(SINGLES.len() + 5);
    config["max_position_embeddings"] = 300.into();
    write_formula(&folder, &config, 9);
    let model = folder.display().to_string();
    let ids: Vec<u32> = (0..200).map(|index| (index * 7 % 15) as u32).collect();
    let list = ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let explored = explore(&model, &["--ids", &list, "--top", "0"]);
    assert_eq!(explored.positions.len(), 200);
    let (_, rows) = rows_of(&model, &ids);
    for (position, row) in explored.positions.iter().zip(&rows) {
        let log_total = log_sum(row);
        for next in &position.next {
            let expected = f64::from(row[next.id as usize]) - log_total;
            assert!((next.logprob - expected).abs() < 1e-5, "position {}", position.index);
        }
    }
}

#[test]
fn the_table_fits_a_page_and_shows_spaces() {
    let models = Models::new(SPEC);
    let flags = ["--prompt", "ab cd", "--generate", "4"];
    let table = stdout(&run(&models.path("target"), &flags));
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    assert!(table.contains('·') && table.contains('%'), "{table}");
    let explored = explore(&models.path("target"), &flags);
    let rows = table.lines().skip(1).filter(|line| !line.starts_with("       ")).count();
    assert_eq!(rows, explored.positions.len());
}

#[test]
fn errors_are_one_line() {
    let models = Models::new(SPEC);
    let model = models.path("target");
    let many = vec!["1"; 65].join(",");
    let wrong: [(&[&str], &[&str]); 11] = [
        (&[], &["--prompt", "--ids"]),
        (&["--prompt", "ab", "--ids", "1"], &["--prompt and --ids"]),
        (&["--ids", ""], &["--ids holds no id"]),
        (&["--ids", " "], &["--ids holds no id"]),
        (&["--ids", "1,x"], &["`x`", "--ids"]),
        (&["--ids=-1"], &["`-1`", "--ids"]),
        (&["--ids", "1,,2"], &["--ids"]),
        (&["--ids", "1,16"], &["16", "16 rows"]),
        (&["--ids", &many], &["65 ids", "context is 64"]),
        (&["--prompt", ""], &["prompt is empty"]),
        (&["--prompt", "ab", "--top-k", "0"], &["--top-k"]),
    ];
    for (flags, parts) in wrong {
        assert_one_line(&run(&model, flags), parts);
        assert_one_line(&run(&model, &[flags, &["--json"]].concat()), parts);
    }
    let threads = ["explore", "--model", &model, "--ids", "1", "--threads", "0"];
    assert_one_line(&SPEC.run(&threads), &["--threads is at least 1"]);
    assert_one_line(&run("stentro2", &["--ids", "1"]), &["did you mean `stentor2`?"]);
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let models = Models::new(SPEC);
    let folder = models.copy("target", "spoiled");
    let path = folder.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
    bytes[header..].fill(0xFF);
    fs::write(&path, bytes).unwrap();
    let model = folder.display().to_string();
    for more in [&["--json"][..], &[], &["--generate", "2"]] {
        let output = run(&model, &[&["--ids", "1,2"], more].concat());
        assert_one_line(&output, &["position 0", "not finite"]);
    }
}

#[derive(Deserialize)]
struct LogitsCase {
    model: String,
    ids: Vec<u32>,
    #[serde(rename = "positions")]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "position")]
    place: usize,
    vocab_ids: Vec<u32>,
    logits: Vec<f64>,
    logsumexp: f64,
}

fn logits_cases() -> Vec<LogitsCase> {
    serde_json::from_value(shared::fixture("logits.json")["cases"].take()).unwrap()
}

#[test]
fn logprobs_equal_transformers() {
    let cases = logits_cases();
    let (mut worst, mut compared) = (0.0f64, 0);
    let mut models = std::collections::BTreeSet::new();
    for case in cases {
        let Some(folder) = shared::path(&format!("weights/{}", case.model)) else { return };
        let model = Model::load(&folder, shared::compute()).unwrap();
        let mut session = Session::new(model.network);
        let request = Request {
            ids: case.ids,
            top: 0,
            shape: None,
            choice: Sampling::GREEDY,
            generate: 0,
            eos: Vec::new(),
            seed: 0,
        };
        explore_with(&mut session, Spelling::new(None), &request, &mut |position| {
            let Some(row) = case.rows.iter().find(|row| row.place == position.index) else {
                return Ok(());
            };
            let mut logprobs = vec![f64::NAN; position.next.len()];
            for next in &position.next {
                logprobs[next.id as usize] = next.logprob;
            }
            for (&id, logit) in row.vocab_ids.iter().zip(&row.logits) {
                let difference = (logprobs[id as usize] - (logit - row.logsumexp)).abs();
                assert!(difference < 1e-4, "{} position {}", case.model, row.place);
                worst = worst.max(difference);
                compared += 1;
            }
            Ok(())
        })
        .unwrap();
        models.insert(case.model);
    }
    assert!(models.len() == 5 && compared > 4_000, "{models:?}, {compared}, worst {worst:e}");
}

#[test]
fn the_command_says_what_transformers_does_of_a_large_vocabulary() {
    let name = "gsm-target-llama3";
    let Some(folder) = shared::path(&format!("weights/{name}")) else { return };
    let cases = logits_cases();
    let case = cases.into_iter().find(|case| case.model == name).unwrap();
    let list = case.ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let explored = explore(&folder.display().to_string(), &["--ids", &list, "--top", "4"]);
    for row in case.rows {
        let next = &explored.positions[row.place].next;
        // The largest are all among them, but not in order.
        let mut expected: Vec<(u32, f64)> = row.vocab_ids.into_iter().zip(row.logits).collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (next, (id, logit)) in next.iter().zip(expected) {
            assert_eq!(next.id, id, "position {}", row.place);
            assert!((next.logprob - (logit - row.logsumexp)).abs() < 1e-4);
        }
    }
}
