//! `spec demo`: what each mode streams is what its command gives for the same seed, and what is refused.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;

use serde_json::{Value, json};
use support::command::{Models, Spec, assert_one_line, stdout};

const SPEC: Spec = Spec(env!("CARGO_BIN_EXE_spec"));

/// A server with small models; it ends with the test.
struct Server {
    child: Child,
    host: String,
}

/// An answer, its body put together.
struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Server {
    fn start(models: &Models, flags: &[&str]) -> Self {
        let named = ["draft", "target", "monster"].map(|name| models.path(name));
        let [draft, target, other] = &named;
        let fixed = ["demo", "--port", "0", "--threads", "1", "--draft", draft];
        let pair = ["--target", target, "--model", other];
        let mut child = SPEC.start(&[&fixed[..], &pair, flags].concat(), &[]);
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let host = line.trim().strip_prefix("http://").and_then(|own| own.strip_suffix('/'));
        let host = host.unwrap_or_else(|| panic!("`{line}` is no address")).to_owned();
        Self { child, host }
    }

    /// Sends a request and gives the open connection.
    fn send(&self, head: &str, headers: &str, body: &str) -> TcpStream {
        let mut connection = TcpStream::connect(&self.host).unwrap();
        let length = body.len();
        let text = format!(
            "{head} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        connection.write_all(text.as_bytes()).unwrap();
        connection
    }

    fn ask(&self, head: &str, headers: &str, body: &str) -> Answer {
        Answer::read(self.send(head, headers, body))
    }

    fn own_headers(&self) -> String {
        let host = &self.host;
        format!("Host: {host}\r\nOrigin: http://{host}\r\nContent-Type: application/json\r\n")
    }

    fn begin(&self, mode: &str, request: &Value) -> TcpStream {
        let head = format!("POST /api/{mode}");
        self.send(&head, &self.own_headers(), &request.to_string())
    }

    fn post(&self, mode: &str, request: &Value) -> Answer {
        Answer::read(self.begin(mode, request))
    }

    /// The lines of a mode that has to go well.
    fn lines(&self, mode: &str, request: &Value) -> Vec<Value> {
        let answer = self.post(mode, request);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let lines = answer.body.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = lines.collect();
        assert_eq!(lines[0]["event"], "begun");
        assert_eq!(lines[lines.len() - 1]["event"], "done", "{}", answer.body);
        lines
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    fn read(mut connection: TcpStream) -> Self {
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, rest) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = head.to_lowercase();
        let is_chunked = headers.contains("transfer-encoding: chunked");
        let body = if is_chunked { whole(rest.as_bytes()) } else { rest.to_owned() };
        Self { status, headers, body }
    }

    fn error(&self) -> String {
        let found: Value = serde_json::from_str(&self.body).unwrap();
        found["error"].as_str().unwrap().to_owned()
    }
}

/// The chunks of a body, together.
fn whole(mut rest: &[u8]) -> String {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return String::from_utf8(body).unwrap();
        }
        body.extend_from_slice(&rest[end + 2..][..size]);
        rest = &rest[end + 4 + size..];
    }
}

fn command(flags: &[&str]) -> Value {
    serde_json::from_str(&stdout(&SPEC.run(&[flags, &["--threads", "1", "--json"]].concat())))
        .unwrap()
}

fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == *event).collect()
}

fn joined(pieces: &[&Value]) -> String {
    pieces.iter().map(|line| line["text"].as_str().unwrap()).collect()
}

fn same(one: &Value, other: &Value, fields: &[&str]) {
    for field in fields {
        assert_eq!(one[field], other[field], "{field}");
        assert!(!one[field].is_null(), "{field} is there");
    }
}

#[test]
fn modes_with_one_model_are_their_commands() {
    let models = Models::new(SPEC);
    let server = Server::start(&models, &[]);
    for name in ["target", "draft", "monster"] {
        let path = models.path(name);
        let common = ["--model", &path, "--prompt", "ab cd", "--seed", "5"];

        let decoding = json!({"temperature": 0.9, "max_new": 14, "seed": 5, "top_k": 9});
        let request = json!({"model": name, "prompt": "ab cd", "decoding": decoding});
        let lines = server.lines("generate", &request);
        let flags = ["--temperature", "0.9", "--max-new", "14", "--top-k", "9"];
        let plain = command(&[&["generate"], &common[..], &flags].concat());
        let done = lines.last().unwrap();
        same(done, &plain, &["ids", "text", "bytes_b64", "finish", "tokens", "sampling"]);
        same(&lines[0], &plain, &["prompt_ids", "model", "seed"]);
        assert_eq!(joined(&of(&lines, "piece")), plain["text"].as_str().unwrap());

        let decoding = json!({"temperature": 0.8, "max_new": 7, "seed": 5});
        let request = json!({"model": name, "prompt": "ab cd", "top": 4, "decoding": decoding});
        let lines = server.lines("explore", &request);
        let flags = ["--top", "4", "--generate", "7", "--temperature", "0.8"];
        let plain = command(&[&["explore"], &common[..], &flags].concat());
        let positions = plain["positions"].as_array().unwrap();
        let shown = of(&lines, "position");
        assert_eq!(shown.len(), positions.len());
        for (one, other) in shown.iter().zip(positions) {
            for field in ["index", "id", "text", "generated", "rank", "logprob", "next"] {
                assert_eq!(one[field], other[field], "{field}");
            }
        }
        same(lines.last().unwrap(), &plain, &["generated_ids", "finish"]);

        let decoding = json!({"max_new": 9, "seed": 5});
        let temperatures = json!([0.0, 0.6, 1.5]);
        let request = json!({"model": name, "prompt": "ab cd", "samples": 2,
            "temperatures": temperatures, "decoding": decoding});
        let lines = server.lines("sweep", &request);
        let flags = ["--temperatures", "0,0.6,1.5", "--samples", "2", "--max-new", "9"];
        let plain = command(&[&["sweep"], &common[..], &flags].concat());
        let rows = plain["temperatures"].as_array().unwrap();
        for (one, other) in of(&lines, "row").iter().zip(rows) {
            same(one, other, &["temperature", "figures"]);
            let both = [one, other].map(|row| row["samples"].as_array().unwrap());
            assert_eq!(both[0].len(), both[1].len());
            for (one, other) in both[0].iter().zip(both[1]) {
                same(one, other, &["ids", "text", "mean_logprob", "distinct_1", "finish"]);
            }
        }
        assert_eq!(of(&lines, "row").len(), 3);
    }
}

#[test]
fn head_to_head_is_its_command() {
    let models = Models::new(SPEC);
    let server = Server::start(&models, &[]);
    let decoding = json!({"temperature": 1.1, "max_new": 12, "seed": 4});
    let request = json!({"models": ["monster", "target"], "prompt": "ab cd", "reference": "gh ab",
        "decoding": decoding, "rounds": 2});
    let lines = server.lines("compare", &request);
    let both = format!("{},{}", models.path("monster"), models.path("target"));
    let plain = command(&[
        "compare-text",
        "--models",
        &both,
        "--prompt",
        "ab cd",
        "--seed",
        "4",
        "--reference",
        "gh ab",
        "--temperature",
        "1.1",
        "--max-new",
        "12",
        "--rounds",
        "2",
    ]);
    let done = lines.last().unwrap();
    for place in [0, 1] {
        let fields = ["model", "prompt_ids", "ids", "text", "bytes_b64", "finish", "scores"];
        same(&done["models"][place], &plain["models"][place], &fields);
        let pieces = of(&lines, "piece").into_iter().filter(|line| line["of"] == place);
        let pieces: Vec<&Value> = pieces.collect();
        assert_eq!(joined(&pieces), done["models"][place]["text"].as_str().unwrap());
    }
}

/// Fails unless the rounds sum to what stands in the last line; gives how many candidates were accepted.
fn check_rounds(lines: &[Value]) -> u64 {
    let (rounds, done) = (of(lines, "round"), lines.last().unwrap());
    let all = |field: &str| -> Vec<Value> {
        rounds.iter().flat_map(|round| round[field].as_array().unwrap().clone()).collect()
    };
    let tokens = all("tokens");
    let ids: Vec<&Value> = tokens.iter().map(|token| &token["id"]).collect();
    assert_eq!(json!(ids), done["ids"]);
    let made = |kind: &str| tokens.iter().filter(|token| token["made"] == *kind).count() as u64;
    let (counts, totals) = (&done["counts"], &done["totals"]);
    assert_eq!(made("prefill"), 1);
    assert_eq!(counts["num_accepted_draft_tokens"], made("accepted"));
    assert_eq!(totals["accepted"], counts["num_accepted_draft_tokens"]);
    assert_eq!(totals["proposed"], counts["num_draft_tokens"]);
    assert_eq!(totals["emitted"], counts["num_step_tokens"]);
    assert_eq!(counts["num_draft_tokens"], all("candidates").len());
    let reached = counts["reached_by_position"].as_array().unwrap();
    let reached: u64 = reached.iter().map(|own| own.as_u64().unwrap()).sum();
    assert_eq!(totals["reached"], reached);
    let alpha = &done["rates"]["alpha"];
    let expected = (reached > 0).then(|| made("accepted") as f64 / reached as f64);
    assert_eq!(alpha["value"].as_f64(), expected);
    assert!(alpha["low"].as_f64() <= alpha["value"].as_f64());
    let cut = done["draft_pieces"].as_array().unwrap().iter();
    let cut: String = cut.map(|own| own.as_str().unwrap()).collect();
    assert_eq!(cut, done["text"].as_str().unwrap(), "the draft's tokens are of the same text");
    made("accepted")
}

/// The stream is the loop's: ids and counts are those of `spec bench`, and the rounds sum to them.
#[test]
fn speculation_is_that_of_bench() {
    let models = Models::new(SPEC);
    let server = Server::start(&models, &[]);
    let prompts = models.prompts(&[json!({"prompt": "ab cd, ab", "category": "x"})]);
    let mut accepted = 0;
    for (temperature, method) in
        [("0", "auto"), ("1", "auto"), ("0", "slem"), ("0.7", "tli"), ("1", "tree")]
    {
        let out = models.folder.path().join(format!("run-{temperature}-{method}"));
        let flags = format!(
            "--method {method} --temperature {temperature} --seed 3 --warmup 0 --repeats 1 --out"
        );
        let flags: Vec<&str> = flags.split(' ').chain([out.to_str().unwrap()]).collect();
        stdout(&models.bench_on("draft", &prompts, &flags));
        let records = std::fs::read_to_string(out.join("records.jsonl")).unwrap();
        let mut records = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let record = records.find(|record| record["method"] != "plain").unwrap();

        let number: f64 = temperature.parse().unwrap();
        let named = (method != "auto").then_some(method);
        let request = json!({"prompt": "ab cd, ab", "method": named, "plain": true,
            "decoding": {"temperature": number, "max_new": 20, "seed": 3}});
        let lines = server.lines("speculate", &request);
        let done = lines.last().unwrap();
        same(done, &record, &["ids", "text", "finish", "counts"]);
        let plain = &done["plain"];
        assert_eq!(plain["identical"].as_bool(), (number == 0.0).then_some(true));

        accepted += check_rounds(&lines);
    }
    assert!(accepted > 0, "no candidate was ever accepted");
    let identity = json!({"prompt": "ab", "method": "identity", "decoding": {"max_new": 3}});
    let answer = server.post("speculate", &identity);
    assert_eq!(
        (answer.status, answer.error().contains("vocabulary")),
        (422, true),
        "{}",
        answer.body
    );
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    let models = Models::new(SPEC);
    let server = Server::start(&models, &["--max-tokens", "100"]);
    let long = "ab gh ".repeat(60);
    let four = json!({"max_new": 4});
    let generate = |more: Value| {
        let mut request = json!({"model": "target", "prompt": "ab", "decoding": four});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let wrong = [
        ("generate", generate(json!({"prompt": long})), 422, "context is 64"),
        ("explore", generate(json!({"prompt": long})), 422, "context is 64"),
        ("generate", generate(json!({"prompt": ""})), 422, "prompt is empty"),
        ("generate", generate(json!({"model": "nobody"})), 422, "no model `nobody`"),
        ("generate", generate(json!({"extra": 1})), 400, "unknown field `extra`"),
        ("generate", json!({"prompt": "ab"}), 400, "missing field `model`"),
        ("generate", generate(json!({"decoding": {"max_new": 101}})), 422, "100"),
        ("generate", generate(json!({"decoding": {"temperature": -1}})), 422, "temperature"),
        ("generate", generate(json!({"decoding": {"top_p": 0}})), 422, "top-p"),
        ("explore", generate(json!({"top": 51})), 422, "1 to 50"),
        ("sweep", generate(json!({"temperatures": [0.5, 1], "samples": 13})), 422, "26 texts of 4"),
        ("sweep", generate(json!({"temperatures": [1, 1]})), 422, "twice"),
        ("sweep", generate(json!({"temperatures": [1], "samples": 0})), 422, "one token at least"),
        (
            "compare",
            json!({"models": ["target", "target"], "prompt": "ab", "decoding": four}),
            422,
            "choose two",
        ),
        ("compare", json!({"models": ["target"], "prompt": "ab"}), 400, "cannot be read"),
        ("speculate", json!({"prompt": long, "decoding": four}), 422, "context is 64"),
        ("speculate", json!({"prompt": "ab Z", "decoding": four}), 422, "lacks characters"),
        ("speculate", json!({"prompt": "ab"}), 422, "max_new"),
        ("speculate", json!({"prompt": "ab", "gamma": 99, "decoding": four}), 422, "1 to 16"),
        ("speculate", json!({"prompt": "ab", "method": "magic"}), 400, "magic"),
        ("nothing", json!({}), 404, "no mode"),
        ("generate", generate(json!({"prompt": "a".repeat(70_000)})), 413, "64 KiB"),
    ];
    for (mode, request, status, part) in wrong {
        let answer = server.post(mode, &request);
        assert_eq!(answer.status, status, "{mode}: {}", answer.body);
        let error = answer.error();
        assert!(error.contains(part) && error.lines().count() == 1, "{mode}: {error}");
        assert!(answer.headers.contains("content-security-policy"), "{}", answer.headers);
    }
    // After all that it still works.
    server.lines("generate", &generate(json!({})));
}

#[test]
fn only_its_own_page_may_talk_to_it() {
    let models = Models::new(SPEC);
    let server = Server::start(&models, &[]);
    let own = server.own_headers();
    assert_eq!(server.ask("POST /api/generate", &own, "{").status, 400);
    let kind = own.replace("application/json", "text/plain");
    assert_eq!(server.ask("POST /api/generate", &kind, "{}").status, 415);
    assert_eq!(server.ask("GET /api/generate", &own, "").status, 405);
    let page = server.ask("GET /", &format!("Host: {}\r\n", server.host), "");
    assert_eq!(page.status, 200);
    let policy = page.headers.lines().find(|line| line.starts_with("content-security-policy"));
    let policy = policy.unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(page.headers.contains("nosniff") && page.body.starts_with("<!doctype html>"));
    let port = server.host.rsplit(':').next().unwrap();
    let about = server.ask("GET /api/about", &format!("Host: localhost:{port}\r\n"), "");
    let about: Value = serde_json::from_str(&about.body).unwrap();
    assert_eq!((&about["draft"], &about["target"]), (&json!("draft"), &json!("target")));
    assert_eq!(about["models"].as_array().unwrap().len(), 3);
    for host in [format!("evil.example:{port}"), "127.0.0.1:1".to_owned(), String::new()] {
        for head in ["GET /", "GET /api/about", "POST /api/generate"] {
            let answer = server.ask(head, &format!("Host: {host}\r\n"), "");
            assert_eq!(answer.status, 403, "{host}: {}", answer.body);
            assert!(answer.error().contains("--allow-host"));
        }
    }
    let foreign = format!("Host: {}\r\nOrigin: http://evil.example\r\n", server.host);
    assert_eq!(server.ask("POST /api/generate", &foreign, "{}").status, 403);
}

/// One endless request takes the only place; when its client leaves, the place is free again.
#[test]
fn it_is_busy_until_the_client_leaves() {
    let models = Models::new(SPEC);
    let limits = ["--at-once", "1", "--max-tokens", "1000000000000"];
    let server = Server::start(&models, &limits);
    let endless = json!({"model": "target", "prompt": "ab", "temperatures": [1.0],
        "samples": 1_000_000_000, "decoding": {"max_new": 50, "ignore_eos": true}});
    let mut first = BufReader::new(server.begin("sweep", &endless));
    let mut line = String::new();
    while !line.contains("begun") {
        line.clear();
        first.read_line(&mut line).unwrap();
    }
    let small = json!({"model": "target", "prompt": "ab", "decoding": {"max_new": 3}});
    let refused = server.post("generate", &small);
    assert_eq!(refused.status, 503);
    assert!(refused.error().contains("busy"), "{}", refused.body);
    drop(first);
    let answered = (0..20_000).any(|_| server.post("generate", &small).status == 200);
    assert!(answered, "the work of a client that left goes on");
    server.lines("generate", &small);
}

#[test]
fn what_cannot_be_served_is_one_line() {
    let models = Models::new(SPEC);
    let (draft, target) = (models.path("draft"), models.path("target"));
    let run = |flags: &[&str]| {
        SPEC.run(
            &[&["demo", "--draft", &draft, "--target", &target, "--port", "0"], flags].concat(),
        )
    };
    assert_one_line(&run(&["--host", "0.0.0.0"]), &["other machines", "--public"]);
    assert_one_line(&run(&["--host", "example.org"]), &["no address", "127.0.0.1"]);
    assert_one_line(&run(&["--at-once", "0"]), &["--at-once is at least 1"]);
    assert_one_line(&run(&["--model", "nothing-here"]), &["nothing-here"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = SPEC.run(&["demo", "--draft", &draft, "--target", &target, "--port", &port]);
    assert_one_line(&output, &["cannot listen", &port, "--port 0"]);
}
