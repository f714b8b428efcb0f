//! What is needed to run a bench again, and where its models come from.

use super::headline::of_case;
use super::model;
use crate::bench::record::{Header, ModelInfo, Report};

/// The command line as a shell takes it.
pub(crate) fn command_line(arguments: &[String]) -> String {
    let special = |byte: u8| !byte.is_ascii_alphanumeric() && !b"-_./:=,@+%".contains(&byte);
    let quoted = |argument: &String| {
        if argument.is_empty() || argument.bytes().any(special) {
            format!("'{}'", argument.replace('\'', r"'\''"))
        } else {
            argument.clone()
        }
    };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Where a model comes from.
fn place(model: &ModelInfo) -> String {
    match model.source.as_str() {
        "" => model.path.clone(),
        source => format!("{source} {}", model.path),
    }
}

/// What a model's files are.
fn hashes(model: &ModelInfo) -> String {
    let short = |hash: &Option<String>| match hash {
        Some(hash) => hash.chars().take(16).collect(),
        None => "-".to_owned(),
    };
    let (weights, tokenizer) = (short(&model.weights_sha256), short(&model.tokenizer_sha256));
    format!("SHA-256 of weights {weights}…, of tokenizer {tokenizer}…")
}

/// What else is needed to run this again.
pub(crate) fn provenance(report: &Report) -> Vec<[String; 2]> {
    let header: &Header = &report.header;
    let settings = &header.settings;
    let optional = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let commit = optional(header.git_commit.clone());
    let mut rows = vec![
        ("run", header.run.clone()),
        ("version", format!("{}, commit {commit}", header.version)),
        ("started", header.started.clone()),
    ];
    for draft in &header.drafts {
        rows.push(("draft", format!("{}; {}; {}", model(draft), place(draft), hashes(draft))));
    }
    let target = &header.target;
    rows.push(("target", format!("{}; {}; {}", model(target), place(target), hashes(target))));
    rows.extend(cases(report));
    if let Some(trace) = &header.trace {
        rows.push(("trace", format!("{}, SHA-256 {}", trace.path, trace.sha256)));
    }
    rows.extend([
        (
            "device",
            format!(
                "{} ({}), {}, {} threads, engine {}",
                header.device, header.processor, header.dtype, header.threads, header.engine
            ),
        ),
        ("torch", header.torch.clone()),
        ("seed", header.seed.to_string()),
        ("top-k", optional(settings.top_k.map(|k| k.to_string()))),
        ("top-p", optional(settings.top_p.map(|p| p.to_string()))),
        ("repetition penalty", settings.repetition_penalty.to_string()),
        ("new tokens at most", settings.max_new.to_string()),
        ("repeats", settings.repeats.to_string()),
        ("warm-up prompts", settings.warmup.to_string()),
        ("ignore end-of-text", settings.ignore_eos.to_string()),
        ("long prompts", settings.long_prompts.clone()),
        ("template", settings.template.clone()),
        ("limit", optional(settings.limit.map(|limit| limit.to_string()))),
        ("prompts", format!("{}, SHA-256 {}", header.prompts.source, header.prompts.sha256)),
    ]);
    rows.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
}

/// How each case drafts and why so.
fn cases(report: &Report) -> impl Iterator<Item = (&'static str, String)> {
    let cases = report.cases.iter().filter(|case| !case.settings.is_plain());
    cases.map(|case| {
        let own = &case.settings;
        let (reason, tail) = (&own.method_reason, &own.tail_policy);
        let temperature = own.draft_temperature;
        let text = format!(
            "{}: {} ({reason}); draft temperature {temperature}; tail policy: {tail}",
            case.case,
            of_case(own)
        );
        ("case", text)
    })
}
