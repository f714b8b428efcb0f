//! Lines of a trace: what is read is what was written, and what no trace has is refused.

use super::*;
use align::Tokenizer;
use serde_json::{Value, json};

fn header() -> Header {
    Header {
        schema: SCHEMA,
        kind: Kind::Trace,
        version: "0".to_owned(),
        command_line: vec!["spec".to_owned()],
        started: "2026-01-01T00:00:00Z".to_owned(),
        target: Target {
            name: "target".to_owned(),
            path: "models/target".to_owned(),
            source: "folder".to_owned(),
            note: None,
            architecture: Some("llama".to_owned()),
            parameters: Some(7),
            rows: 4,
            vocabulary: 3,
            context: 64,
            tokenizer: "tokenizer.json, 3 tokens".to_owned(),
            eos: vec![3],
            prefix: Vec::new(),
            vocabulary_file: FileHash {
                name: "tokenizer.json".to_owned(),
                sha256: "ab".to_owned(),
            },
            tokenizer_sha256: None,
            weights_sha256: None,
        },
        sampling: Sampling { top_k: Some(3), ..Sampling::at(0.7) },
        max_new: 4,
        ignore_eos: false,
        template: "auto".to_owned(),
        prompts: "prompts.jsonl".to_owned(),
        prompts_sha256: "cd".to_owned(),
        repeats: 1,
        top: 1,
        seed: 9,
        device: Some("cpu".to_owned()),
        dtype: None,
        threads: Some(1),
        torch: None,
        imported: None,
    }
}

fn text() -> Text {
    let bytes = |bytes: &[u8]| Bytes(bytes.to_vec());
    Text {
        kind: Kind::Text,
        prompt_index: 2,
        prompt_id: "2".to_owned(),
        category: "all".to_owned(),
        repeat: 0,
        turn: 0,
        said: vec!["a".to_owned()],
        prompt_ids: vec![0],
        rendered: None,
        ids: vec![1, 0, 3],
        bytes: vec![bytes(b"b"), bytes(b"a"), bytes(b"")],
        logprobs: vec![-0.1, -1.0 / 3.0, 0.0],
        top: Some(vec![vec![(1, -0.1)], vec![(1, -0.2)], vec![(3, 0.0)]]),
        finish: Finish::Eos,
    }
}

fn json_of(text: &Text) -> Value {
    serde_json::to_value(text).unwrap()
}

/// Why a line with one field changed is refused.
fn refusal(field: &str, value: Value) -> String {
    let mut line = json_of(&text());
    line[field] = value;
    Text::parse(&line.to_string(), &header()).unwrap_err().to_string()
}

#[test]
fn what_is_read_is_what_was_written() {
    let line = serde_json::to_string(&header()).unwrap();
    assert_eq!(Header::parse(&line).unwrap(), header());
    let line = serde_json::to_string(&text()).unwrap();
    assert!(line.contains(r#""bytes":["Yg==","YQ==",""]"#), "{line}");
    assert_eq!(Text::parse(&line, &header()).unwrap(), text());
}

#[test]
fn what_is_no_header_is_named() {
    let refusal = |line: &str| Header::parse(line).unwrap_err().to_string();
    for line in
        ["", "text", "{}", r#"{"kind": "record", "schema": 1}"#, &json_of(&text()).to_string()]
    {
        assert!(refusal(line).contains("no trace"), "{line}");
    }
    let mut value = serde_json::to_value(header()).unwrap();
    value["more"] = json!(1);
    assert!(refusal(&value.to_string()).contains("unknown field `more`"));
    value["schema"] = json!(SCHEMA + 1);
    assert!(refusal(&value.to_string()).contains("schema 2"));
}

#[test]
fn a_line_that_contradicts_itself_is_refused() {
    assert!(refusal("more", json!(1)).contains("unknown field `more`"));
    assert!(refusal("logprobs", json!([0.0, 0.0])).contains("`logprobs` has 2 entries"));
    assert!(refusal("bytes", json!(["YQ=="])).contains("`bytes` has 1 entries"));
    assert!(refusal("bytes", json!(["?", "", ""])).contains("not a line of a trace"));
    assert!(refusal("top", json!([])).contains("`top` has 0 entries"));
    assert!(refusal("logprobs", json!([0.0, 0.1, 0.0])).contains("0.1 of token 1"));
    assert!(refusal("logprobs", json!([0.0, null, 0.0])).contains("not a line of a trace"));
    assert!(refusal("ids", json!([1, 4, 3])).contains("id 4 is outside the target's 4 rows"));
    assert!(refusal("ids", json!([3, 0, 3])).contains("token 0 ends the text"));
    let nothing = Text { ids: vec![], bytes: vec![], logprobs: vec![], top: None, ..text() };
    assert!(matches!(nothing.check(&header()), Err(TraceError::Empty)));
    let on = Header { ignore_eos: true, ..header() };
    assert!(Text { ids: vec![3, 0, 3], ..text() }.check(&on).is_ok());
}

#[test]
fn another_tokenizer_is_found_by_its_bytes() {
    let file = |vocab: Value| {
        json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [
                {"id": 3, "content": "</s>", "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true}],
            "normalizer": null, "pre_tokenizer": null, "post_processor": null,
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": false},
            "model": {"type": "BPE", "dropout": null, "unk_token": null,
                "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
                "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": []}})
    };
    let folder = tempfile::tempdir().unwrap();
    let load = |vocab: Value| {
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, file(vocab).to_string()).unwrap();
        Tokenizer::load(&path).unwrap()
    };
    let (own, other) =
        (load(json!({"a": 0, "b": 1, "c": 2})), load(json!({"c": 0, "b": 1, "a": 2})));
    let reader = |tokenizer| Reader { tokenizer, eos: &[3], rows: 4, context: 64 };
    assert!(text().check_bytes(reader(&own)).is_ok());
    let refusal = text().check_bytes(reader(&other)).unwrap_err().to_string();
    assert!(refusal.contains("token 1"), "{refusal}");
}
