//! What the name of a published model stands for, with a Hub that answers, one that does not, and
//! bundled models beside the program; and which target is taken where none is named.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use experiments::bench::record::{Record, Report};
use serde_json::Value;
use support::command::{Models, Spec, assert_one_line, stdout};
use support::hub_repository::{Access, GOOD_TOKEN, HubRepository};
use support::hub_server::HubServer;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));
const STENTOR2: &str = "StentorLabs/Stentor2-12M";
const LLAMA: &str = "meta-llama/Llama-3.2-1B";
const REPRODUCTION: &str = "bundled reproduction, not the published weights";
const DEAD: &str = "http://127.0.0.1:9";

/// A Hub, an empty cache, and bundled models: a draft for Stentor2, and a target.
struct Site {
    models: Models,
    server: HubServer,
    bundle: String,
    home: String,
    prompts: String,
}

impl Site {
    fn new(publish: impl FnOnce(&Models) -> Vec<HubRepository>) -> Self {
        let models = Models::new(SPEC);
        for (from, name) in [("monster", "stentor2"), ("target", "spec-24m")] {
            models.copy(from, &format!("bundle/{name}"));
        }
        let server = HubServer::start(publish(&models));
        let (bundle, home) = (models.path("bundle"), models.path("home"));
        let prompts = models.usual_prompts();
        Self { models, server, bundle, home, prompts }
    }

    fn empty() -> Self {
        Self::new(|_| Vec::new())
    }

    /// With a published draft and target of other vocabularies than the bundled ones.
    fn full(access: Access) -> Self {
        Self::new(|models| {
            let draft = HubRepository::of(STENTOR2, Path::new(&models.path("draft")));
            let target = HubRepository::of(LLAMA, Path::new(&models.path("same")));
            vec![draft, target.access(access)]
        })
    }

    fn run(&self, args: &[&str], more: &[(&str, &str)]) -> Output {
        let fixed = [
            ("HF_HOME", &*self.home),
            ("HF_ENDPOINT", &self.server.url),
            ("SPEC_BUNDLED", &self.bundle),
            ("NO_PROXY", "127.0.0.1"),
        ];
        SPEC.run_with(args, &[&fixed[..], more].concat(), "")
    }

    fn bench(&self, args: &[&str], more: &[(&str, &str)]) -> Output {
        let fixed = ["bench", "--draft", "stentor2", "--prompts", &self.prompts, "--max-new", "8"];
        self.run(&[&fixed[..], &["--threads", "1", "--limit", "2"], args].concat(), more)
    }

    fn report(&self, args: &[&str], more: &[(&str, &str)]) -> Report {
        let output = self.bench(&[args, &["--json"]].concat(), more);
        serde_json::from_str(&stdout(&output)).unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_output_of_a_run_says_that_the_draft_is_bundled_and_why() {
    let site = Site::empty();
    let out = site.models.path("run");
    let output = site.bench(&["--out", &out], &[("HF_ENDPOINT", DEAD)]);
    let (table, talk) = (stdout(&output), stderr(&output));
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [one_line(&table), one_line(&talk)] {
        assert!(text.contains(REPRODUCTION), "{text}");
        assert!(text.contains("the Hub does not answer"), "{text}");
    }
    assert!(talk.contains(&format!("report and records: {out}")), "{talk}");
    assert!(talk.contains("next: spec bench --draft stentor2 --target spec-24m"), "{talk}");
    let read = |name: &str| fs::read_to_string(Path::new(&out).join(name)).unwrap();
    assert!(read("report.md").contains(REPRODUCTION));
    let report: Report = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!(
        (&*report.header.drafts[0].source, &*report.header.target.source),
        ("bundled", "bundled")
    );
    assert!(report.header.drafts[0].note.as_ref().unwrap().starts_with(REPRODUCTION));
    assert_eq!(report.header.target.note, None, "it is published nowhere else");
    for line in read("records.jsonl").lines() {
        let record: Record = serde_json::from_str(line).unwrap();
        assert!(record.note.unwrap().contains(REPRODUCTION));
    }
}

#[test]
fn the_other_commands_say_it_too() {
    let site = Site::empty();
    let dead = [("HF_ENDPOINT", DEAD)];
    for args in [
        &["generate", "--model", "stentor2", "--prompt", "ab", "--max-new", "2", "--json"][..],
        &["explore", "--model", "stentor2", "--prompt", "ab", "--json"],
    ] {
        let output = site.run(args, &dead);
        let object: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert!(object["note"].as_str().unwrap().contains(REPRODUCTION), "{object}");
        assert!(stderr(&output).contains(REPRODUCTION));
    }
    let folder = Path::new(&site.bundle).join("stentor2").display().to_string();
    let out = site.models.path("exported");
    for model in ["stentor2", &folder] {
        let output =
            site.run(&["export", "--model", model, "--dtype", "bf16", "--out", &out], &dead);
        stdout(&output);
        assert!(stderr(&output).contains(REPRODUCTION));
        fs::remove_dir_all(&out).unwrap();
    }
    let list: Value = serde_json::from_str(&stdout(&site.run(&["models", "--json"], &[]))).unwrap();
    let source = |name: &str| {
        let models = list.as_array().unwrap();
        models.iter().find(|model| model["name"] == name).unwrap()["source"].clone()
    };
    assert_eq!(
        (source("stentor2"), source("spec-24m")),
        ("Hub or bundled".into(), "bundled".into())
    );
}

#[test]
fn a_hub_that_is_silent_is_not_waited_for() {
    let site = Site::empty();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let start = Instant::now();
    let report = site.report(&["--target", "spec-24m"], &[("HF_ENDPOINT", &address)]);
    assert!(start.elapsed() < Duration::from_secs(20), "it must not hang");
    assert!(report.header.drafts[0].note.as_ref().unwrap().contains("does not answer"));
    drop(silent);
}

#[test]
fn published_weights_come_first() {
    let site = Site::full(Access::Open);
    let first = site.report(&["--target", "spec-24m"], &[]);
    assert_eq!((&*first.header.drafts[0].source, &first.header.drafts[0].note), ("Hub", &None));
    let cached = site.report(&["--target", "spec-24m"], &[("HF_ENDPOINT", DEAD)]);
    assert_eq!((&*cached.header.drafts[0].source, &cached.header.drafts[0].note), ("cache", &None));
    assert_eq!(first.cases[1].overall.counts, cached.cases[1].overall.counts);
    let bundled = site.report(&["--target", "spec-24m", "--source", "bundled"], &[]);
    assert_eq!(bundled.header.drafts[0].source, "bundled");
    assert!(bundled.header.drafts[0].note.as_ref().unwrap().contains("--source bundled"));
    assert_ne!(first.header.drafts[0].vocabulary, bundled.header.drafts[0].vocabulary);
}

#[test]
fn a_source_that_lacks_a_model_is_explained() {
    let site = Site::empty();
    let bench = |source: &str, more: &[(&str, &str)]| {
        site.bench(&["--target", "spec-24m", "--source", source], more)
    };
    assert_one_line(&bench("cache", &[]), &[STENTOR2, "not in the cache", "spec pull"]);
    assert_one_line(&bench("hub", &[("HF_ENDPOINT", DEAD)]), &[STENTOR2, "cannot be reached"]);
    let offline = [("HF_HUB_OFFLINE", "1")];
    assert_one_line(&bench("hub", &offline), &["HF_HUB_OFFLINE"]);
    let report = site.report(&[], &offline);
    assert!(report.header.drafts[0].note.as_ref().unwrap().contains("HF_HUB_OFFLINE"));
    let er = ["generate", "--prompt", "a", "--source", "bundled", "--model", "er"];
    assert_one_line(&site.run(&er, &[]), &["er is not bundled", "spec-24m, stentor2"]);
    assert_one_line(&site.run(&["pull", "spec-24m"], &[]), &["spec-24m", "on no Hub"]);
    let nowhere = [("SPEC_BUNDLED", "nowhere"), ("HF_HUB_OFFLINE", "1")];
    let absent = site.run(&["generate", "--prompt", "a", "--model", "spec-24m"], &nowhere);
    assert_one_line(&absent, &["bundled models are not beside this program", "SPEC_BUNDLED"]);
    let revision = site.run(&["generate", "--prompt", "a", "--model", "stentor2@v1"], &offline);
    assert_one_line(&revision, &["HF_HUB_OFFLINE"]);
}

#[test]
fn without_a_target_the_registrys_is_taken_where_it_may_be() {
    let site = Site::full(Access::Gated);
    let target = |args: &[&str], more: &[(&str, &str)]| {
        let output = site.bench(&[args, &["--json"]].concat(), more);
        let report: Report = serde_json::from_str(&stdout(&output)).unwrap();
        (report.header.target.name, stderr(&output))
    };
    let is_bundled = |(name, talk): (String, String), reason: &str| {
        assert_eq!(name, "spec-24m");
        let line = talk.lines().find(|line| line.starts_with("no --target is named")).unwrap();
        assert!(line.contains(reason), "{line}");
    };
    is_bundled(target(&[], &[]), "no token is set");
    is_bundled(target(&[], &[("HF_HUB_OFFLINE", "1")]), "network may not be used");
    is_bundled(target(&["--source", "bundled"], &[]), "--source bundled");
    is_bundled(target(&[], &[("HF_TOKEN", "hf_other")]), "accept its licence");
    let token = [("HF_TOKEN", GOOD_TOKEN)];
    is_bundled(target(&["--max-download", "1kB"], &token), "are downloaded unasked; --target");
    assert_eq!(target(&[], &token).0, "llama-3.2-1b");
    let (name, talk) = target(&[], &[("HF_ENDPOINT", DEAD)]);
    assert_eq!(name, "llama-3.2-1b", "it is in the cache now");
    assert!(!talk.contains("no --target"), "{talk}");
}

#[test]
fn a_run_without_out_is_kept_in_runs() {
    let site = Site::empty();
    let output = site.bench(&[], &[("HF_HUB_OFFLINE", "1")]);
    stdout(&output);
    let talk = stderr(&output);
    let line = talk.lines().find_map(|line| line.strip_prefix("report and records: ")).unwrap();
    let folder = Path::new(SPEC.0).ancestors().nth(2).unwrap().join("tmp").join(line);
    assert!(line.starts_with("runs/") && folder.join("report.json").is_file(), "{line}");
    fs::remove_dir_all(folder).unwrap();
}
