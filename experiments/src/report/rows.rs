//! The figures of a case in the order of interest, one a row: what it is, its value, a remark. The
//! terminal's table and the document share them. Knows no layout.

use super::view::ShownCase;
use super::words::{At, Form, Words, count, estimate, number, speedup_in_words};
use crate::bench::record::{CostSpeedup, Costs, Estimate, Metrics, SecondsShare};

/// A figure of the report: what it is, its value, a remark.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What it is.
    pub(crate) label: String,
    /// Its value.
    pub(crate) value: Words,
    /// A remark.
    pub(crate) note: Words,
}

impl Row {
    fn new(label: &str, value: impl Into<Words>, note: impl Into<Words>) -> Self {
        Self { label: label.to_owned(), value: value.into(), note: note.into() }
    }
}

/// The figures of a case.
pub(crate) fn case_rows(shown: &ShownCase<'_>) -> Vec<Row> {
    let (metrics, at) = (&shown.case.overall, shown.at.to("overall"));
    let mut rows = speed_rows(shown);
    if !shown.case.settings.is_plain() {
        rows.extend(acceptance_rows(shown));
    }
    let costs = shown.case.costs.as_ref();
    rows.extend(costs.iter().flat_map(|costs| cost_rows(&shown.at.to("costs"), costs)));
    let share = metrics.seconds_share;
    rows.extend(share.map(|own| Row::new("time", shares(&at.to("seconds_share"), &own), "")));
    rows.extend(greedy_row(&at, metrics));
    let ended = Words::default()
        .number(at.to("finish_eos_share"), metrics.finish_eos_share, Form::Percent)
        .say(" end with end-of-text");
    let length =
        number(at.to("mean_emitted_tokens"), metrics.mean_emitted_tokens, Form::Significant);
    rows.push(Row::new("tokens a generation", length, ended));
    rows
}

/// What a paper states beside those: what else the records tell.
pub(crate) fn further_rows(shown: &ShownCase<'_>) -> Vec<Row> {
    let (metrics, at) = (&shown.case.overall, shown.at.to("overall"));
    let share =
        |name: &str, value: Option<f64>, form| value.map(|value| number(at.to(name), value, form));
    let row = |label, note: &'static str| move |value: Words| Row::new(label, value, note);
    let repeating = share("repeating_share", metrics.repeating_share, Form::Percent)
        .map(row("ending in a repetition", "share of prompts; nothing is left out for it"));
    let bytes = share("bytes_per_token", metrics.bytes_per_token, Form::Significant)
        .map(row("bytes a token", "of what the target emitted"));
    let ratio = metrics.draft_tokens_per_prompt_token;
    let ratio = share("draft_tokens_per_prompt_token", ratio, Form::Significant)
        .map(row("draft tokens a target token", "of the prompts"));
    let passes = metrics.draft_passes_per_token;
    let passes = share("draft_passes_per_token", passes, Form::Significant)
        .map(row("draft passes a token", "for each token emitted"));
    let margin = metrics.greedy_largest_margin;
    let margin = share("greedy_largest_margin", margin, Form::Significant)
        .map(row("largest margin", "of the target's logits where a greedy text first differs"));
    let mut rows = vec![repeating, bytes];
    if !shown.case.settings.is_plain() {
        rows.extend([ratio, passes, margin]);
    }
    rows.into_iter().flatten().collect()
}

fn speed_rows(shown: &ShownCase<'_>) -> Vec<Row> {
    let (metrics, at) = (&shown.case.overall, shown.at.to("overall"));
    let own = format!("tokens/s, {}", shown.case.case);
    let rate = |name: &str, own| estimate(&at.to(name), own, Form::Significant);
    let tokens = rate("target_tokens_per_second", &metrics.target_tokens_per_second);
    let costs = metrics.speedup_at_cost.iter().enumerate();
    let costs = costs.map(|own| cost_row(&at.to("speedup_at_cost"), own));
    if metrics.target_tokens_per_second.value.is_none() {
        return costs.collect();
    }
    let mut rows = vec![Row::new(&own, tokens, "")];
    if !shown.case.settings.is_plain() {
        let words = speedup_in_words(&at.to("speedup"), &metrics.speedup);
        rows.insert(0, Row::new("speed-up", rate("speedup", &metrics.speedup), words));
        let plain = rate("plain_tokens_per_second", &metrics.plain_tokens_per_second);
        rows.push(Row::new("tokens/s, plain", plain, ""));
        rows.extend(costs);
    }
    rows
}

/// What passes took, and what they foretell.
fn cost_rows(at: &At, costs: &Costs) -> Vec<Row> {
    let decoding = Words::from("measured ")
        .and(estimate(&at.to("measured"), &costs.measured, Form::Significant))
        .say("; prefills left out");
    let figure = |name: &str, value| number(at.to(name), value, Form::Significant);
    let mut rows = vec![
        Row::new("a pass", passes(at, costs), ""),
        Row::new("foretold by the costs", figure("predicted", costs.predicted), decoding),
    ];
    if let Some(leviathan) = costs.leviathan {
        let note = Words::from("α = ").and(figure("alpha", costs.alpha)).say(", verification free");
        rows.push(Row::new("by Leviathan et al.", figure("leviathan", leviathan), note));
    }
    let best = costs
        .best_size
        .and_then(|best| costs.by_size.iter().position(|own| own.candidates == best));
    if let Some(index) = best {
        let (best, at) = (&costs.by_size[index], at.to("by_size").index(index));
        let text =
            match best.candidates {
                0 => "none: plain decoding is the fastest".into(),
                candidates => count(at.to("candidates"), candidates as u64)
                    .say(", speed-up ")
                    .number(at.to("speedup"), best.speedup, Form::Significant),
            };
        rows.push(Row::new("best size", text, ""));
    }
    rows
}

fn passes(at: &At, costs: &Costs) -> Words {
    let time = |name: &str, value| number(at.to(name), value, Form::Milliseconds);
    Words::from("draft ")
        .and(time("draft_pass_seconds", costs.draft_pass_seconds))
        .say(", target ")
        .and(time("target_pass_seconds", costs.target_pass_seconds))
        .say(": c = ")
        .number(at.to("cost_ratio"), costs.cost_ratio, Form::Significant)
        .say("; overhead ")
        .and(time("overhead_seconds", costs.overhead_seconds))
        .say(" a step")
}

fn cost_row(at: &At, (index, own): (usize, &CostSpeedup)) -> Row {
    let label = format!("speed-up if c = {}", own.cost_ratio);
    let note = if index == 0 { "where a draft pass costs c of a target pass" } else { "" };
    let at = at.index(index).to("speedup");
    Row::new(&label, estimate(&at, &own.speedup, Form::Significant), note)
}

fn acceptance_rows(shown: &ShownCase<'_>) -> Vec<Row> {
    let (metrics, at) = (&shown.case.overall, shown.at.to("overall"));
    let candidates = if shown.case.settings.tree.is_some() { "nodes" } else { "candidates" };
    let (counts, counted) = (&metrics.counts, at.to("counts"));
    let of = |name: &str, value| count(counted.to(name), value);
    let accepted = of("num_accepted_draft_tokens", counts.num_accepted_draft_tokens)
        .say(" of ")
        .and(of("num_draft_tokens", counts.num_draft_tokens))
        .say(format!(" {candidates}"));
    let steps = of("num_spec_steps", counts.num_spec_steps)
        .say(" speculative, ")
        .and(of("num_plain_steps", counts.num_plain_steps))
        .say(" plain");
    let passes = Words::from("in ")
        .and(of("draft_model_passes", counts.draft_model_passes))
        .say(" passes; window moved ")
        .and(of("draft_window_slides", counts.draft_window_slides))
        .say(" times");
    let mut rows = rate_rows(&at, metrics, accepted);
    rows.push(Row::new("steps", steps, ""));
    let tokens = of("draft_model_tokens", counts.draft_model_tokens);
    rows.push(Row::new("draft model tokens", tokens, passes));
    rows
}

fn rate_rows(at: &At, metrics: &Metrics, accepted: Words) -> Vec<Row> {
    let figure = |name: &str, own| estimate(&at.to(name), own, Form::Significant);
    let list = |name: &str, own| values(&at.to(name), own);
    let mean = &metrics.draft_acceptance_rate_prompt_mean;
    let conditional = &metrics.conditional_acceptance_by_position;
    vec![
        Row::new(
            "acceptance rate, pooled",
            figure("draft_acceptance_rate", &metrics.draft_acceptance_rate),
            accepted,
        ),
        Row::new(
            "acceptance rate, mean",
            figure("draft_acceptance_rate_prompt_mean", mean),
            "mean over prompts",
        ),
        Row::new(
            "mean acceptance length",
            figure("mean_acceptance_length", &metrics.mean_acceptance_length),
            "tokens a step; the prefill's token is no step",
        ),
        Row::new(
            "without the bonus",
            figure("mean_accepted_tokens", &metrics.mean_accepted_tokens),
            "candidates accepted a step",
        ),
        Row::new(
            "survival by position",
            list("acceptance_by_position", &metrics.acceptance_by_position),
            "of all steps",
        ),
        Row::new(
            "conditional on the last",
            list("conditional_acceptance_by_position", conditional),
            "of the steps that came so far",
        ),
    ]
}

fn values(at: &At, estimates: &[Estimate]) -> Words {
    let mut words = Words::default();
    for (index, own) in estimates.iter().enumerate() {
        let separator = if index == 0 { "" } else { " " };
        let at = at.index(index).to("value");
        words = words.say(separator).number(at, own.value, Form::Significant);
    }
    if estimates.is_empty() { "-".into() } else { words }
}

/// The parts of the time of a case.
pub(crate) fn parts(share: &SecondsShare) -> [(&'static str, f64); 5] {
    [
        ("prefill", share.prefill),
        ("draft", share.draft),
        ("align", share.align),
        ("verify", share.verify),
        ("other", share.other),
    ]
}

fn shares(at: &At, share: &SecondsShare) -> Words {
    let part = |words: Words, (index, (name, part)): (usize, (&str, f64))| {
        let separator = if index == 0 { "" } else { ", " };
        words.say(format!("{separator}{name} ")).number(at.to(name), part, Form::Percent)
    };
    parts(share).into_iter().enumerate().fold(Words::default(), part)
}

fn greedy_row(at: &At, metrics: &Metrics) -> Option<Row> {
    let identical = metrics.greedy_identical?;
    let prompts = metrics.greedy_prompts;
    let same = (identical.value? * prompts as f64).round() as usize;
    let mut note = Words::from(format!("{same} of "))
        .count(at.to("greedy_prompts"), prompts as u64)
        .say(" prompts as plain greedy decoding");
    if prompts > same {
        note = note.say("; ties: ").count(at.to("greedy_ties"), metrics.greedy_ties as u64);
    }
    let share = estimate(&at.to("greedy_identical"), &identical, Form::Significant);
    Some(Row::new("greedy identity", share, note))
}
