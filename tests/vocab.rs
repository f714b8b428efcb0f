//! `spec vocab` from outside: what it leaves in a folder, that every text comes back, and what it says
//! where it cannot go on.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use align::{Entry, Tokenizer};
use serde_json::{Value, json};
use support::command::{Spec, assert_one_line, stdout};
use support::shared;
use tempfile::TempDir;

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

/// A text that no small vocabulary has words for.
const STRANGE: &str = "Ünï\u{0}çødé \u{7f}日本 👩‍🚀\r\n\t  ▁x  <|bos|> don't 12345\u{1f}";

/// A text file and folders to make.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        let syllables = ["ra", "den", "mo", "list", "ke", "u", "sho", "ting", "p", "er"];
        let number = |index: usize| (index * index * 7 + index * 31) % 97;
        let word = |index: usize| {
            let syllable = |nth| syllables[(number(index) + nth * (index % 7)) % syllables.len()];
            (0..=index % 4).map(syllable).collect::<String>()
        };
        let sentence = |index: usize| {
            let words: Vec<String> =
                (0..8).map(|place| word(number(index * 8 + place) % 60)).collect();
            words.join(" ") + ".\n"
        };
        let line = |index: usize| {
            let text: String = (index * 20..index * 20 + 20).map(sentence).collect();
            json!({"body": text}).to_string() + "\n"
        };
        fs::write(bench.path("data.jsonl"), (0..100).map(line).collect::<String>()).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// `spec vocab build`, or `spec vocab trim --from` a folder of the bench.
    fn run(&self, what: &[&str], size: &str, out: &str, more: &[&str]) -> Output {
        let (data, out) = (self.text("data.jsonl"), self.text(out));
        let text = ["--data", &data, "--column", "body", "--size", size, "--out", &out];
        SPEC.run(&[&["vocab"], what, &text, more].concat())
    }

    fn build(&self, kind: &str, size: &str, out: &str, more: &[&str]) -> Output {
        self.run(&["build", "--kind", kind], size, out, more)
    }

    fn trim(&self, from: &str, size: &str, out: &str, more: &[&str]) -> Output {
        self.run(&["trim", "--from", &self.text(from)], size, out, more)
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    fn tokenizer(&self, name: &str) -> Tokenizer {
        Tokenizer::load(&self.path(name)).unwrap()
    }
}

fn assert_comes_back(tokenizer: &Tokenizer, text: &str) {
    let encoding = tokenizer.encode(text.as_bytes()).unwrap();
    assert_eq!((encoding.dropped, encoding.unknown), (0, 0));
    assert_eq!(String::from_utf8(tokenizer.decode(&encoding.ids)).unwrap(), text);
}

#[test]
fn a_bpe_vocabulary_is_built() {
    let bench = Bench::new();
    let shown = stdout(&bench.build("bpe", "300", "out", &["--json"]));
    let summary: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&summary["ids"], &summary["specials"]), (&json!(300), &json!(2)));
    assert_eq!(summary["most_used"].as_array().unwrap().len(), 20);
    let tokenizer = bench.tokenizer("out");
    assert_eq!(tokenizer.vocabulary().rows(), 300);
    assert_comes_back(&tokenizer, STRANGE);
    assert_eq!((tokenizer.prefix(), tokenizer.eos()), (&[0][..], Some(1)));
    assert_eq!(tokenizer.encode_reference("ting", true).unwrap().len(), 2);
    assert!(summary["text"]["bytes_per_token"].as_f64().unwrap() > 3.0);
    stdout(&bench.build("bpe", "300", "again", &[]));
    let read = |name: &str| fs::read(bench.path(name)).unwrap();
    assert_eq!(read("out/tokenizer.json"), read("again/tokenizer.json"));
}

#[test]
fn a_tokenmonster_vocabulary_is_built() {
    let bench = Bench::new();
    let eval = bench.text("data.jsonl");
    let table = stdout(&bench.build("tokenmonster", "300", "out", &["--eval", &eval]));
    assert!(table.contains("ids          302 (2 of them special)"), "{table}");
    let line =
        |label: &str| table.lines().find_map(|line| line.strip_prefix(label)).unwrap().to_owned();
    assert_eq!(line("text").trim(), line("eval").trim());
    let tokenizer = bench.tokenizer("out");
    assert_eq!((tokenizer.prefix(), tokenizer.eos()), (&[301][..], Some(300)));
    assert_eq!(tokenizer.vocabulary().token_count(), 300);
    assert_comes_back(&tokenizer, "don't 12345\r\n\t 日本 👩‍🚀 <|bos|>\u{0}");
    let full = ["--capcode", "full", "--mode", "clean"];
    stdout(&bench.build("tokenmonster", "300", "full", &full));
    assert_comes_back(&bench.tokenizer("full"), "Don't SAY that 12345\r\n\t日本 👩‍🚀");
}

#[test]
fn a_vocabulary_is_trimmed() {
    let bench = Bench::new();
    stdout(&bench.build("bpe", "330", "large", &["--bos", "<s>", "--eos", "</s>"]));
    stdout(&bench.trim("large", "290", "small", &[]));
    let (large, small) = (bench.tokenizer("large"), bench.tokenizer("small"));
    assert_eq!(small.vocabulary().rows(), 290);
    assert_comes_back(&small, STRANGE);
    assert_eq!((small.prefix(), small.eos()), (&[0][..], Some(1)));
    let old: Vec<u32> = serde_json::from_value(bench.json("small/ids.json")).unwrap();
    assert_eq!(old.len(), 290);
    for (new, old) in (0..).zip(&old) {
        assert_eq!(small.vocabulary().entry(new), large.vocabulary().entry(*old));
    }
    for new in 0..290 {
        if let Entry::Token(bytes) = small.vocabulary().entry(new)
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            let ids = small.encode_reference(text, false).unwrap();
            assert_eq!(ids, [new], "a token that is kept is still made of {text:?}");
        }
    }
    let folder = stdout(&bench.trim("large/tokenizer.json", "330", "all", &["--json"]));
    let summary: Value = serde_json::from_str(&folder).unwrap();
    assert_eq!(summary["text"], summary["from"], "nothing is lost where nothing is left out");
}

#[test]
fn what_cannot_be_made_is_said_in_one_line() {
    let bench = Bench::new();
    fs::create_dir(bench.path("there")).unwrap();
    assert_one_line(&bench.build("bpe", "300", "there", &[]), &["there exists already", "--out"]);
    assert_one_line(&bench.build("bpe", "200", "out", &[]), &["--size 200", "258"]);
    assert_one_line(&bench.build("bpe", "9000", "out", &[]), &["gives only", "more text"]);
    assert_one_line(
        &bench.build("bpe", "300", "out", &["--bos", "the"]),
        &["`the`", "<like this>"],
    );
    assert_one_line(&bench.build("tokenmonster", "200", "out", &[]), &["200", "256 single bytes"]);
    assert_one_line(&bench.build("tokenmonster", "9000", "out", &[]), &["gives only", "9000"]);
    let other = bench.text("other.jsonl");
    fs::write(&other, "{\"text\": \"another column\"}\n").unwrap();
    assert_one_line(
        &bench.build("bpe", "300", "out", &["--eval", &other]),
        &["other.jsonl, line 1", "`body`", "--column"],
    );
    assert_one_line(&bench.build("bpe", "300", "out", &["--eval", "nowhere"]), &["nowhere"]);
    stdout(&bench.build("bpe", "300", "large", &[]));
    stdout(&bench.build("tokenmonster", "300", "monster", &[]));
    assert_one_line(&bench.trim("large", "257", "out", &[]), &["large", "--size 257", "258"]);
    assert_one_line(&bench.trim("large", "301", "out", &[]), &["301", "the 300 ids"]);
    let specials = ["--specials", "<none>"];
    assert_one_line(&bench.trim("large", "290", "out", &specials), &["no added token `<none>`"]);
    assert_one_line(&bench.trim("monster", "290", "out", &[]), &["monster", "tokenizer.json"]);
    assert_one_line(&bench.trim("none", "290", "out", &[]), &["none", "does not exist"]);
    let left: Vec<_> =
        fs::read_dir(bench.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "nothing half-made stays: {left:?}");
}

#[test]
fn real_vocabularies_are_trimmed() {
    let Some(corpus) = shared::path("corpus/val.jsonl.zst") else { return };
    let corpus = corpus.display().to_string();
    let bench = Bench::new();
    let cases = [
        ("gpt2", "<|endoftext|>"),
        ("llama2", "<s>"),
        ("tinyllama-v5", "<s>"),
        ("smollm2", "<|im_start|>"),
        ("llama3", "<|end_of_text|>"),
    ];
    for (name, special) in cases {
        let Some(from) = shared::path(&format!("tokenizers/{name}/tokenizer.json")) else { return };
        let (path, out) = (from.display().to_string(), bench.text(name));
        let arguments =
            ["--size", "2000", "--limit-bytes", "300000", "--specials", special, "--json"];
        let text = ["vocab", "trim", "--from", &path, "--data", &corpus, "--out", &out];
        let summary: Value =
            serde_json::from_str(&stdout(&SPEC.run(&[&text[..], &arguments].concat()))).unwrap();
        let small = bench.tokenizer(name);
        assert_eq!(small.vocabulary().rows(), 2000, "{name}");
        // SentencePiece writes a space as that mark, and reads it as one.
        assert_comes_back(&small, &STRANGE.replace('▁', "_"));
        let ratio = summary["text"]["bytes_per_token"].as_f64().unwrap()
            / summary["from"]["bytes_per_token"].as_f64().unwrap();
        assert!(ratio > 0.6, "{name}: {ratio}");
    }
}

#[test]
fn a_small_vocabulary_holds_against_a_published_one() {
    let name = "tokenizers/tokenmonster/english-2048-strict-nocapcode-v1.vocab";
    let Some(published) = shared::path(name) else { return };
    let Some(train) = shared::path("corpus/train-00.jsonl.zst") else { return };
    let Some(eval) = shared::path("corpus/val.jsonl.zst") else { return };
    let bench = Bench::new();
    let [train, eval] = [train, eval].map(|path| path.display().to_string());
    let (out, published) = (bench.text("out"), Tokenizer::load(&published).unwrap());
    let fixed = ["vocab", "build", "--kind", "tokenmonster", "--size", "2048", "--json"];
    let data = ["--data", &train, "--eval", &eval, "--limit-bytes", "3000000", "--out", &out];
    let summary: Value =
        serde_json::from_str(&stdout(&SPEC.run(&[&fixed[..], &data].concat()))).unwrap();
    let text = zstd::decode_all(fs::File::open(&eval).unwrap()).unwrap();
    let documents = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let (mut bytes, mut tokens) = (0, 0);
    for document in documents {
        let document: Value = serde_json::from_slice(document).unwrap();
        let text = document["text"].as_str().unwrap();
        bytes += text.len();
        tokens += published.encode_reference(text, false).unwrap().len();
    }
    let ours = summary["eval"]["bytes_per_token"].as_f64().unwrap();
    let ratio = ours / (bytes as f64 / tokens as f64);
    assert!(ratio > 0.95, "{ours} bytes a token, {ratio} of the published vocabulary's");
}
