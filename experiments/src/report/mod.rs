//! A report in words: the meaning of each name, numbers as text, and the rows that the table and
//! the Markdown page share. The figures come from `bench::summary`; layout is the business of
//! `table` and `markdown`. Nothing here prints.

pub(crate) mod headline;
mod leaderboard;
pub mod markdown;
pub mod next;
#[cfg(test)]
pub(crate) mod samples;
pub mod table;

use std::collections::BTreeMap;

use crate::bench::compare;
use crate::bench::record::{
    CaseDifference, CaseSummary, CostSpeedup, Costs, Estimate, Figure, Metrics, ModelInfo,
    PromptsInfo, Report, SecondsShare, VocabularyPanel,
};
use crate::questions::TITLE;
use crate::statistics::FEWEST_CLUSTERS;

/// A figure of the report: what it is, its text, a remark.
struct Row {
    label: String,
    value: String,
    note: String,
}

impl Row {
    fn new(label: &str, value: impl Into<String>, note: impl Into<String>) -> Self {
        Self { label: label.to_owned(), value: value.into(), note: note.into() }
    }
}

/// The meaning of each name in a record or report.
pub fn definitions() -> BTreeMap<String, String> {
    let own = |(name, meaning): &(&str, &str)| ((*name).to_owned(), (*meaning).to_owned());
    DEFINITIONS.iter().map(own).collect()
}

const DEFINITIONS: [(&str, &str); 42] = [
    ("prompts", "prompts with at least one generation"),
    ("generations", "prompts times repeats"),
    ("counts", "steps and tokens, summed over generations"),
    ("num_spec_steps", "target passes that verified at least one candidate"),
    (
        "num_plain_steps",
        "target passes without a candidate: speculation declined, or nothing proposed",
    ),
    (
        "num_draft_tokens",
        "candidates handed to the verifier, in target tokens, after the tail rule; for trees the \
         nodes",
    ),
    ("num_accepted_draft_tokens", "candidates accepted"),
    ("num_emitted_tokens", "target tokens emitted, the prefill's token included"),
    (
        "num_step_tokens",
        "target tokens emitted by steps; the prefill emits one token, is no step, and is left out",
    ),
    ("acceptance_histogram", "entry k, from 0: steps with exactly k candidates accepted"),
    (
        "acceptance_by_position",
        "entry i, from 1: in counts the steps with at least i candidates accepted, in metrics \
         their share of all steps (unconditional, plain steps in the denominator)",
    ),
    ("proposed_by_position", "entry i, from 1: steps with at least i candidates"),
    (
        "reached_by_position",
        "entry i, from 1: steps with an i-th candidate whose first i - 1 candidates were accepted",
    ),
    ("draft_model_tokens", "draft ids decoded by the draft model"),
    (
        "draft_model_passes",
        "passes of the draft model, the one of each step that reads what the target emitted included",
    ),
    ("draft_window_slides", "times the draft's window was moved on because its context was full"),
    (
        "draft_acceptance_rate",
        "num_accepted_draft_tokens / num_draft_tokens, pooled over prompts; for trees of the nodes",
    ),
    (
        "draft_acceptance_rate_prompt_mean",
        "mean over prompts of each prompt's accepted / candidates, prompts without candidates left \
         out",
    ),
    (
        "speedup_at_cost",
        "num_step_tokens / (steps + cost_ratio * draft_model_passes): the speed-up at this \
         acceptance where a pass of the draft costs cost_ratio of one of the target, and a pass \
         costs the same however many tokens it reads",
    ),
    (
        "mean_acceptance_length",
        "num_step_tokens / (num_spec_steps + num_plain_steps): the bonus or correction token \
         counts, the token emitted by the prefill does not, for the prefill is no step",
    ),
    (
        "conditional_acceptance_by_position",
        "entry i, from 1: steps with at least i accepted / reached_by_position of i: how often the \
         i-th candidate is accepted where its turn comes",
    ),
    (
        "target_tokens_per_second",
        "emitted tokens / seconds of this case, pooled over prompts, prefill of target and draft \
         included, loading and warm-up excluded",
    ),
    ("plain_tokens_per_second", "target_tokens_per_second of plain decoding on the same prompts"),
    (
        "speedup",
        "target_tokens_per_second / plain_tokens_per_second over the prompts that have both; the \
         two are resampled together",
    ),
    (
        "greedy_identical",
        "share of prompts whose ids, in every repeat, equal those of plain greedy decoding; null \
         above temperature 0; its interval is that of Clopper and Pearson",
    ),
    (
        "mean_accepted_tokens",
        "num_accepted_draft_tokens / (num_spec_steps + num_plain_steps): the acceptance length \
         without the correction or bonus",
    ),
    (
        "acceptance_by_probability",
        "candidates whose turn came, by the draft's probability of them at their place, and how many \
         of them were accepted: calibrated where acceptance lies in the bin; of drawn candidates the \
         probability in the law that they were drawn from",
    ),
    (
        "acceptance_by_entropy",
        "the same by the entropy in nats of the draft's law at their place, where that is known: for \
         trees of texts it is not",
    ),
    ("accepted_by_candidate", "entry i, from 0: steps that accepted candidate i of the proposal"),
    ("observed", "the counts of acceptance_by_probability and acceptance_by_entropy"),
    (
        "repeating_share",
        "share of prompts a text of which ends in a piece of up to 16 tokens that comes four times or \
         more in a row, and takes twelve tokens or more",
    ),
    (
        "costs",
        "seconds of passes as measured in the run, and the speed-up of decoding, both prefills left \
         out, as measured and as foretold: by Leviathan et al. (2211.17192), theorem 3.8, from alpha \
         (accepted / reached, pooled over positions) and cost_ratio; and from survival by position, \
         passes of both models and overhead",
    ),
    (
        "spec_bench",
        "the columns of Spec-Bench's leaderboard by its own definitions, for the tasks that were run: \
         ratios of means of each question's tokens/s, both turns together; no interval",
    ),
    ("greedy_prompts", "prompts compared with plain greedy decoding"),
    (
        "greedy_ties",
        "prompts that are not identical but differ first where the fp32 logit margin is under \
         1e-4; they are not in greedy_identical",
    ),
    ("seconds", "wall time: prefill, draft, align, verify, other; they sum to total"),
    ("seconds_share", "the parts of seconds over their total"),
    ("mean_emitted_tokens", "num_emitted_tokens / generations"),
    ("finish_eos_share", "share of generations that ended with an end-of-text token"),
    (
        "shared",
        "tokens that stand for the same bytes in both vocabularies; share_of_draft and \
         share_of_target divide them by the size of each",
    ),
    (
        "low, high",
        "95 % interval, null where fewer than five prompts inform the figure: BCa bootstrap over \
         prompts, stratified by category, a prompt with its repeats being one cluster",
    ),
    ("peak_memory_bytes", "of the process, mapped pages included, and of the device"),
];

/// Three significant digits, without an exponent down to a millionth.
pub(crate) fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let scientific = format!("{value:.2e}");
    let exponent: i32 =
        scientific.split_once('e').and_then(|(_, digits)| digits.parse().ok()).unwrap_or(0);
    match exponent {
        ..-6 => scientific,
        -6..=2 => format!("{value:.*}", (2 - exponent) as usize),
        _ => {
            let unit = 10_f64.powi(exponent - 2);
            format!("{:.0}", (value / unit).round() * unit)
        }
    }
}

/// A whole number with a comma each three digits.
pub(crate) fn whole(number: u64) -> String {
    let digits = number.to_string();
    let comma = |place: usize| place > 0 && (digits.len() - place).is_multiple_of(3);
    digits.chars().enumerate().fold(String::new(), |mut text, (place, digit)| {
        if comma(place) {
            text.push(',');
        }
        text.push(digit);
        text
    })
}

/// `12.3 M`, with three significant digits.
pub(crate) fn scaled(number: u64, units: &[&str], step: f64) -> String {
    let mut value = number as f64;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while let Some(next) = units.as_slice().first().filter(|_| value >= step) {
        value /= step;
        unit = next;
        units.next();
    }
    format!("{} {unit}", significant(value)).trim_end().to_owned()
}

pub(crate) fn percent(share: f64) -> String {
    format!("{} %", significant(100.0 * share))
}

/// `1.31 [1.20, 1.42]`, or what there is of it.
pub(crate) fn estimate(estimate: &Estimate) -> String {
    match (estimate.value, estimate.low, estimate.high) {
        (None, ..) => "-".to_owned(),
        (Some(value), Some(low), Some(high)) => {
            format!("{} [{}, {}]", significant(value), significant(low), significant(high))
        }
        (Some(value), ..) => significant(value),
    }
}

/// What the speed-up says, in words.
pub fn speedup_in_words(speedup: &Estimate) -> String {
    match (speedup.value, speedup.low, speedup.high) {
        (None, ..) => "not measured".to_owned(),
        (_, Some(low), _) if low > 1.0 => "faster than plain decoding".to_owned(),
        (_, _, Some(high)) if high < 1.0 => "slower than plain decoding".to_owned(),
        (_, Some(low), Some(high)) => {
            let (low, high) = (significant(low), significant(high));
            format!("no difference shown (95 % interval {low} to {high})")
        }
        _ => "no interval, so no claim".to_owned(),
    }
}

/// The methods; plain decoding, whose rate stands with each method's, only where it is alone.
fn shown(report: &Report) -> impl Iterator<Item = &CaseSummary> {
    let speculative = report.cases.iter().any(|case| !case.settings.is_plain());
    report.cases.iter().filter(move |case| !speculative || !case.settings.is_plain())
}

const OVERVIEW_COLUMNS: [&str; 6] =
    ["case", "prompts", "acceptance rate", "acceptance length", "speed-up", "foretold"];

/// The cases side by side; nothing where there is only one.
fn overview(report: &Report) -> Vec<[String; 6]> {
    let row = |case: &CaseSummary| {
        let metrics = &case.overall;
        [
            case.case.clone(),
            metrics.prompts.to_string(),
            estimate(&metrics.draft_acceptance_rate),
            estimate(&metrics.mean_acceptance_length),
            estimate(&metrics.speedup),
            case.costs.as_ref().map_or_else(String::new, |costs| significant(costs.predicted)),
        ]
    };
    match shown(report).count() {
        0 | 1 => Vec::new(),
        _ => shown(report).map(row).collect(),
    }
}

/// The paired differences between cases: which, of what, and by how much.
fn difference_rows(report: &Report) -> Vec<[String; 3]> {
    let mut rows = Vec::new();
    for CaseDifference { from, to, figures, .. } in &report.differences {
        for figure in figures.iter().filter(|own| own.name != "target_tokens_per_second") {
            let name = compare::label(&figure.name).to_owned();
            rows.push([format!("{to} − {from}"), name, difference(figure)]);
        }
    }
    rows
}

/// A paired difference in words: `+0.12 [+0.05, +0.19]`, or that none is shown.
pub(crate) fn difference(figure: &Figure) -> String {
    let Estimate { value, low, high } = figure.difference;
    let signed =
        |value: f64| format!("{}{}", if value < 0.0 { "" } else { "+" }, significant(value));
    match (value, low, high) {
        (Some(value), Some(low), Some(high)) if figure.is_shown() => {
            format!("{} [{}, {}]", signed(value), signed(low), signed(high))
        }
        (Some(_), Some(low), Some(high)) => {
            format!("no difference shown (95 % interval {} to {})", signed(low), signed(high))
        }
        _ => "too few prompts for an interval".to_owned(),
    }
}

/// The figures of a case, in the order of interest.
fn case_rows(case: &CaseSummary) -> Vec<Row> {
    let metrics = &case.overall;
    let mut rows = speed_rows(case);
    if !case.settings.is_plain() {
        rows.extend(acceptance_rows(case));
    }
    rows.extend(case.costs.iter().flat_map(cost_rows));
    rows.extend(metrics.seconds_share.map(|share| Row::new("time", seconds_share(&share), "")));
    rows.extend(greedy_row(metrics));
    let length = metrics.mean_emitted_tokens.map_or_else(|| "-".to_owned(), significant);
    let ended = metrics.finish_eos_share.map_or_else(|| "-".to_owned(), percent);
    rows.push(Row::new("tokens a generation", length, format!("{ended} end with end-of-text")));
    rows
}

fn speed_rows(case: &CaseSummary) -> Vec<Row> {
    let metrics = &case.overall;
    let own = format!("tokens/s, {}", case.case);
    let at_costs = metrics.speedup_at_cost.iter().enumerate().map(cost_row);
    if metrics.target_tokens_per_second.value.is_none() {
        return at_costs.collect();
    }
    let mut rows = vec![Row::new(&own, estimate(&metrics.target_tokens_per_second), "")];
    if !case.settings.is_plain() {
        let speedup = &metrics.speedup;
        rows.insert(0, Row::new("speed-up", estimate(speedup), speedup_in_words(speedup)));
        rows.push(Row::new("tokens/s, plain", estimate(&metrics.plain_tokens_per_second), ""));
        rows.extend(at_costs);
    }
    rows
}

/// What passes took, and what they foretell.
fn cost_rows(costs: &Costs) -> Vec<Row> {
    let milliseconds = |seconds: f64| format!("{} ms", significant(1e3 * seconds));
    let passes = format!(
        "draft {}, target {}: c = {}; overhead {} a step",
        milliseconds(costs.draft_pass_seconds),
        milliseconds(costs.target_pass_seconds),
        significant(costs.cost_ratio),
        milliseconds(costs.overhead_seconds)
    );
    let decoding = format!("measured {}; prefills left out", estimate(&costs.measured));
    let mut rows = vec![
        Row::new("a pass", passes, ""),
        Row::new("foretold by the costs", significant(costs.predicted), decoding),
    ];
    if let Some(leviathan) = costs.leviathan {
        let note = format!("α = {}, verification free", significant(costs.alpha));
        rows.push(Row::new("by Leviathan et al.", significant(leviathan), note));
    }
    let best =
        costs.best_size.and_then(|best| costs.by_size.iter().find(|own| own.candidates == best));
    if let Some(best) = best {
        let text = match best.candidates {
            0 => "none: plain decoding is the fastest".to_owned(),
            candidates => format!("{candidates}, speed-up {}", significant(best.speedup)),
        };
        rows.push(Row::new("best size", text, ""));
    }
    rows
}

fn cost_row((index, at): (usize, &CostSpeedup)) -> Row {
    let label = format!("speed-up if c = {}", at.cost_ratio);
    let note = if index == 0 { "where a draft pass costs c of a target pass" } else { "" };
    Row::new(&label, estimate(&at.speedup), note)
}

fn acceptance_rows(case: &CaseSummary) -> Vec<Row> {
    let metrics = &case.overall;
    let counts = &metrics.counts;
    let candidates = if case.settings.tree.is_some() { "nodes" } else { "candidates" };
    let of = format!(
        "{} of {} {candidates}",
        whole(counts.num_accepted_draft_tokens),
        whole(counts.num_draft_tokens)
    );
    let passes = format!(
        "{} speculative, {} plain",
        whole(counts.num_spec_steps),
        whole(counts.num_plain_steps)
    );
    vec![
        Row::new("acceptance rate, pooled", estimate(&metrics.draft_acceptance_rate), of),
        Row::new(
            "acceptance rate, mean",
            estimate(&metrics.draft_acceptance_rate_prompt_mean),
            "mean over prompts",
        ),
        Row::new(
            "mean acceptance length",
            estimate(&metrics.mean_acceptance_length),
            "tokens a step; the prefill's token is no step",
        ),
        Row::new(
            "without the bonus",
            estimate(&metrics.mean_accepted_tokens),
            "candidates accepted a step",
        ),
        Row::new("survival by position", values(&metrics.acceptance_by_position), "of all steps"),
        Row::new(
            "conditional on the last",
            values(&metrics.conditional_acceptance_by_position),
            "of the steps that came so far",
        ),
        Row::new("steps", passes, ""),
        Row::new(
            "draft model tokens",
            whole(counts.draft_model_tokens),
            format!(
                "in {} passes; window moved {} times",
                whole(counts.draft_model_passes),
                whole(counts.draft_window_slides)
            ),
        ),
    ]
}

fn values(estimates: &[Estimate]) -> String {
    let value = |estimate: &Estimate| estimate.value.map_or_else(|| "-".to_owned(), significant);
    match estimates {
        [] => "-".to_owned(),
        _ => estimates.iter().map(value).collect::<Vec<_>>().join(" "),
    }
}

fn seconds_share(share: &SecondsShare) -> String {
    let parts = [
        ("prefill", share.prefill),
        ("draft", share.draft),
        ("align", share.align),
        ("verify", share.verify),
        ("other", share.other),
    ];
    parts.map(|(name, part)| format!("{name} {}", percent(part))).join(", ")
}

fn greedy_row(metrics: &Metrics) -> Option<Row> {
    let identical = metrics.greedy_identical?;
    let prompts = metrics.greedy_prompts;
    let same = (identical.value? * prompts as f64).round() as usize;
    let ties = match prompts - same {
        0 => String::new(),
        _ => format!("; ties: {}", metrics.greedy_ties),
    };
    let note = format!("{same} of {prompts} prompts as plain greedy decoding{ties}");
    Some(Row::new("greedy identity", estimate(&identical), note))
}

const CATEGORY_COLUMNS: [&str; 7] = [
    "category",
    "prompts",
    "acceptance rate",
    "acceptance length",
    "speed-up",
    "tokens/s",
    "plain tokens/s",
];

/// A case by category, the columns being [`CATEGORY_COLUMNS`]; nothing for a single category.
fn category_rows(case: &CaseSummary) -> Vec<[String; 7]> {
    let row = |(category, metrics): (&String, &Metrics)| {
        [
            category.clone(),
            metrics.prompts.to_string(),
            estimate(&metrics.draft_acceptance_rate),
            estimate(&metrics.mean_acceptance_length),
            estimate(&metrics.speedup),
            estimate(&metrics.target_tokens_per_second),
            estimate(&metrics.plain_tokens_per_second),
        ]
    };
    match case.by_category.len() {
        0 | 1 => Vec::new(),
        _ => case.by_category.iter().map(row).collect(),
    }
}

pub(crate) fn model(model: &ModelInfo) -> String {
    let note = model.note.as_ref().map_or_else(String::new, |note| format!("; {note}"));
    format!(
        "{}: {}, {} parameters, {} tokens ({}), context {}{note}",
        model.name,
        model.architecture,
        scaled(model.parameters, &["", "K", "M", "B"], 1e3),
        whole(model.vocabulary as u64),
        model.tokenizer,
        whole(model.context as u64)
    )
}

/// How far the vocabularies overlap.
pub(crate) fn vocabulary(panel: &VocabularyPanel) -> String {
    format!(
        "{} tokens shared: {} of the draft's {}, {} of the target's {}",
        whole(panel.shared as u64),
        percent(panel.share_of_draft),
        whole(panel.draft_tokens as u64),
        percent(panel.share_of_target),
        whole(panel.target_tokens as u64)
    )
}

/// The overlap of the vocabularies, memory, prompts left out, and warnings, one a line.
fn remarks(report: &Report) -> Vec<(&'static str, String)> {
    let mut remarks = Vec::new();
    for panel in &report.vocabularies {
        let whose = match report.vocabularies.len() {
            1 => String::new(),
            _ => format!("{}: ", panel.draft),
        };
        remarks.push(("vocabulary", whose + &vocabulary(panel)));
    }
    let bytes = |bytes: Option<u64>| {
        bytes.map_or_else(|| "-".to_owned(), |n| scaled(n, &["B", "KiB", "MiB", "GiB"], 1024.0))
    };
    let peak = &report.peak_memory_bytes;
    let memory = format!("process {}, device {}", bytes(peak.process), bytes(peak.device));
    remarks.push(("peak memory", memory));
    remarks.extend(left_out(&report.header.prompts).map(|text| ("skipped", text)));
    match report.header.prompts.truncated {
        0 => {}
        cut => remarks.push(("truncated", format!("{cut} prompts or later turns"))),
    }
    match report.header.prompts.later_turns_left_out {
        0 => {}
        1 => remarks.push(("later turns", "1 left out: it does not fit".to_owned())),
        left => remarks.push(("later turns", format!("{left} left out: they do not fit"))),
    }
    remarks.extend(leaderboard::differences(report).map(|text| (TITLE, text)));
    if !report.complete {
        remarks.push(("not complete", "the run goes on; figures of the prompts so far".to_owned()));
    }
    remarks.extend(report.warnings.iter().map(|warning| ("warning", warning.clone())));
    remarks
}

fn left_out(prompts: &PromptsInfo) -> Option<String> {
    let reasons = |too_long, inexpressible| match (too_long, inexpressible) {
        (long, 0) => format!("{long} too long"),
        (0, foreign) => format!("{foreign} inexpressible"),
        (long, foreign) => format!("{long} too long and {foreign} inexpressible"),
    };
    let skipped: Vec<_> = prompts
        .skipped
        .iter()
        .filter(|skipped| skipped.too_long + skipped.inexpressible > 0)
        .map(|s| format!("{} {}", s.category, reasons(s.too_long, s.inexpressible)))
        .collect();
    (!skipped.is_empty()).then(|| skipped.join(", "))
}

/// How the intervals are made, and what is not timed.
fn method_note(report: &Report) -> String {
    let timing = match report.header.trace {
        None => format!(
            "Prefill is timed; loading and warm-up (prompts: {}) are not.",
            report.header.settings.warmup
        ),
        Some(_) => "Replayed from a trace: nothing is timed, and how many candidates are accepted \
                    has the law of a run with the target; where candidates are drawn, those behind \
                    the first that is refused are nearly of theirs."
            .to_owned(),
    };
    format!(
        "[low, high] are 95 % intervals: BCa bootstrap over prompts, stratified by category; \
         Clopper-Pearson for greedy identity. Fewer than {FEWEST_CLUSTERS} prompts give none. \
         {timing}"
    )
}
