//! The binary with small models to run it on, and what its output must look like.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use align::tokenmonster::Capcode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::checkpoints::{tiny_config, write_formula};
use crate::tokenizers::{write_bpe, write_tokenmonster};

/// Single-character tokens of the small vocabularies.
pub const SINGLES: &str = "abcdefgh .,";
const MERGES: [(&str, &str); 4] = [("a", "b"), ("c", "d"), (" ", "ab"), (" ab", "cd")];

/// The binary.
#[derive(Clone, Copy, Debug)]
pub struct Spec(pub &'static str);

impl Spec {
    pub fn run(self, args: &[&str]) -> Output {
        self.run_with(args, &[], "")
    }

    pub fn run_with(self, args: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
        let mut child = self.start(args, environment);
        // A command that fails at once reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Starts the binary beside the build, in an environment without the user's own models and
    /// without bundled ones.
    pub fn start(self, args: &[&str], environment: &[(&str, &str)]) -> Child {
        let mut command = Command::new(self.0);
        let build = Path::new(self.0).ancestors().nth(2).unwrap();
        fs::create_dir_all(build.join("tmp")).unwrap();
        command.current_dir(build.join("tmp")).env("SPEC_BUNDLED", "nowhere");
        for name in ["HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "HF_ENDPOINT", "SPEC_MODELS"] {
            command.env_remove(name);
        }
        command
            .args(args)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// What a command printed; fails unless it ended well.
pub fn stdout(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Fails unless the command failed with one line that holds all of `parts`.
pub fn assert_one_line(output: &Output, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty(), "an error prints no data");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("spec: "), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
    }
}

/// Folders of small models: `same` and `target` share a vocabulary, `draft` has another, `monster`
/// a TokenMonster one.
pub struct Models {
    pub folder: TempDir,
    pub spec: Spec,
}

impl Models {
    #[must_use]
    pub fn new(spec: Spec) -> Self {
        let models = Self { folder: tempfile::tempdir().unwrap(), spec };
        for (name, seed) in [("target", 1), ("same", 2)] {
            let folder = models.make(name);
            write_bpe(&folder, SINGLES, &MERGES);
            write_formula(&folder, &tiny_config(SINGLES.len() + MERGES.len() + 1), seed);
        }
        let draft = models.make("draft");
        write_bpe(&draft, SINGLES, &[("b", "c"), ("d", " ")]);
        write_formula(&draft, &tiny_config(SINGLES.len() + 3), 3);
        let monster = models.make("monster");
        let mut tokens: Vec<&[u8]> = SINGLES.as_bytes().chunks(1).collect();
        tokens.extend([&b"\x7f"[..], b" a", b"ab", b" ab", b".\x7f"]);
        write_tokenmonster(&monster, &tokens, Capcode::Delete);
        write_formula(&monster, &tiny_config(tokens.len() + 2), 4);
        models
    }

    fn make(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A copy of a model that a test may spoil.
    pub fn copy(&self, from: &str, name: &str) -> PathBuf {
        let to = self.make(name);
        for entry in fs::read_dir(self.folder.path().join(from)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        to
    }

    /// A model whose vocabulary is mostly bytes that are no UTF-8 by themselves, called `bytes`.
    pub fn make_bytes(&self) -> String {
        let folder = self.make("bytes");
        let singles = "ab\u{a1}\u{a2}\u{c3}\u{e2}\u{f0}\u{ff}";
        write_bpe(&folder, singles, &[("\u{c3}", "\u{a1}")]);
        write_formula(&folder, &tiny_config(singles.chars().count() + 2), 5);
        self.path("bytes")
    }

    pub fn prompts(&self, lines: &[Value]) -> String {
        let path = self.folder.path().join("prompts.jsonl");
        let text: String = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub fn usual_prompts(&self) -> String {
        let prompt = |index: usize| {
            let text = ["ab cd", "ab ab cd.", "gh, ef ab", "abcd abcd"][index % 4];
            json!({"prompt": text, "category": (["x", "y"][index % 2])})
        };
        self.prompts(&(0..8).map(prompt).collect::<Vec<_>>())
    }

    pub fn bench(&self, draft: &str, more: &[&str]) -> Output {
        self.bench_on(draft, &self.usual_prompts(), more)
    }

    pub fn bench_on(&self, draft: &str, prompts: &str, more: &[&str]) -> Output {
        let (draft, target) = (self.path(draft), self.path("target"));
        let fixed = ["bench", "--draft", &draft, "--target", &target, "--prompts", prompts];
        self.spec.run(&[&fixed[..], &["--max-new", "20", "--threads", "1"], more].concat())
    }
}
