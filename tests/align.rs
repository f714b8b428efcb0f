//! `spec align`: its figures are those of a recount, and its map says of every token what can be
//! computed from the two tokenizers alone.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::process::Output;

use align::tokenmonster::Capcode;
use align::{DecodeState, Entry, Tokenizer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use draft::{Model, Wanted};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::checkpoints::{tiny_config, write_formula};
use support::command::{Models, SINGLES, Spec, assert_one_line, stdout};
use support::shared::{self, compute};
use support::tokenizers::{add_special, write_tokenmonster};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

fn run(draft: &str, target: &str, flags: &[&str]) -> Output {
    let fixed = ["align", "--threads", "1", "--draft", draft, "--target", target];
    SPEC.run(&[&fixed[..], flags].concat())
}

fn report(draft: &str, target: &str, flags: &[&str]) -> Value {
    let output = run(draft, target, &[flags, &["--json"]].concat());
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn load(path: &str) -> Tokenizer {
    Tokenizer::load(Path::new(path)).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn near(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} {expected}");
}

/// The end of text that a model's configuration names.
fn end_of(path: &str) -> Value {
    let config = fs::read(Path::new(path).join("config.json")).unwrap();
    serde_json::from_slice::<Value>(&config).unwrap()["eos_token_id"].take()
}

/// Documents with tokens that the other side lacks, and a character that neither has.
fn documents() -> Vec<String> {
    ["ab cd, gh ab abcd.", "abcd abcd fe", "a", "bc bc d ab", "gh, ab ab cd z"]
        .map(str::to_owned)
        .into()
}

fn write_text(models: &Models, documents: &[String]) -> String {
    let path = models.folder.path().join("text.jsonl");
    let lines: Vec<String> =
        documents.iter().map(|text| json!({"text": text}).to_string()).collect();
    fs::write(&path, lines.join("\n")).unwrap();
    path.display().to_string()
}

/// A model whose vocabulary writes capitals with markers, called `capitals`.
fn make_capitals(models: &Models) -> String {
    let folder = models.copy("monster", "capitals");
    let mut tokens: Vec<&[u8]> = SINGLES.as_bytes().chunks(1).collect();
    tokens.extend([&b"C"[..], b"W", b"D", b" a", b"ab", b" ab", b"bC", b".W"]);
    write_tokenmonster(&folder, &tokens, Capcode::Full);
    write_formula(&folder, &tiny_config(tokens.len() + 2), 6);
    folder.display().to_string()
}

/// The bytes of a token that begins and ends in the clean state.
fn clean_bytes(tokenizer: &Tokenizer, id: u32) -> Option<Vec<u8>> {
    let (bytes, state) = tokenizer.vocabulary().bytes_after(DecodeState::default(), id)?;
    (state.is_clean() && !bytes.is_empty()).then_some(bytes)
}

/// The target ids whose bytes are those of a draft token, each the one that stands for its bytes.
fn shared_ids(draft: &Tokenizer, target: &Tokenizer) -> Vec<u32> {
    let ids = |tokenizer: &Tokenizer| 0..tokenizer.vocabulary().rows() as u32;
    let ours: Vec<Vec<u8>> = ids(draft).filter_map(|id| clean_bytes(draft, id)).collect();
    ids(target)
        .filter(|&id| {
            clean_bytes(target, id).is_some_and(|bytes| {
                ours.contains(&bytes) && target.vocabulary().find(&bytes) == Some(id)
            })
        })
        .collect()
}

#[test]
fn figures_are_those_of_a_recount() {
    let models = Models::new(SPEC);
    let capitals = make_capitals(&models);
    let (documents, target_path) = (documents(), models.path("target"));
    let text = write_text(&models, &documents);
    for draft_path in [models.path("draft"), models.path("monster"), capitals, models.path("same")]
    {
        let found = report(&draft_path, &target_path, &["--text", &text, "--limit", "0"]);
        let (draft, target) = (load(&draft_path), load(&target_path));
        let shared = shared_ids(&draft, &target);
        assert_eq!(number(&found["vocabulary"]["shared"]), shared.len() as u64, "{draft_path}");
        let ids = |tokenizer: &Tokenizer| -> Vec<Vec<u32>> {
            documents.iter().map(|own| tokenizer.encode(own.as_bytes()).unwrap().ids).collect()
        };
        let (ours, theirs) = (ids(&draft).concat(), ids(&target).concat());
        let covered = theirs.iter().filter(|id| shared.contains(id)).count();
        let coverage = &found["coverage"];
        assert_eq!(number(&coverage["target_tokens_shared"]), covered as u64, "{draft_path}");
        near(&coverage["share_of_target_tokens"], covered as f64 / theirs.len() as f64);
        assert_eq!(number(&coverage["draft_tokens"]), ours.len() as u64);
        if !draft.vocabulary().is_stateful() {
            let says = |id: &&u32| target.vocabulary().find(&draft.vocabulary().decode(&[**id]));
            let covered = ours.iter().filter(|id| says(id).is_some()).count();
            assert_eq!(number(&coverage["draft_tokens_shared"]), covered as u64);
        }
        let bytes: usize = documents.iter().map(String::len).sum();
        near(&found["draft"]["bytes_per_token"], bytes as f64 / ours.len() as f64);
        near(&found["target"]["bytes_per_token"], bytes as f64 / theirs.len() as f64);
        near(&found["draft_tokens_per_target_token"], ours.len() as f64 / theirs.len() as f64);
        let mut counts = BTreeMap::new();
        for id in theirs.iter().filter(|id| !shared.contains(id)) {
            *counts.entry(*id).or_insert(0u64) += 1;
        }
        let mut expected: Vec<(u64, u32)> = counts.into_iter().map(|(id, n)| (n, id)).collect();
        expected.sort_by_key(|&(count, id)| (std::cmp::Reverse(count), id));
        let listed = found["unreachable"].as_array().unwrap();
        assert_eq!(listed.len(), expected.len());
        for (token, (count, id)) in listed.iter().zip(expected) {
            assert_eq!((number(&token["count"]), number(&token["id"])), (count, u64::from(id)));
            let bytes = STANDARD.decode(token["bytes_b64"].as_str().unwrap()).unwrap();
            assert_eq!(bytes, target.vocabulary().decode(&[id]));
            if let Some(spelled) = token["draft_ids"].as_array() {
                let spelled: Vec<u32> = spelled.iter().map(|id| number(id) as u32).collect();
                assert_eq!(draft.vocabulary().decode(&spelled), bytes);
            }
        }
    }
}

#[test]
fn reading_back_shows_what_is_lost() {
    let models = Models::new(SPEC);
    let text = write_text(&models, &documents());
    let found = report(&models.path("monster"), &models.path("target"), &["--text", &text]);
    for side in ["draft", "target"] {
        let back = &found[side]["round_trip"];
        assert_eq!((number(&back["documents"]), number(&back["identical"])), (5, 4), "{side}");
        let first = &back["first_difference"];
        assert_eq!((number(&first["document"]), number(&first["byte"])), (4, 13));
        assert_eq!(number(&found[side]["dropped"]), 1);
    }
    let steps = found["draft"]["normalisation"].to_string();
    assert!(steps.contains("NFD") && steps.contains("delete markers"), "{steps}");
    assert_eq!(found["target"]["normalisation"], json!([]));
}

/// The mass of the target's law on the intersection and the end of text, at one place.
fn mass(model: &mut Model, before: &[u32], shared: &[u32]) -> f64 {
    model.network.truncate(0);
    let logits = model.network.extend(before, Wanted::Last).unwrap();
    let weights: Vec<f64> = logits.last().iter().map(|&logit| f64::from(logit).exp()).collect();
    let part: f64 = shared.iter().map(|&id| weights[id as usize]).sum();
    part / weights.iter().sum::<f64>()
}

#[test]
fn the_mass_on_the_intersection_is_that_of_the_models_logits() {
    let models = Models::new(SPEC);
    let (path, documents) = (models.path("target"), documents());
    let text = write_text(&models, &documents);
    let target = load(&path);
    let mut model = Model::load(Path::new(&path), compute()).unwrap();
    let end = target.eos().unwrap();
    for draft in ["draft", "monster"] {
        let shared = [shared_ids(&load(&models.path(draft)), &target), vec![end]].concat();
        for limit in [usize::MAX, 14] {
            let (mut sum, mut places, mut left) = (0.0, 0, limit);
            for document in &documents {
                let ids = target.encode(document.as_bytes()).unwrap().ids;
                let own = ids.len().min(left);
                let read = [&[end], &ids[..own]].concat();
                sum += (1..=own).map(|at| mass(&mut model, &read[..at], &shared)).sum::<f64>();
                (places, left) = (places + own, left - own);
            }
            let limit = limit.min(1 << 20).to_string();
            let flags = ["--text", &text, "--limit", &limit];
            let found = &report(&models.path(draft), &path, &flags)["mass"];
            assert_eq!(number(&found["places"]), places as u64);
            let value = found["value"].as_f64().unwrap();
            assert!((value - sum / places as f64).abs() < 1e-5, "{value} {sum} {places}");
            let has_interval = found["low"].is_number() && found["high"].is_number();
            // Fewer than five documents give none.
            assert_eq!(has_interval, limit != "14", "{found}");
        }
    }
}

#[test]
fn long_documents_are_read_in_pieces_that_the_context_holds() {
    let models = Models::new(SPEC);
    let text = write_text(&models, &["ab cd gh. ".repeat(60)]);
    let found = &report(&models.path("draft"), &models.path("target"), &["--text", &text])["mass"];
    assert!(number(&found["pieces"]) > 5 && found["over"] == "pieces", "{found}");
    assert!(found["low"].is_number());
}

#[test]
fn specials_are_mapped_and_further_ends_are_said() {
    let models = Models::new(SPEC);
    let target = models.copy("target", "chat");
    let turn = add_special(&target, "<turn>");
    let mut config = tiny_config(turn as usize + 1);
    config["eos_token_id"] = json!([turn - 1, turn]);
    write_formula(&target, &config, 9);
    let path = target.display().to_string();
    let found = report(&models.path("monster"), &path, &[]);
    let (ours, theirs) = (&found["specials"]["draft"], &found["specials"]["target"]);
    let draft_end = end_of(&models.path("monster"));
    assert_eq!((&ours[0]["id"], &ours[0]["mapped_to"]), (&draft_end, &json!(turn - 1)));
    assert_eq!((&theirs[0]["text"], &theirs[0]["mapped_to"]), (&json!("<eos>"), &draft_end));
    assert_eq!(theirs[1], json!({"role": "eot", "id": turn, "text": "<turn>", "mapped_to": null}));
    assert!(found["text"]["source"].as_str().unwrap().contains("own prompts"));
    assert_eq!(number(&found["text"]["documents"]), 36);
}

#[test]
fn tokenizers_are_enough() {
    let models = Models::new(SPEC);
    let folder = models.copy("target", "weightless");
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    let path = folder.display().to_string();
    let found = report(&models.path("draft"), &path, &[]);
    assert!(found["mass"].is_null());
    assert!(found["mass_missing"].as_str().unwrap().contains("holds no weights"));
    let table = stdout(&run(&models.path("draft"), &path, &[]));
    assert!(table.contains("not available: ") && table.contains("weightless"), "{table}");
    fs::remove_file(folder.join("config.json")).unwrap();
    for path in [path.clone(), folder.join("tokenizer.json").display().to_string()] {
        let found = report(&models.path("monster"), &path, &[]);
        assert!(found["mass_missing"].as_str().unwrap().contains("without a model"));
        assert!(number(&found["vocabulary"]["shared"]) > 0);
    }
}

/// What the file says of a vocabulary's bytes, by the description of `map.json`.
fn byte_table(tokenizer: &Tokenizer) -> String {
    let vocabulary = tokenizer.vocabulary();
    let level = match vocabulary.capcode() {
        Capcode::None => 0,
        Capcode::Delete => 1,
        Capcode::Full => 2,
    };
    let mut hash = Sha256::new();
    hash.update([level]);
    for id in 0..vocabulary.used_rows() as u32 {
        let (kind, bytes) = match vocabulary.entry(id) {
            Entry::Padding => (0, vec![]),
            Entry::Token(bytes) => (1, bytes.to_vec()),
            Entry::Byte(byte) => (2, vec![*byte]),
            Entry::Special(name) => (3, name.as_bytes().to_vec()),
        };
        hash.update([kind]);
        hash.update(u32::try_from(bytes.len()).unwrap().to_le_bytes());
        hash.update(&bytes);
    }
    hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Whether tokens one behind the other can say some bytes.
fn can_say(tokenizer: &Tokenizer, bytes: &[u8]) -> bool {
    let mut reached = vec![false; bytes.len() + 1];
    reached[0] = true;
    for start in 0..bytes.len() {
        for end in start + 1..=bytes.len() {
            reached[end] |=
                reached[start] && tokenizer.vocabulary().find(&bytes[start..end]).is_some();
        }
    }
    reached[bytes.len()]
}

/// Holds a map against the two tokenizers; gives how many tokens it spells.
fn check_map(map: &Value, draft: &Tokenizer, target: &Tokenizer) -> usize {
    assert_eq!((&map["format"], &map["version"]), (&json!("spec-map"), &json!(1)));
    assert_eq!(map["draft"]["byte_table_sha256"], byte_table(draft));
    assert_eq!(map["target"]["byte_table_sha256"], byte_table(target));
    let pairs: Vec<(u32, u32)> = serde_json::from_value(map["pairs"].clone()).unwrap();
    let mut of_target: HashMap<u32, u32> = HashMap::new();
    for &(ours, theirs) in &pairs {
        let bytes = clean_bytes(draft, ours).unwrap();
        assert_eq!(Some(&bytes), clean_bytes(target, theirs).as_ref());
        assert_eq!(of_target.insert(theirs, ours), None);
    }
    assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0));
    let spellings: Vec<Option<Vec<u32>>> =
        serde_json::from_value(map["spellings"].clone()).unwrap();
    assert_eq!(spellings.len() as u64, number(&map["target"]["rows"]));
    for (id, spelling) in spellings.iter().enumerate() {
        let bytes = clean_bytes(target, id as u32);
        match (spelling, bytes) {
            (Some(ids), Some(bytes)) => {
                assert_eq!(draft.vocabulary().decode(ids), bytes, "{id}");
                assert!(draft.vocabulary().state_after(ids).is_clean(), "{id}");
            }
            (None, Some(bytes)) => assert!(!can_say(draft, &bytes), "{id}: {bytes:?}"),
            (None, None) => {}
            (Some(_), None) => panic!("{id} adds no bytes of its own"),
        }
    }
    spellings.iter().flatten().count()
}

fn map_of(models: &Models, draft: &str, target: &str) -> Value {
    let out = tempfile::tempdir_in(models.folder.path()).unwrap();
    let path = out.path().join("new/map.json");
    stdout(&run(draft, target, &["--limit", "0", "--out", path.to_str().unwrap()]));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_map_says_what_the_tokenizers_say() {
    let models = Models::new(SPEC);
    let capitals = make_capitals(&models);
    let bytes = models.make_bytes();
    let paths = [models.path("draft"), models.path("monster"), capitals, bytes];
    for (draft, target) in [(0, 2), (1, 0), (2, 0), (2, 1), (0, 3), (3, 1)] {
        let map = map_of(&models, &paths[draft], &paths[target]);
        let (ours, theirs) = (load(&paths[draft]), load(&paths[target]));
        assert!(check_map(&map, &ours, &theirs) > 0);
        let pairs = map["pairs"].as_array().unwrap().len();
        assert_eq!(pairs, shared_ids(&ours, &theirs).len(), "{draft} {target}");
        let (our_end, their_end) = (end_of(&paths[draft]), end_of(&paths[target]));
        let special = json!({"role": "eos", "draft": our_end, "target": their_end});
        assert_eq!(map["specials"], json!([special]));
    }
}

#[test]
fn the_maps_of_real_vocabularies_say_what_the_tokenizers_say() {
    let pairs = [
        ("tokenizers/tokenmonster/english-8000-strict-nocapcode-v1.vocab", "tokenizers/llama3"),
        ("tokenizers/tokenmonster/english-8000-consistent-v1.vocab", "tokenizers/smollm2"),
        ("tokenizers/llama2", "tokenizers/tokenmonster/english-2048-strict-nocapcode-v1.vocab"),
    ];
    let models = Models::new(SPEC);
    for (draft, target) in pairs {
        let (Some(draft), Some(target)) = (shared::path(draft), shared::path(target)) else {
            return;
        };
        let (draft, target) = (draft.display().to_string(), target.display().to_string());
        let map = map_of(&models, &draft, &target);
        let spelled = check_map(&map, &load(&draft), &load(&target));
        assert!(spelled * 100 > map["spellings"].as_array().unwrap().len() * 90, "{spelled}");
    }
}

#[test]
fn the_table_fits_a_page() {
    let models = Models::new(SPEC);
    let text = write_text(&models, &documents());
    for draft in ["draft", "monster"] {
        let output = run(&models.path(draft), &models.path("target"), &["--text", &text]);
        let table = stdout(&output);
        assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
        for part in ["E[p(M)]", "target tokens in M", "comes back as", "target eos", "·ab"] {
            assert!(table.contains(part), "{part} is not in {table}");
        }
    }
}

#[test]
fn errors_are_one_line() {
    let models = Models::new(SPEC);
    let (draft, target) = (models.path("draft"), models.path("target"));
    let wrong: [(&[&str], &[&str]); 3] = [
        (&["--text", "nowhere.txt"], &["nowhere.txt does not exist"]),
        (&["--out", &target], &["exists already", "--out"]),
        (&["--threads", "0"], &["--threads is at least 1"]),
    ];
    for (flags, parts) in wrong {
        let fixed = ["align", "--draft", &draft, "--target", &target];
        assert_one_line(&SPEC.run(&[&fixed[..], flags].concat()), parts);
    }
    let empty = write_text(&models, &[String::new()]);
    assert_one_line(&run(&draft, &target, &["--text", &empty]), &["holds no text"]);
    let text = models.folder.path().join("latin.txt");
    fs::write(&text, b"caf\xE9").unwrap();
    let flags = ["--text", text.to_str().unwrap()];
    assert_one_line(&run(&draft, &target, &flags), &["latin.txt", "no UTF-8"]);
    assert_one_line(&run("stentro2", &target, &[]), &["did you mean `stentor2`?"]);
    let folder = models.copy("draft", "empty");
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    let path = folder.display().to_string();
    assert_one_line(&run(&path, &target, &[]), &["the draft", "holds no tokenizer"]);
    fs::write(folder.join("tokenizer.json"), "{").unwrap();
    assert_one_line(&run(&path, &target, &[]), &["tokenizer.json", "fetch the file again"]);
    let folder = models.copy("target", "damaged");
    fs::write(folder.join("model.safetensors"), "").unwrap();
    let path = folder.display().to_string();
    assert_one_line(&run(&draft, &path, &[]), &["the target", "model.safetensors"]);
}
