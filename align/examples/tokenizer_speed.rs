//! How fast a TokenMonster vocabulary encodes and decodes: MB/s of text on one core, and with
//! documents shared out over all threads.
//!
//! Every round does each job once, so that other work on the machine meets all of them alike; what
//! counts is the median round. Timings of two builds compare only if the two took turns.

#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use align::tokenmonster::Vocab;
use serde_json::json;

const USAGE: &str = "usage: tokenizer_speed --vocab FILE.vocab --text FILE [--rounds N] [--json]

  --vocab FILE  a TokenMonster vocabulary
  --text FILE   the text that is encoded; cut at line ends into documents of about 16 KiB
  --rounds N    how often each job is timed (default 5)
  --json        one JSON object instead of a table";

/// Documents end at the first line end from here on.
const DOCUMENT: usize = 16 * 1024;

struct Arguments {
    vocab: PathBuf,
    text: PathBuf,
    rounds: usize,
    json: bool,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("tokenizer_speed: {message}");
            ExitCode::from(2)
        }
    }
}

fn arguments() -> Result<Arguments, String> {
    let (mut vocab, mut text, mut rounds, mut json) = (None, None, 5, false);
    let mut given = std::env::args().skip(1);
    while let Some(flag) = given.next() {
        let mut value = || given.next().ok_or(format!("{flag} wants a value\n\n{USAGE}"));
        match flag.as_str() {
            "--vocab" => vocab = Some(PathBuf::from(value()?)),
            "--text" => text = Some(PathBuf::from(value()?)),
            "--rounds" => {
                let value = value()?;
                rounds = value
                    .parse()
                    .ok()
                    .filter(|rounds| *rounds > 0)
                    .ok_or(format!("--rounds {value}: give a number from 1 on"))?;
            }
            "--json" => json = true,
            _ => return Err(format!("{flag} is no flag of this tool\n\n{USAGE}")),
        }
    }
    match (vocab, text) {
        (Some(vocab), Some(text)) => Ok(Arguments { vocab, text, rounds, json }),
        _ => Err(format!("a vocabulary and a text are needed\n\n{USAGE}")),
    }
}

/// What one job took, round by round.
struct Job {
    name: &'static str,
    seconds: Vec<f64>,
}

impl Job {
    fn new(name: &'static str) -> Self {
        Self { name, seconds: Vec::new() }
    }

    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = std::hint::black_box(work());
        self.seconds.push(started.elapsed().as_secs_f64());
        result
    }

    /// Slowest, median and fastest round in MB/s.
    fn speeds(&self, bytes: usize) -> [f64; 3] {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        [seconds.len() - 1, seconds.len() / 2, 0].map(|place| bytes as f64 / 1e6 / seconds[place])
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let vocab = Vocab::read(&arguments.vocab).map_err(|error| error.to_string())?;
    let text = std::fs::read(&arguments.text)
        .map_err(|error| format!("cannot read {}: {error}", arguments.text.display()))?;
    if text.is_empty() {
        return Err(format!("{} is empty", arguments.text.display()));
    }
    let documents = documents(&text);
    let mut jobs = ["encode", "encode_with_spans", "decode", "encode_all_threads"].map(Job::new);
    let (mut ids, mut decoded) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let [encode, spans, decode, all] = &mut jobs;
        ids = encode.time(|| vocab.encode(&text));
        spans.time(|| vocab.encode_with_spans(&text));
        decoded = decode.time(|| vocab.decode(&ids));
        all.time(|| vocab.encode_all(&documents));
    }
    let bytes = text.len();
    if arguments.json {
        let speed = |job: &Job| {
            let [slowest, median, fastest] = job.speeds(bytes);
            (job.name.to_owned(), json!({"slowest": slowest, "median": median, "fastest": fastest}))
        };
        let speeds: serde_json::Map<String, serde_json::Value> = jobs.iter().map(speed).collect();
        let facts = json!({
            "vocab": arguments.vocab.display().to_string(), "bytes": bytes, "ids": ids.len(),
            "documents": documents.len(), "threads": rayon::current_num_threads(),
            "rounds": arguments.rounds, "text_comes_back": decoded == text, "mb_per_s": speeds,
        });
        println!("{facts}");
        return Ok(());
    }
    println!(
        "{:.1} MB, {:.2} bytes an id, {} documents, {} threads; MB/s of text",
        bytes as f64 / 1e6,
        bytes as f64 / ids.len().max(1) as f64,
        documents.len(),
        rayon::current_num_threads()
    );
    println!("{:<20} {:>8} {:>8} {:>8}", "", "slowest", "median", "fastest");
    for job in &jobs {
        let [slowest, median, fastest] = job.speeds(bytes);
        println!("{:<20} {slowest:>8.1} {median:>8.1} {fastest:>8.1}", job.name);
    }
    Ok(())
}

/// `text` in pieces that end at line ends.
fn documents(text: &[u8]) -> Vec<&[u8]> {
    let (mut documents, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let from = DOCUMENT.min(rest.len());
        let end = rest[from..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(rest.len(), |at| from + at + 1);
        let (document, behind) = rest.split_at(end);
        documents.push(document);
        rest = behind;
    }
    documents
}
