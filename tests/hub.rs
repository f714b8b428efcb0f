//! Models from the Hub, end to end: the binary against a Hub on the loopback that answers as
//! huggingface.co does, and whose connections and bytes fail on request.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use support::command::{Models, Spec, assert_one_line, stdout};
use support::hub_repository::{Access, GOOD_TOKEN, HubFile, HubRepository, commit};
use support::hub_server::{Fault, HubServer};
use support::shards::split_weights;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));
const ID: &str = "org/small";
const WEIGHTS: &str = "model.safetensors";

/// A Hub, an empty cache, and the models that are published.
struct Site {
    server: HubServer,
    models: Models,
    home: String,
}

impl Site {
    fn new(publish: impl FnOnce(&Models) -> Vec<HubRepository>) -> Self {
        let models = Models::new(SPEC);
        let home = models.path("home");
        Self { server: HubServer::start(publish(&models)), models, home }
    }

    /// With one repository that holds a small model.
    fn small() -> Self {
        Self::new(|models| vec![HubRepository::of(ID, Path::new(&models.path("same")))])
    }

    fn run(&self, args: &[&str], more: &[(&str, &str)]) -> Output {
        SPEC.run_with(args, &self.environment(more), "")
    }

    fn environment<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let fixed = [
            ("HF_HOME", &*self.home),
            ("HF_ENDPOINT", &self.server.url),
            ("NO_PROXY", "127.0.0.1"),
        ];
        [&fixed[..], more].concat()
    }

    fn pull(&self) -> Output {
        self.run(&["pull", ID], &[])
    }

    fn json(&self, args: &[&str], more: &[(&str, &str)]) -> Value {
        serde_json::from_str(&stdout(&self.run(args, more))).unwrap()
    }

    fn repository(&self) -> PathBuf {
        Path::new(&self.home).join("hub/models--org--small")
    }

    fn original(&self) -> Vec<u8> {
        fs::read(Path::new(&self.models.path("same")).join(WEIGHTS)).unwrap()
    }

    /// The place of the weights' content, and of what is there of it before it is whole.
    fn blob(&self) -> (PathBuf, PathBuf) {
        let file = HubFile { name: WEIGHTS.to_owned(), bytes: self.original() };
        let blob = self.repository().join("blobs").join(file.etag());
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        let incomplete = blob.with_extension("incomplete");
        (blob, incomplete)
    }

    /// Fails unless the pull ended well and the weights are those that were published.
    fn assert_whole(&self, output: &Output) {
        let folder = PathBuf::from(stdout(output).trim_end());
        assert_eq!(folder, self.repository().join("snapshots").join(commit(1)));
        assert!(fs::read(folder.join(WEIGHTS)).unwrap() == self.original());
        let (blob, incomplete) = self.blob();
        assert_eq!(fs::canonicalize(folder.join(WEIGHTS)).unwrap(), blob.canonicalize().unwrap());
        assert!(!incomplete.exists());
    }

    /// Ranges of the transfers of the weights.
    fn ranges(&self) -> Vec<Option<String>> {
        self.server.transfers(WEIGHTS).into_iter().map(|request| request.range).collect()
    }
}

/// Fails unless the command failed and its last line holds all of `parts`.
fn assert_last_line(output: &Output, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = stderr.lines().last().unwrap_or_default().to_owned() + "\n";
    assert_one_line(&Output { stderr: last.into_bytes(), ..output.clone() }, parts);
}

#[test]
fn a_pulled_model_works_without_the_network() {
    let site = Site::new(|models| {
        let small = HubRepository::of(ID, Path::new(&models.path("same")));
        let others = ["pytorch_model.bin", "model.gguf", "onnx/model.onnx", "README.md", "a b.txt"];
        vec![others.iter().fold(small, |small, name| small.with(name, b"not needed"))]
    });
    site.assert_whole(&site.pull());
    let asked: Vec<String> = site.server.log().into_iter().map(|request| request.path).collect();
    for name in ["bin", "gguf", "onnx", "README", "txt"] {
        assert!(asked.iter().all(|path| !path.contains(name)), "{asked:?}");
    }
    let again = site.json(&["pull", ID, "--json"], &[]);
    assert_eq!((&again["id"], &again["revision"]), (&json!(ID), &json!(commit(1))));
    let files = again["files"].as_array().unwrap();
    let names: Vec<&str> = files.iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS]);
    assert!(files.iter().all(|file| file["downloaded"] == false), "{again}");
    assert_eq!(files[3]["size"], site.original().len());

    let requests = site.server.log().len();
    let offline = [("HF_HUB_OFFLINE", "1")];
    let environment = site.environment(&offline);
    let ids = SPEC.run_with(&["tokenize", "--tokenizer", ID], &environment, "ab cd");
    assert!(!stdout(&ids).is_empty());
    let (prompts, target) = (site.models.usual_prompts(), site.models.path("target"));
    let bench = ["bench", "--draft", ID, "--target", &target, "--prompts", &prompts, "--json"];
    let report = site.json(&[&bench[..], &["--max-new", "8", "--threads", "1"]].concat(), &offline);
    assert_eq!(report["header"]["drafts"][0]["name"], ID);
    assert_eq!(site.json(&["pull", ID, "--json"], &offline)["revision"], commit(1));
    assert_eq!(site.server.log().len(), requests, "offline asks nobody");
}

#[test]
fn shards_are_those_that_the_index_names() {
    let site = Site::new(|models| {
        let folder = models.copy("same", "sharded");
        split_weights(&folder);
        let extra = "model-00003-of-00002.safetensors";
        vec![HubRepository::of(ID, &folder).with(extra, b"of no index")]
    });
    let pulled = site.json(&["pull", ID, "--json"], &[]);
    let shards =
        pulled["files"].as_array().unwrap().iter().filter(|file| {
            file["name"].as_str().is_some_and(|name| name.ends_with(".safetensors"))
        });
    assert_eq!(shards.count(), 2, "{pulled}");
    let (prompts, target) = (site.models.usual_prompts(), site.models.path("target"));
    let bench = ["bench", "--draft", ID, "--target", &target, "--prompts", &prompts, "--json"];
    site.json(
        &[&bench[..], &["--max-new", "4", "--limit", "2"]].concat(),
        &[("HF_HUB_OFFLINE", "1")],
    );
}

#[test]
fn a_cut_transfer_goes_on_where_it_was() {
    let site = Site::small();
    site.server.fault(WEIGHTS, Fault::CutOnce(1_000));
    site.assert_whole(&site.pull());
    assert_eq!(site.ranges(), [None, Some("bytes=1000-".to_owned())]);
}

#[test]
fn a_later_process_goes_on_where_an_earlier_one_gave_up() {
    let site = Site::small();
    site.server.fault(WEIGHTS, Fault::CutAlways(1_000));
    assert_last_line(&site.pull(), &[WEIGHTS, ID, "cut", "run the same command again"]);
    let (blob, incomplete) = site.blob();
    assert!(!blob.exists());
    assert_eq!(fs::read(incomplete).unwrap(), site.original()[..5_000]);
    site.server.mend();
    site.assert_whole(&site.pull());
    assert_eq!(site.ranges().last().unwrap().as_deref(), Some("bytes=5000-"));
}

#[test]
fn a_server_without_ranges_sends_the_whole_again() {
    let site = Site::small();
    site.server.fault(WEIGHTS, Fault::CutOnce(1_000));
    site.server.fault(WEIGHTS, Fault::NoRanges);
    site.assert_whole(&site.pull());
    assert_eq!(site.ranges().len(), 2);
}

#[test]
fn whatever_is_left_over_does_no_harm() {
    let whole = Site::small().original();
    let wrong: Vec<u8> = whole.iter().map(|byte| byte ^ 1).collect();
    let longer = [&whole[..], b"more"].concat();
    let left_overs = [(&whole[..], 0), (&longer, 1), (&wrong, 1), (&wrong[..1_000], 2)];
    for (left_over, transfers) in left_overs {
        let site = Site::small();
        let (blob, incomplete) = site.blob();
        fs::write(incomplete, left_over).unwrap();
        site.assert_whole(&site.pull());
        assert_eq!(site.ranges().len(), transfers);
        // A content that was cut short under its final name is brought anew, too.
        fs::write(&blob, &whole[..100]).unwrap();
        site.assert_whole(&site.pull());
    }
}

#[test]
fn wrong_bytes_get_no_name() {
    let site = Site::small();
    site.server.fault(WEIGHTS, Fault::WrongAlways);
    assert_last_line(&site.pull(), &[WEIGHTS, ID, "not those that the Hub announces", "SHA-256"]);
    assert_eq!(site.ranges(), [None, None], "once more from the beginning, no more");
    let (blob, incomplete) = site.blob();
    assert!(!blob.exists() && !incomplete.exists());
    assert!(!site.repository().join("refs/main").exists(), "the revision names no half model");
    site.server.mend();
    site.server.fault(WEIGHTS, Fault::WrongOnce);
    site.server.fault("config.json", Fault::WrongOnce);
    site.assert_whole(&site.pull());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named() {
    let site = Site::small();
    let (blob, incomplete) = site.blob();
    std::os::unix::fs::symlink("/dev/full", &incomplete).unwrap();
    assert_last_line(&site.pull(), &["No space left", "HF_HUB_CACHE", "is kept"]);
    assert!(!blob.exists() && incomplete.is_symlink());
}

#[test]
fn two_processes_share_one_download() {
    let site = Site::small();
    site.server.hold(WEIGHTS);
    let environment = site.environment(&[]);
    let first = SPEC.start(&["pull", ID], &environment);
    while site.server.transfers(WEIGHTS).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut second = SPEC.start(&["pull", ID], &environment);
    let mut talk = BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    talk.read_line(&mut line).unwrap();
    assert!(line.contains("another process downloads it"), "{line}");
    site.server.release(WEIGHTS);
    site.assert_whole(&first.wait_with_output().unwrap());
    talk.read_to_string(&mut line).unwrap();
    site.assert_whole(&second.wait_with_output().unwrap());
    assert_eq!(site.ranges().len(), 1);
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let gated = |models: &Models| {
        vec![HubRepository::of(ID, Path::new(&models.path("same"))).access(Access::Gated)]
    };
    let site = Site::new(gated);
    site.assert_whole(&site.run(&["pull", ID], &[("HF_TOKEN", GOOD_TOKEN)]));
    let log = site.server.log();
    assert!(log.iter().any(|request| request.is_cdn), "the weights come from another host");
    for request in log {
        let token = (!request.is_cdn).then(|| GOOD_TOKEN.to_owned());
        assert_eq!(request.token, token, "{request:?}");
    }
    let site = Site::new(gated);
    fs::create_dir_all(&site.home).unwrap();
    fs::write(Path::new(&site.home).join("token"), format!("{GOOD_TOKEN}\n")).unwrap();
    site.assert_whole(&site.pull());
}

#[test]
fn revisions_are_kept_apart() {
    let site = Site::new(|models| {
        let small = HubRepository::of(ID, Path::new(&models.path("same")));
        let small = small.at("v1", Path::new(&models.path("draft")));
        vec![small.at("refs/pr/1", Path::new(&models.path("target"))).formerly("org/old")]
    });
    site.assert_whole(&site.pull());
    for (args, number) in [
        (&["pull", ID, "--revision", "v1", "--json"][..], 2),
        (&["pull", "org/small@refs/pr/1", "--json"], 3),
        (&["pull", ID, "--revision", &commit(2), "--json"], 2),
    ] {
        assert_eq!(site.json(args, &[])["revision"], commit(number), "{args:?}");
    }
    let refs = site.repository().join("refs");
    for (name, number) in [("main", 1), ("v1", 2), ("refs/pr/1", 3)] {
        assert_eq!(fs::read_to_string(refs.join(name)).unwrap(), commit(number));
    }
    assert!(!refs.join(commit(2)).exists(), "a commit needs no name");
    let environment = site.environment(&[("HF_HUB_OFFLINE", "1")]);
    for (name, folder) in [(ID, "same"), ("org/small@v1", "draft")] {
        let ids = |name: &str| {
            stdout(&SPEC.run_with(&["tokenize", "--tokenizer", name], &environment, "ab cd"))
        };
        assert_eq!(ids(name), ids(&site.models.path(folder)), "{name}");
    }
    let renamed = site.json(&["pull", "org/old", "--json"], &[]);
    assert_eq!(renamed["id"], "org/old");
    assert!(renamed["folder"].as_str().unwrap().contains("models--org--old"));
}

#[test]
fn refusals_say_what_to_do() {
    let site = Site::new(|models| {
        let folder = PathBuf::from(models.path("same"));
        let bare = models.copy("same", "bare");
        fs::remove_file(bare.join(WEIGHTS)).unwrap();
        let empty = models.copy("bare", "empty");
        fs::remove_file(empty.join("config.json")).unwrap();
        vec![
            HubRepository::of("org/gated", &folder).access(Access::Gated),
            HubRepository::of("org/private", &folder).access(Access::Private),
            HubRepository::of("org/bare", &bare).with("pytorch_model.bin", b"x"),
            HubRepository::of("org/empty", &empty),
            HubRepository::of(ID, &folder),
        ]
    });
    let page = format!("{}/org/gated", site.server.url);
    let other = Some("hf_other");
    let cases: [(&str, Option<&str>, &[&str]); 9] = [
        ("org/gated", None, &["accept its licence", &page, "set HF_TOKEN"]),
        ("org/gated", other, &["this token's account has no access", &page]),
        ("org/private", None, &["does not exist", "private", "HF_TOKEN"]),
        ("org/missing", other, &["org/missing does not exist"]),
        ("org/small@v9", None, &["no revision `v9`"]),
        ("org/bare", None, &["has no model.safetensors", "safetensors can be loaded"]),
        ("org/empty", None, &["has no config.json"]),
        ("stentro2", None, &["did you mean `stentor2`?"]),
        ("org/small@../x", None, &["unknown model"]),
    ];
    for (name, token, parts) in cases {
        let token = token.map(|token| ("HF_TOKEN", token));
        assert_one_line(&site.run(&["pull", name], token.as_slice()), parts);
    }
    let bench = site.run(&["bench", "--draft", "org/gated"], &[]);
    assert_one_line(&bench, &["org/gated", "accept its licence"]);
    let spoiled = site.run(&["pull", ID], &[("HF_TOKEN", "two\nlines")]);
    assert_one_line(&spoiled, &["header", "check HF_ENDPOINT, HF_TOKEN"]);
    let offline = site.run(&["pull", ID], &[("HF_HUB_OFFLINE", "1")]);
    assert_one_line(&offline, &["HF_HUB_OFFLINE", "`spec pull org/small`"]);
}

#[test]
fn a_busy_hub_is_waited_for_and_a_very_busy_one_is_not() {
    let site = Site::small();
    site.server.fault("config.json", Fault::TooMany(1, 1));
    let output = site.pull();
    site.assert_whole(&output);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(talk.contains("429") && talk.contains("trying again in 1 s"), "{talk}");
    site.server.fault("config.json", Fault::TooMany(1, 4_000));
    assert_one_line(&site.pull(), &["429", "again in 4000 s"]);
    site.server.mend();
    site.server.fault("config.json", Fault::TooMany(9, 0));
    assert_last_line(&site.pull(), &["429", "5 times in a row", "again later"]);
}

#[test]
fn a_tokenmonster_vocabulary_comes_from_its_authors_repository() {
    let name = "english-16-strict-nocapcode-v1";
    let site = Site::new(|models| {
        let folder = models.copy("monster", "bare");
        let vocab = fs::read(folder.join("tokenmonster.vocab")).unwrap();
        fs::remove_file(folder.join("tokenmonster.vocab")).unwrap();
        let config = folder.join("tokenizer_config.json");
        let mut json: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        json["vocabulary"] = name.into();
        fs::write(&config, json.to_string()).unwrap();
        let authors = models.folder.path().join("authors");
        fs::create_dir(&authors).unwrap();
        let authors = HubRepository::of("alasdairforsythe/tokenmonster", &authors);
        vec![
            authors.with(&format!("vocabs/{name}.vocab"), &vocab).with("vocabs/a.vocab", b"other"),
            HubRepository::of(ID, &folder),
        ]
    });
    let bare = site.models.path("bare");
    let tokenize = |model: &str, more: &[(&str, &str)]| {
        let environment = site.environment(more);
        SPEC.run_with(&["tokenize", "--tokenizer", model], &environment, "ab cd ab. gh")
    };
    let offline = [("HF_HUB_OFFLINE", "1")];
    let refused = tokenize(&bare, &offline);
    assert_one_line(&refused, &["tokenmonster.vocab is missing", "HF_HUB_OFFLINE", name]);
    let pulled = site.json(&["pull", ID, "--json"], &[]);
    assert!(pulled["vocabulary"].as_str().unwrap().ends_with(&format!("vocabs/{name}.vocab")));
    assert!(site.server.log().iter().all(|request| !request.path.contains("a.vocab")));
    let expected = stdout(&tokenize(&site.models.path("monster"), &[]));
    for model in [ID, &bare] {
        assert_eq!(stdout(&tokenize(model, &offline)), expected, "{model}");
    }
    assert!(
        !Path::new(&bare).join("tokenmonster.vocab").exists(),
        "a user's folder is not written"
    );
}

#[test]
fn the_list_of_models_says_where_each_is() {
    let id = "StentorLabs/Stentor2-12M";
    let site = Site::new(|models| vec![HubRepository::of(id, Path::new(&models.path("monster")))]);
    let stentor2 = |more: &[(&str, &str)]| {
        let list = site.json(&["models", "--json"], more);
        let models = list.as_array().unwrap();
        models.iter().find(|model| model["name"] == "stentor2").unwrap().clone()
    };
    let published = stentor2(&[]);
    assert_eq!((&published["source"], &published["folder"]), (&json!("Hub"), &Value::Null));
    assert_eq!(published["parameters"], 12_294_400);
    assert_eq!(published["sampling"]["top_p"], 0.7);
    assert_eq!(stentor2(&[("HF_HUB_OFFLINE", "1")])["source"], "not here");
    stdout(&site.run(&["pull", "stentor2"], &[]));
    let cached = stentor2(&[("HF_HUB_OFFLINE", "1")]);
    assert_eq!(cached["source"], "cache");
    let own = cached["parameters"].as_u64().unwrap();
    assert!(own < 100_000, "described by its own config.json, {own}");

    let folder = site.models.copy("draft", "folders/stentor2");
    let folders = folder.parent().unwrap().display().to_string();
    let there = stentor2(&[("SPEC_MODELS", &folders)]);
    assert_eq!((&there["source"], &there["folder"]), (&json!("folder"), &json!(folder)));
    let environment = site.environment(&[("SPEC_MODELS", &folders)]);
    let ids = |name: &str, environment: &[(&str, &str)]| {
        stdout(&SPEC.run_with(&["tokenize", "--tokenizer", name], environment, "bc ab"))
    };
    assert_eq!(ids("stentor2", &environment), ids(&site.models.path("draft"), &[]));
    fs::write(folder.join("config.json"), "{}").unwrap();
    let spoiled = stentor2(&[("SPEC_MODELS", &folders)]);
    assert!(spoiled["problem"].as_str().unwrap().contains("config.json"), "{spoiled}");

    let table = stdout(&site.run(&["models"], &[]));
    assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    assert!(table.contains("Hub (gated)") && table.contains("cache"), "{table}");
}
