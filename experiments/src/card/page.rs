//! The page of a card: what the model is, how it was trained, what was measured and what was not, and by
//! which program. It lays out what runs left behind.

use std::fmt::Write;

use serde_json::Value;

use super::Card;
use super::evidence::{Evidence, Run};
use super::measured::{Measured, Task};
use super::tables;
use super::training::{Training, picture};
use crate::bench::record::Report;
use crate::report::markdown::{command_line, grid};
use crate::report::whole;

/// The whole page.
pub fn page(card: &Card) -> String {
    let mut out = format!("# {}\n\n", plain(card.name()));
    let is_draft = card.of(Evidence::bench).next().is_some();
    out.push_str(if is_draft {
        "A draft language model for speculative decoding. Every figure below is of a run that is named under \
         provenance; square brackets are 95 % intervals.\n"
    } else {
        "A language model. Every figure below is of a run that is named under provenance; square brackets are \
         95 % intervals.\n"
    });
    if let Some(note) = card.info().and_then(|info| info.note.as_ref()) {
        let _ = write!(out, "\n**Note: {}.**\n", plain(note));
    }
    section(&mut out, "Architecture", &grid(&["", ""], &[false; 2], tables::architecture(card)));
    for (index, (run, own)) in card.of(Evidence::training).enumerate() {
        training(&mut out, (index, run), own);
    }
    evaluations(&mut out, card);
    for (run, report) in card.of(Evidence::bench) {
        acceptance(&mut out, run, report);
    }
    for (run, report) in card.of(Evidence::lossless) {
        lossless(&mut out, run, report);
    }
    usage(&mut out, card);
    limits(&mut out, card);
    provenance(&mut out, card);
    out
}

fn section(out: &mut String, title: &str, lines: &[String]) {
    let _ = write!(out, "\n## {title}\n\n{}\n", lines.join("\n"));
}

fn training(out: &mut String, (index, run): (usize, &Run), own: &Training) {
    let title = format!("Training: {}", plain(&run.name));
    section(out, &title, &grid(&["", ""], &[false; 2], tables::training(own)));
    let rows = tables::curve(own);
    if rows.is_empty() {
        out.push_str("\nThe run was not evaluated.\n");
    } else {
        let head =
            ["step", "tokens", "training loss", "evaluation loss", "bits per byte", "acceptance"];
        let lines = grid(&head, &[true; 6], rows);
        let _ = write!(
            out,
            "\nLosses in nats; that of training is the mean since the row before.\n\n{}\n",
            lines.join("\n")
        );
    }
    if own.picture.is_some() {
        let _ = write!(out, "\n![Training and evaluation losses]({})\n", picture(index));
    }
    let figures = own.comparison.as_ref().and_then(|own| own["figures"].as_array());
    let Some(figures) = figures else { return };
    let number =
        |value: &Value| value.as_f64().map_or_else(|| "–".to_owned(), |own| format!("{own:.4}"));
    let rows = figures.iter().map(|own| {
        let gain = &own["difference"];
        [
            own["name"].as_str().unwrap_or_default().replace('_', " "),
            number(&own["a"]),
            number(&own["b"]),
            format!(
                "{} [{}, {}]",
                number(&gain["value"]),
                number(&gain["low"]),
                number(&gain["high"])
            ),
        ]
    });
    let lines = grid(&["", "before", "after", "difference"], &[false, true, true, true], rows);
    let _ = write!(
        out,
        "\nBefore and after distillation, on the same prompts:\n\n{}\n",
        lines.join("\n")
    );
}

fn evaluations(out: &mut String, card: &Card) {
    let found = card.measured.iter().filter(|own| own.task == Task::Evaluation);
    let row = |own: &Measured| {
        let of = own.of.as_ref().map_or_else(String::new, |of| format!("{of}: "));
        let [value, sure] = tables::figure(own);
        let limit =
            own.data.limit.map_or_else(|| "all".to_owned(), |limit| format!("limit {limit}"));
        [own.data.name.clone(), format!("{of}{}", own.name), value, sure, limit]
    };
    let rows: Vec<[String; 5]> = found.map(row).collect();
    if rows.is_empty() {
        return;
    }
    let head = ["data", "figure", "value", "interval or error", "how much"];
    section(out, "Evaluation", &grid(&head, &[false, false, true, true, false], rows));
}

fn acceptance(out: &mut String, run: &Run, report: &Report) {
    let header = &report.header;
    let settings = &header.settings;
    let title = format!("Acceptance by {}: {}", plain(&header.target.name), plain(&run.name));
    let (cases, categories) = tables::cases(report);
    let head = ["case", "draft", "T", "acceptance rate", "mean acceptance length", "speed-up"];
    section(out, &title, &grid(&head, &[false, false, true, true, true, true], cases));
    let _ = write!(
        out,
        "\nTarget: {}. {} of {} prompts of {}, up to {} new tokens, on {} in {}, threads: {}. A speed-up is \
         the ratio to plain decoding, timed prompt by prompt in the same run; below 1 it is a loss.\n",
        plain(&crate::report::model(&header.target)),
        whole(header.prompts.run as u64),
        whole(header.prompts.total as u64),
        plain(&header.prompts.source),
        settings.max_new,
        plain(&header.device),
        plain(&header.dtype),
        header.threads,
    );
    if !categories.is_empty() {
        let head = ["case", "category", "prompts", "acceptance rate", "mean acceptance length"];
        let lines = grid(&head, &[false, false, true, true, true], categories);
        let _ = write!(out, "\n{}\n", lines.join("\n"));
    }
}

fn lossless(out: &mut String, run: &Run, report: &Value) {
    let holds = match report["holds"].as_bool() {
        Some(true) => {
            "All that was checked holds: speculative decoding gave the target’s own text."
        }
        Some(false) => "**Something that was checked does not hold: it is not lossless.**",
        None => "The report does not say whether it holds.",
    };
    section(out, &format!("Losslessness: {}", plain(&run.name)), &[holds.to_owned()]);
}

fn usage(out: &mut String, card: &Card) {
    let target =
        card.of(Evidence::bench).map(|(_, report)| report.header.target.name.as_str()).next();
    let target = target.map_or_else(String::new, |target| format!(" --target {}", quoted(target)));
    let lines = vec![
        "With its files in a folder, by [spec](https://github.com/spec-draft/spec):".to_owned(),
        String::new(),
        "```sh".to_owned(),
        "spec generate --model FOLDER --prompt 'Once upon a time'".to_owned(),
        format!("spec bench --draft FOLDER{target}"),
        "```".to_owned(),
    ];
    section(out, "Use", &lines);
    if card.info().is_some_and(|info| info.tokenizer.starts_with("TokenMonster")) {
        out.push_str(
            "\nIts tokenizer is a TokenMonster vocabulary, which transformers does not read by itself.\n",
        );
    }
}

/// What was not measured, and the doubts that runs had themselves.
fn limits(out: &mut String, card: &Card) {
    let mut lines = Vec::new();
    let has = |part: &str| card.measured.iter().any(|own| own.name.contains(part));
    let is_compared = card.of(Evidence::training).any(|(_, own)| own.comparison.is_some());
    let is_benched = card.of(Evidence::bench).next().is_some();
    let missing = [
        ("training", card.of(Evidence::training).next().is_none()),
        ("bits per byte of text", !has("bits per byte")),
        ("accuracy on a suite of questions or pairs", !has("accuracy")),
        ("acceptance by a target", !is_benched && !is_compared),
        ("losslessness of a pair", card.of(Evidence::lossless).next().is_none()),
    ];
    for (what, _) in missing.iter().filter(|(_, is_missing)| *is_missing) {
        lines.push(format!("- Not measured here: {what}."));
    }
    lines.push("- Not measured here: safety, bias, and whether what it says is true.".to_owned());
    if card.said.licence.is_none() {
        lines.push("- No licence is stated.".to_owned());
    }
    for (run, report) in card.of(Evidence::bench) {
        lines.extend(
            report.warnings.iter().map(|own| format!("- {}: {}.", plain(&run.name), plain(own))),
        );
        lines.push(format!(
            "- Acceptance by {} foretells nothing about other targets.",
            plain(&report.header.target.name)
        ));
    }
    section(out, "Limits", &lines);
}

fn provenance(out: &mut String, card: &Card) {
    let mut rows: Vec<[String; 3]> = Vec::new();
    if let Some(info) = card.info() {
        let hashes = [("weights", &info.weights_sha256), ("tokenizer", &info.tokenizer_sha256)];
        for (what, hash) in hashes {
            if let Some(hash) = hash {
                rows.push(["model".to_owned(), format!("SHA-256 of the {what}"), hash.clone()]);
            }
        }
    }
    let mut commands = Vec::new();
    for run in &card.runs {
        let mut row = |what: &str, value: Option<String>| {
            if let Some(value) = value {
                rows.push([run.name.clone(), what.to_owned(), value]);
            }
        };
        let header = match &run.evidence {
            Evidence::Training(own) => {
                row("seed", Some(own.recipe.seed.to_string()));
                continue;
            }
            Evidence::Bench(report) => serde_json::to_value(&report.header).unwrap_or_default(),
            Evidence::Evaluation(own) => own.report["header"].clone(),
            Evidence::Lossless(report) => report["header"].clone(),
        };
        for (what, path) in FACTS {
            row(what, header.pointer(path).and_then(shown));
        }
        let words =
            header["command_line"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let words: Vec<String> = words.map(str::to_owned).collect();
        if !words.is_empty() {
            commands.push(command_line(&words));
        }
    }
    section(out, "Provenance", &grid(&["run", "", ""], &[false; 3], rows));
    if !commands.is_empty() {
        let _ = write!(out, "\n```sh\n{}\n```\n", commands.join("\n"));
    }
}

/// What the header of a report says of how it was made.
const FACTS: [(&str, &str); 10] = [
    ("program", "/version"),
    ("commit", "/git_commit"),
    ("started", "/started"),
    ("seed", "/seed"),
    ("device", "/device"),
    ("element type", "/dtype"),
    ("threads", "/threads"),
    ("SHA-256 of the text scored", "/data/sha256"),
    ("SHA-256 of the prompts", "/prompts/sha256"),
    ("SHA-256 of the target’s weights", "/target/weights_sha256"),
];

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Text that is nothing but text in Markdown.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
    }
    out
}

/// A word of a command as a shell reads it.
fn quoted(word: &str) -> String {
    command_line(&[word.to_owned()])
}
