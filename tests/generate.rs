//! `spec generate`: its text, its settings, and that it generates what plain decoding does.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Output;

use align::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use draft::{Compute, Randomness, Sampling};
use experiments::source::{Prefer, Sources};
use serde::Deserialize;
use serde_json::{Value, json};
use support::checkpoints::{tiny_config, write_formula};
use support::command::{Models, SINGLES, Spec, assert_one_line, stdout};
use support::tokenizers::add_special;
use target::propose::Nothing;
use target::{Limits, Prompt, TokenVerifier, speculate};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "all fields are named, so that a renamed one is seen")]
struct Line {
    model: String,
    prompt: String,
    prompt_ids: Vec<u32>,
    sample: usize,
    ids: Vec<u32>,
    text: String,
    bytes_b64: String,
    finish: String,
    tokens: usize,
    seconds: f64,
    prefill_seconds: f64,
    sampling: Settings,
    ignore_eos: bool,
    seed: u64,
    device: String,
    dtype: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    temperature: Setting<f64>,
    top_k: Setting<Option<usize>>,
    top_p: Setting<Option<f64>>,
    repetition_penalty: Setting<f64>,
    max_new: Setting<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting<T> {
    value: T,
    source: String,
}

fn generate(model: &str, flags: &[&str]) -> Output {
    SPEC.run(&[&["generate", "--threads", "1", "--model", model], flags].concat())
}

fn lines(output: &Output) -> Vec<Line> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn line(model: &str, flags: &[&str]) -> Line {
    let mut lines = lines(&generate(model, &[flags, &["--json"]].concat()));
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

fn bytes(line: &Line) -> Vec<u8> {
    STANDARD.decode(&line.bytes_b64).unwrap()
}

/// What the bench's plain decoding emits for a prompt of index 0.
fn plain(model: &str, text: &str, sampling: Sampling, seed: u64) -> Vec<u32> {
    let mut side = Sources::from_env(Prefer::Auto).open("model", model, Compute::CPU).unwrap().side;
    let context = Context::of_text(&side.tokenizer, text.as_bytes()).unwrap();
    let prompt = Prompt { target: context.clone(), draft: context };
    let limits = Limits { gamma: 5, max_new: 40, ignore_eos: false, sampling };
    let randomness = Randomness { seed, prompt: 0 };
    speculate(&mut side, &mut Nothing, &TokenVerifier, &prompt, &limits, randomness).unwrap().ids
}

#[test]
fn it_generates_what_plain_decoding_does() {
    let models = Models::new(SPEC);
    let penalised =
        Sampling { repetition_penalty: 1.3, top_p: Some(0.9), top_k: Some(9), ..Sampling::at(0.8) };
    for name in ["target", "draft", "monster"] {
        let model = models.path(name);
        for sampling in [Sampling::GREEDY, Sampling::at(1.0), penalised] {
            for seed in [0, 7] {
                let mut flags = vec!["--prompt", "ab cd", "--max-new", "40"];
                let (temperature, seed_text) = (sampling.temperature.to_string(), seed.to_string());
                flags.extend(["--temperature", &temperature, "--seed", &seed_text]);
                if sampling == penalised {
                    flags.extend(["--repetition-penalty", "1.3", "--top-p", "0.9", "--top-k", "9"]);
                }
                let line = line(&model, &flags);
                let expected = plain(&model, "ab cd", sampling, seed);
                assert_eq!(line.ids, expected, "{name} {sampling:?} seed {seed}");
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_text_and_samples_differ() {
    let models = Models::new(SPEC);
    let model = models.path("target");
    let flags = ["--prompt", "ab", "--temperature", "1", "--max-new", "30", "--ignore-eos"];
    let ids = |more: &[&str]| -> Vec<Vec<u32>> {
        let output = generate(&model, &[&flags[..], &["--json"], more].concat());
        let lines = lines(&output);
        assert!(lines.iter().enumerate().all(|(index, line)| line.sample == index));
        lines.into_iter().map(|line| line.ids).collect()
    };
    let three = ids(&["--seed", "3", "--samples", "3"]);
    assert_eq!(three, ids(&["--seed", "3", "--samples", "3"]));
    assert_eq!(three[..1], ids(&["--seed", "3"]));
    assert!(three[0] != three[1] && three[1] != three[2] && three[0] != three[2]);
    assert_ne!(three[..1], ids(&["--seed", "4"]));
}

#[test]
fn an_end_of_text_ends_it_unless_it_is_ignored() {
    let models = Models::new(SPEC);
    let model = models.path("target");
    let eos = (SINGLES.len() + 4) as u32;
    let mut ended = 0;
    for seed in 0..8 {
        let seed = seed.to_string();
        let flags = ["--prompt", "ab", "--temperature", "1", "--max-new", "40", "--seed", &seed];
        let stops = line(&model, &flags);
        let goes_on = line(&model, &[&flags[..], &["--ignore-eos"]].concat());
        assert_eq!(stops.tokens, stops.ids.len());
        assert_eq!(goes_on.ids[..stops.tokens], stops.ids);
        assert_eq!((goes_on.tokens, goes_on.finish.as_str()), (40, "max-new"));
        let before = &stops.ids[..stops.tokens - 1];
        assert!(!before.contains(&eos));
        if stops.finish == "eos" {
            ended += 1;
            assert_eq!(stops.ids.last(), Some(&eos));
            assert!(goes_on.tokens > stops.tokens);
        } else {
            assert_eq!(stops.tokens, 40);
        }
    }
    assert!(ended > 0, "no seed came to an end of text, so the test shows nothing");
}

#[test]
fn bytes_that_are_no_text_come_out_whole() {
    let models = Models::new(SPEC);
    for model in [models.make_bytes(), models.path("monster")] {
        let flags = ["--prompt", "ab", "--temperature", "1.5", "--ignore-eos", "--max-new", "50"];
        let line = line(&model, &flags);
        let found = bytes(&line);
        let tokenizer = align::Tokenizer::load(Path::new(&model)).unwrap();
        let whole = tokenizer.decode(&[&line.prompt_ids[..], &line.ids].concat());
        assert_eq!([b"ab", &found[..]].concat(), whole);
        assert_eq!(line.text, String::from_utf8_lossy(&found));
        assert_eq!(line.text.contains('\u{fffd}'), model.ends_with("bytes"));
        let printed = stdout(&generate(&model, &flags));
        assert_eq!(printed.trim_end_matches('\n'), line.text.trim_end_matches('\n'));
    }
}

#[test]
fn a_full_context_ends_it_and_is_said() {
    let models = Models::new(SPEC);
    let flags = ["--prompt", "ab cd", "--max-new", "100", "--ignore-eos", "--json"];
    let output = generate(&models.path("target"), &flags);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("context of 64 ids is full"), "{stderr}");
    let line = &lines(&output)[0];
    assert_eq!(line.finish, "context");
    assert_eq!(line.prompt_ids.len() + line.ids.len(), 65, "the last id is not read");
}

#[test]
fn settings_come_from_the_flags_then_the_folder() {
    let models = Models::new(SPEC);
    let folder = models.copy("target", "settled");
    let config = json!({"do_sample": true, "temperature": 0.6, "top_p": 0.9, "top_k": 7,
        "repetition_penalty": 1.1, "max_new_tokens": 5, "eos_token_id": SINGLES.len() + 4});
    fs::write(folder.join("generation_config.json"), config.to_string()).unwrap();
    let model = folder.display().to_string();
    let flags = ["--prompt", "ab", "--temperature", "0.3", "--ignore-eos"];
    let settings = line(&model, &flags);
    assert_eq!(settings.tokens, 5);
    let settings = settings.sampling;
    let file = "generation_config.json";
    assert_eq!((settings.temperature.value, &*settings.temperature.source), (0.3, "flag"));
    assert_eq!((settings.top_p.value, &*settings.top_p.source), (Some(0.9), file));
    assert_eq!((settings.top_k.value, &*settings.top_k.source), (Some(7), file));
    let penalty = settings.repetition_penalty;
    assert_eq!((penalty.value, &*penalty.source), (1.1, file));
    assert_eq!((settings.max_new.value, &*settings.max_new.source), (5, file));
    let stderr = String::from_utf8(generate(&model, &flags).stderr).unwrap();
    assert_eq!(
        stderr,
        "settings: temperature 0.3 (flag); top-k 7, top-p 0.9, repetition penalty 1.1, at most 5 \
         new tokens (generation_config.json)\n"
    );

    let settings = line(&models.path("target"), &["--prompt", "ab"]).sampling;
    assert_eq!((settings.temperature.value, &*settings.temperature.source), (0.0, "default"));
    assert_eq!((settings.max_new.value, &*settings.max_new.source), (100, "default"));
}

/// A Hub cache that holds a small model under a published model's id.
fn cache(models: &Models, hub_id: &str, from: &str) -> (String, std::path::PathBuf) {
    let cache = models.folder.path().join("cache");
    let repo = cache.join(format!("models--{}", hub_id.replace('/', "--")));
    let snapshot = repo.join("snapshots/0123");
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), "0123").unwrap();
    for entry in fs::read_dir(models.folder.path().join(from)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), snapshot.join(entry.file_name())).unwrap();
    }
    (cache.display().to_string(), snapshot)
}

#[test]
fn a_published_model_is_run_as_its_card_says() {
    let models = Models::new(SPEC);
    let (cache, _) = cache(&models, "StentorLabs/Stentor2-12M", "monster");
    for name in ["stentor2", "StentorLabs/Stentor2-12M"] {
        let output = SPEC.run_with(
            &["generate", "--model", name, "--prompt", "ab", "--json", "--max-new", "3"],
            &[("HF_HUB_CACHE", &cache), ("HF_HUB_OFFLINE", "1")],
            "",
        );
        let settings = &lines(&output)[0].sampling;
        let card = "card of stentor2";
        assert_eq!((settings.temperature.value, &*settings.temperature.source), (0.8, card));
        assert_eq!((settings.top_p.value, &*settings.top_p.source), (Some(0.7), card));
        assert_eq!(settings.repetition_penalty.value, 1.2);
        assert_eq!((settings.max_new.value, &*settings.max_new.source), (3, "flag"));
    }
}

#[test]
fn a_published_model_begins_with_its_special() {
    let models = Models::new(SPEC);
    let folder = models.copy("target", "begun");
    let bos = add_special(&folder, "<|bos|>");
    write_formula(&folder, &tiny_config(bos as usize + 1), 6);
    let (cache, snapshot) = cache(&models, "fromziro/Er-13M", "begun");
    let environment = [("HF_HUB_CACHE", &*cache), ("HF_HUB_OFFLINE", "1")];
    let run = |command: &[&str]| {
        SPEC.run_with(
            &[command, &["--model", "er", "--prompt", "ab cd"]].concat(),
            &environment,
            "",
        )
    };
    let ids = lines(&run(&["generate", "--json", "--max-new", "3"])).remove(0).prompt_ids;
    assert_eq!(ids[0], bos);
    assert!(ids.len() > 1 && !ids[1..].contains(&bos));
    let explored: Value =
        serde_json::from_str(&stdout(&run(&["explore", "--json", "--top", "1"]))).unwrap();
    assert_eq!(explored["prompt_ids"], json!(ids));
    assert_eq!(explored["positions"][0]["text"], "<|bos|>");
    fs::copy(models.folder.path().join("target/tokenizer.json"), snapshot.join("tokenizer.json"))
        .unwrap();
    assert_one_line(&run(&["generate"]), &["`<|bos|>`", "no such token"]);
}

#[test]
fn errors_are_one_line() {
    let models = Models::new(SPEC);
    let model = models.path("target");
    let long = "ab gh ".repeat(60);
    let wrong: [(&[&str], &[&str]); 10] = [
        (&["--prompt", &long], &["ids", "context is 64", "shorten"]),
        (&["--prompt", ""], &["prompt is empty"]),
        (&["--prompt", "ab", "--samples", "2"], &["greedy", "--temperature"]),
        (&["--prompt", "ab", "--samples", "0"], &["--samples is at least 1"]),
        (&["--prompt", "ab", "--max-new", "0"], &["--max-new is at least 1"]),
        (&["--prompt", "ab", "--temperature=-1"], &["temperature"]),
        (&["--prompt", "ab", "--top-p", "0"], &["--top-p"]),
        (&["--prompt", "ab", "--top-k", "0"], &["--top-k"]),
        (&["--prompt", "ab", "--repetition-penalty", "0"], &["--repetition-penalty"]),
        (&["--prompt", "ab", "--device", "tpu"], &["tpu", "cuda"]),
    ];
    for (flags, parts) in wrong {
        assert_one_line(&generate(&model, flags), parts);
    }
    let folder = models.copy("target", "unsettled");
    fs::write(folder.join("generation_config.json"), "{\"repetition_penalty\": -2}").unwrap();
    let output = generate(&folder.display().to_string(), &["--prompt", "ab"]);
    assert_one_line(&output, &["generation_config.json", "repetition_penalty", "remove it"]);
}

#[test]
fn characters_that_the_tokenizer_lacks_are_said() {
    let models = Models::new(SPEC);
    let output = generate(&models.path("target"), &["--prompt", "ab Z", "--max-new", "2"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("lacks characters"));
    stdout(&output);
}
