//! A report as CSV (RFC 4180): a row a case and category, each estimate with its limits. Empty cells are
//! figures that there are not. The names of columns are those of `report.json`.

use super::view::{Shown, ShownCase, View};
use crate::bench::record::{Estimate, Metrics};

/// The rows, the names of the columns first.
pub(crate) fn render(view: &View<'_>) -> String {
    let runs = view.runs();
    let cases = || runs.iter().flat_map(|run| run.cases().into_iter().map(move |own| (run, own)));
    let most = cases().map(|(_, own)| own.case.overall.acceptance_by_position.len()).max();
    let positions = most.unwrap_or(0);
    let mut rows = Vec::new();
    for (run, shown) in cases() {
        rows.push(row(run, &shown, None, &shown.case.overall, positions));
        let categories = shown.case.by_category.iter();
        rows.extend(categories.map(|(name, own)| row(run, &shown, Some(name), own, positions)));
    }
    let Some(first) = rows.first() else { return String::new() };
    let line =
        |cells: Vec<&str>| cells.into_iter().map(quoted).collect::<Vec<_>>().join(",") + "\r\n";
    let names = line(first.iter().map(|(name, _)| name.as_str()).collect());
    let lines = rows.iter().map(|row| line(row.iter().map(|(_, cell)| cell.as_str()).collect()));
    [names].into_iter().chain(lines).collect()
}

type Row = Vec<(String, String)>;

/// A cell as it is, in quotes where it needs them.
fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn row(
    run: &Shown<'_>,
    shown: &ShownCase<'_>,
    category: Option<&str>,
    metrics: &Metrics,
    positions: usize,
) -> Row {
    let mut row = settings(run, shown);
    let mut cell = |name: &str, value: String| row.push((name.to_owned(), value));
    cell("scope", if category.is_none() { "overall" } else { "category" }.to_owned());
    cell("category", category.unwrap_or_default().to_owned());
    row.extend(counts(metrics));
    for (name, own) in estimates(metrics) {
        row.extend(limits(name, &own));
    }
    for position in 0..positions {
        let own = metrics.acceptance_by_position.get(position).copied().unwrap_or_default();
        row.extend(limits(&format!("acceptance_at_pos_{}", position + 1), &own));
    }
    row.extend(times(metrics));
    let costs = shown.case.costs.as_ref().filter(|_| category.is_none());
    let measured = costs.map(|own| own.measured).unwrap_or_default();
    row.extend(limits("decoding_speedup", &measured));
    for (name, value) in [
        ("predicted_decoding_speedup", costs.map(|own| own.predicted)),
        ("leviathan_decoding_speedup", costs.and_then(|own| own.leviathan)),
        ("cost_ratio", costs.map(|own| own.cost_ratio)),
    ] {
        row.push((name.to_owned(), optional(value)));
    }
    row
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn limits(name: &str, own: &Estimate) -> [(String, String); 3] {
    let cell = |suffix: &str, value| (format!("{name}{suffix}"), optional(value));
    [cell("", own.value), cell("_low", own.low), cell("_high", own.high)]
}

/// What tells the row's case from others.
fn settings(run: &Shown<'_>, shown: &ShownCase<'_>) -> Row {
    let (header, own) = (&run.report.header, &shown.case.settings);
    let size = |pick: fn(&target::propose::tree::Size) -> usize| {
        own.tree.as_ref().map_or_else(String::new, |tree| pick(tree).to_string())
    };
    let siblings = own.siblings.count.map_or_else(|| "auto".to_owned(), |count| count.to_string());
    [
        ("run", header.run.clone()),
        ("case", shown.name.clone()),
        ("draft", own.draft.clone()),
        ("target", header.target.name.clone()),
        ("method", own.method.clone()),
        ("verification", own.verification.to_string()),
        ("gamma", own.gamma.to_string()),
        ("auto", own.auto.to_string()),
        ("tree_nodes", size(|tree| tree.nodes)),
        ("beam", size(|tree| tree.beam)),
        ("siblings", siblings),
        ("temperature", own.temperature.to_string()),
        ("draft_temperature", own.draft_temperature.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn counts(metrics: &Metrics) -> Row {
    let counts = &metrics.counts;
    let histogram: Vec<String> =
        counts.acceptance_histogram.iter().map(ToString::to_string).collect();
    let mut row: Row = [
        ("prompts", metrics.prompts as u64),
        ("generations", metrics.generations as u64),
        ("num_spec_steps", counts.num_spec_steps),
        ("num_plain_steps", counts.num_plain_steps),
        ("num_draft_tokens", counts.num_draft_tokens),
        ("num_accepted_draft_tokens", counts.num_accepted_draft_tokens),
        ("num_emitted_tokens", counts.num_emitted_tokens),
        ("num_step_tokens", counts.num_step_tokens),
        ("draft_model_tokens", counts.draft_model_tokens),
        ("draft_model_passes", counts.draft_model_passes),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_string()))
    .into();
    row.push(("acceptance_histogram".to_owned(), histogram.join(" ")));
    row
}

fn estimates(metrics: &Metrics) -> [(&'static str, Estimate); 8] {
    [
        ("draft_acceptance_rate", metrics.draft_acceptance_rate),
        ("draft_acceptance_rate_prompt_mean", metrics.draft_acceptance_rate_prompt_mean),
        ("mean_acceptance_length", metrics.mean_acceptance_length),
        ("mean_accepted_tokens", metrics.mean_accepted_tokens),
        ("target_tokens_per_second", metrics.target_tokens_per_second),
        ("plain_tokens_per_second", metrics.plain_tokens_per_second),
        ("speedup", metrics.speedup),
        ("greedy_identical", metrics.greedy_identical.unwrap_or_default()),
    ]
}

fn times(metrics: &Metrics) -> Row {
    let seconds = &metrics.seconds;
    [
        ("seconds", Some(seconds.total)),
        ("seconds_prefill", Some(seconds.prefill)),
        ("seconds_draft", Some(seconds.draft)),
        ("seconds_align", Some(seconds.align)),
        ("seconds_verify", Some(seconds.verify)),
        ("seconds_other", Some(seconds.other)),
        ("finish_eos_share", metrics.finish_eos_share),
        ("repeating_share", metrics.repeating_share),
        ("bytes_per_token", metrics.bytes_per_token),
    ]
    .map(|(name, value)| (name.to_owned(), optional(value)))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::report;

    #[test]
    fn a_row_a_case_and_category_and_as_many_cells_as_names() {
        let mut report = report();
        report.cases[1].case = "a \"case\", quoted".to_owned();
        let text = render(&View::of(&report));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        let names: Vec<&str> = lines[0].split(',').collect();
        let of = |line: &str, name: &str| {
            let line = line.replace("\"a \"\"case\"\", quoted\"", "case");
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!(cells.len(), names.len(), "{line}");
            cells[names.iter().position(|own| *own == name).expect(name)].to_owned()
        };
        assert_eq!(of(lines[1], "draft_acceptance_rate"), "0.43");
        assert_eq!(of(lines[1], "scope"), "overall");
        assert_eq!(of(lines[2], "category"), "coding");
        assert_eq!(of(lines[2], "draft_acceptance_rate_low"), "", "too few prompts");
        assert_eq!(of(lines[1], "acceptance_histogram"), "25 13 15");
        assert!(text.contains("\"a \"\"case\"\", quoted\""));
    }
}
