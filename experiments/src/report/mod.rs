//! A report in words: the meaning of each name, and numbers as text. The figures come from
//! `bench::summary`; `sections` says what a report says, in which order, and the forms (the terminal's
//! table, Markdown, LaTeX, HTML) lay it out. Nothing here prints.

pub mod charts;
mod csv;
pub(crate) mod document;
pub mod format;
pub(crate) mod headline;
pub mod html;
pub mod latex;
mod leaderboard;
pub mod markdown;
pub mod next;
mod parquet;
mod provenance;
mod rows;
#[cfg(test)]
pub(crate) mod samples;
mod sections;
mod sentences;
pub mod table;
mod tables;
pub mod view;
pub(crate) mod words;

use std::collections::BTreeMap;

use crate::bench::record::{Estimate, ModelInfo, VocabularyPanel};

/// The meaning of each name in a record or report.
pub fn definitions() -> BTreeMap<String, String> {
    let own = |(name, meaning): &(&str, &str)| ((*name).to_owned(), (*meaning).to_owned());
    DEFINITIONS.iter().map(own).collect()
}

const DEFINITIONS: &[(&str, &str)] = &[
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
    (
        "bytes_per_token",
        "bytes of the text, written as UTF-8, / tokens emitted: the target's bytes a token",
    ),
    (
        "draft_tokens_per_prompt_token",
        "tokens of the prompts in the draft's vocabulary / in the target's",
    ),
    ("draft_passes_per_token", "draft_model_passes / num_emitted_tokens"),
    (
        "greedy_largest_margin",
        "the largest fp32 margin of the target's logits where a greedy text first differs from plain \
         decoding; null where none does",
    ),
    ("finish_eos_share", "share of generations that ended with an end-of-text token"),
    (
        "shared",
        "tokens that stand for the same bytes in both vocabularies; share_of_draft and \
         share_of_target divide them by the size of each",
    ),
    (
        "shared_mass",
        "shared_mass is E[p(M)], the target's mass at temperature 1 on the shared tokens and the end of text, as a mean \
         over the first 32 places of up to 16 prompts; draft_bytes_per_token and target_bytes_per_token \
         are bytes of the run's prompts over their tokens on each side",
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
    let shared = format!(
        "{} tokens shared: {} of the draft's {}, {} of the target's {}",
        whole(panel.shared as u64),
        percent(panel.share_of_draft),
        whole(panel.draft_tokens as u64),
        percent(panel.share_of_target),
        whole(panel.target_tokens as u64)
    );
    let mass = match panel.shared_mass.value {
        Some(_) => format!("; E[p(M)] {}", estimate(&panel.shared_mass)),
        None => String::new(),
    };
    match (panel.draft_bytes_per_token, panel.target_bytes_per_token) {
        (Some(ours), Some(theirs)) => format!(
            "{shared}{mass}; bytes a token {} and {}",
            significant(ours),
            significant(theirs)
        ),
        _ => shared + &mass,
    }
}
