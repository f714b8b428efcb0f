//! The report as a Markdown page: the figures of every case, provenance, and the definitions at the
//! end. It lays out what `report` words.

use super::headline::{headline, of_case};
use super::leaderboard::{self, Names};
use super::{
    CATEGORY_COLUMNS, OVERVIEW_COLUMNS, case_rows, category_rows, difference_rows, estimate,
    method_note, model, overview, remarks, shown, whole,
};
use crate::bench::record::{CaseSummary, Estimate, Header, Metrics, ModelInfo, Report};

/// The whole page.
pub fn render(report: &Report) -> String {
    let [title, run] = headline(report);
    let mut lines = vec![format!("# {}", escaped(&title)), String::new(), escaped(&run) + "."];
    let rows = overview(report);
    if !rows.is_empty() {
        let right = [false, true, true, true, true, true];
        lines.extend(["", "## Cases", ""].map(str::to_owned));
        lines.extend(grid(&OVERVIEW_COLUMNS, &right, rows));
    }
    let rows = difference_rows(report);
    if !rows.is_empty() {
        lines.extend(["", "## Differences", ""].map(str::to_owned));
        lines.extend(grid(&["on the same prompts", "", "difference"], &[false, false, true], rows));
    }
    if let Some((header, rows)) = leaderboard::rows(report, Names::Full) {
        lines.extend(["", "## Spec-Bench", ""].map(str::to_owned));
        let right = [false, true, true, true, true, true, true, true, true];
        lines.extend(grid(&header.each_ref().map(String::as_str), &right, rows));
    }
    for case in shown(report) {
        lines.extend(section(case));
    }
    lines.extend(["", "## Remarks", ""].map(str::to_owned));
    for (label, text) in remarks(report) {
        lines.push(format!("- {label}: {}", escaped(&text)));
    }
    lines.push(format!("- {}", method_note(report)));
    lines.extend(["", "## Provenance", "", "```sh"].map(str::to_owned));
    lines.push(command_line(&report.header.command_line));
    lines.extend(["```", ""].map(str::to_owned));
    lines.extend(grid(&["", ""], &[false, false], provenance(report)));
    lines.extend(["", "## Definitions", ""].map(str::to_owned));
    let definition = |(name, meaning): (&String, &String)| [format!("`{name}`"), meaning.clone()];
    let definitions = report.definitions.iter().map(definition);
    lines.extend(grid(&["name", "meaning"], &[false, false], definitions));
    lines.join("\n") + "\n"
}

fn section(case: &CaseSummary) -> Vec<String> {
    let metrics = &case.overall;
    let mut lines = vec![String::new(), format!("## {}", escaped(&case.case)), String::new()];
    lines.push(format!(
        "{}; {} prompts, {} generations.",
        of_case(&case.settings),
        metrics.prompts,
        metrics.generations
    ));
    lines.push(String::new());
    let rows = case_rows(case).into_iter().map(|row| [row.label, row.value, row.note]);
    lines.extend(grid(&["", "value", ""], &[false, true, false], rows));
    let positions = position_rows(metrics);
    if !positions.is_empty() {
        lines.push(String::new());
        lines.extend(grid(&POSITION_COLUMNS, &[true; 4], positions));
    }
    let categories = category_rows(case);
    if !categories.is_empty() {
        let right = [false, true, true, true, true, true, true];
        lines.push(String::new());
        lines.extend(grid(&CATEGORY_COLUMNS, &right, categories));
    }
    lines
}

const POSITION_COLUMNS: [&str; 4] =
    ["position", "steps that proposed it", "survival, of all steps", "conditional on the last"];

/// Acceptance by position, with intervals.
fn position_rows(metrics: &Metrics) -> Vec<[String; 4]> {
    let shares = metrics.acceptance_by_position.iter();
    let shares = shares.zip(&metrics.conditional_acceptance_by_position);
    let proposed = |place| metrics.counts.proposed_by_position.get(place).copied().unwrap_or(0);
    let row = |(place, (survival, conditional)): (usize, (&Estimate, &Estimate))| {
        let steps = whole(proposed(place));
        [(place + 1).to_string(), steps, estimate(survival), estimate(conditional)]
    };
    shares.enumerate().map(row).collect()
}

/// A Markdown table; the columns marked are set to the right.
pub(crate) fn grid<const N: usize>(
    header: &[&str; N],
    right: &[bool; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Vec<String> {
    let rule = right.map(|right| if right { "---:" } else { "---" });
    let mut lines =
        vec![format!("| {} |", header.join(" | ")), format!("| {} |", rule.join(" | "))];
    lines.extend(rows.into_iter().map(|row| {
        let cells = row.map(|cell| escaped(&cell));
        format!("| {} |", cells.join(" | "))
    }));
    lines
}

/// Text that neither ends a cell or line nor opens a tag.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ").replace('<', "&lt;")
}

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

/// A case with what its name does not say.
fn case_in_full(case: &CaseSummary) -> String {
    let own = &case.settings;
    let (reason, tail) = (&own.method_reason, &own.tail_policy);
    let temperature = own.draft_temperature;
    format!(
        "{}: {} ({reason}); draft temperature {temperature}; tail policy: {tail}",
        case.case,
        of_case(own)
    )
}

/// What else is needed to run this again.
pub(super) fn provenance(report: &Report) -> Vec<[String; 2]> {
    let header: &Header = &report.header;
    let settings = &header.settings;
    let optional = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let commit = optional(header.git_commit.clone());
    let mut rows = vec![
        ("run", header.run.clone()),
        ("version", format!("{}, commit {commit}", header.version)),
        ("started", header.started.clone()),
    ];
    let whole = |own: &ModelInfo| format!("{}; {}; {}", model(own), place(own), hashes(own));
    rows.extend(header.drafts.iter().map(|draft| ("draft", whole(draft))));
    rows.push(("target", whole(&header.target)));
    let cases = report.cases.iter().filter(|case| !case.settings.is_plain());
    rows.extend(cases.map(|case| ("case", case_in_full(case))));
    if let Some(trace) = &header.trace {
        rows.push(("trace", format!("{}, SHA-256 {}", trace.path, trace.sha256)));
    }
    rows.extend([
        (
            "device",
            format!(
                "{} ({}), {}, {} threads",
                header.device, header.processor, header.dtype, header.threads
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{Counts, Seconds, VocabularyPanel};
    use crate::report::definitions;
    use crate::report::samples::report;
    use serde::Serialize;

    #[test]
    fn the_page_of_six_prompts() {
        let page = render(&report());
        for line in [
            "# llama-68m drafts for llama-3.1-8b: slem, gamma 2, temperature 0",
            "| acceptance rate, pooled | 0.430 [0.333, 0.525] | 43 of 100 candidates |",
            "| 2 | 50 | 0.283 [0.200, 0.375] | 0.536 [0.400, 1.00] |",
            "| coding | 3 | 0.700 | 2.35 | 1.16 | 11.6 | 10.0 |",
            "- skipped: rag 2 too long and 1 inexpressible, qa 3 inexpressible",
            "- warning: the draft maps &lt;unk> \\| nothing",
            r"spec bench --draft 'it'\''s'",
            "| case | slem: slem, gamma 2, temperature 0 (asked for); draft temperature 0; tail \
             policy: drop |",
            "| `num_draft_tokens` | candidates handed to the verifier, in target tokens, after the \
             tail rule; for trees the nodes |",
        ] {
            assert!(page.lines().any(|found| found == line), "no line {line}\n{page}");
        }
    }

    #[test]
    fn every_table_is_whole() {
        let page = render(&report());
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        for (line, next) in page.lines().zip(page.lines().skip(1)) {
            if line.starts_with('|') && next.starts_with('|') {
                assert_eq!(bars(line), bars(next), "{line}\n{next}");
            }
        }
    }

    fn names(value: impl Serialize) -> Vec<String> {
        let value = serde_json::to_value(value).expect("a value");
        value.as_object().expect("an object").keys().cloned().collect()
    }

    #[test]
    fn every_metric_has_a_definition() {
        let definitions = definitions();
        let names = [names(Metrics::default()), names(Counts::default())].concat();
        for name in names {
            assert!(definitions.contains_key(&name), "{name} is not defined");
        }
        for name in names_of_parts() {
            assert!(definitions.values().any(|text| text.contains(&name)), "{name} is not named");
        }
    }

    fn names_of_parts() -> Vec<String> {
        let panel = VocabularyPanel {
            draft: String::new(),
            draft_tokens: 1,
            target_tokens: 1,
            shared: 1,
            share_of_draft: 1.0,
            share_of_target: 1.0,
        };
        let mut names = [names(Seconds::default()), names(panel)].concat();
        let plain = ["draft", "shared", "draft_tokens", "target_tokens"];
        names.retain(|name| !plain.contains(&name.as_str()));
        names
    }

    #[test]
    fn reports_survive_the_file() {
        let text = serde_json::to_string(&report()).expect("text");
        let read: Report = serde_json::from_str(&text).expect("a report");
        let value: serde_json::Value = serde_json::from_str(&text).expect("a value");
        assert_eq!(serde_json::to_value(read).expect("a value"), value);
    }
}
