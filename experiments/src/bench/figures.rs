//! The figures of a report: what `summary` fills in, one case at a time. It holds the names of the fields
//! and their units, nothing else. Readers refuse fields that they do not know.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use target::{PassTimes, Seconds, Tally as Counts};

use super::record::CaseSettings;

/// A figure with its 95 % interval; what cannot be told is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The figure.
    pub value: Option<f64>,
    /// Lower limit.
    pub low: Option<f64>,
    /// Upper limit.
    pub high: Option<f64>,
}

/// The figures of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseSummary {
    /// Its name, which no other case of the run has.
    pub case: String,
    /// What decides it.
    pub settings: CaseSettings,
    /// What passes took, and the speed-up that this foretells; `None` for plain decoding.
    pub costs: Option<Costs>,
    /// The columns of Spec-Bench's leaderboard, where its questions were run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_bench: Option<SpecBench>,
    /// Over all prompts.
    pub overall: Metrics,
    /// Over the prompts of each category.
    pub by_category: BTreeMap<String, Metrics>,
}

/// The figures of a case over some prompts. `report::definitions` says what each means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Prompts.
    pub prompts: usize,
    /// Generations: prompts times repeats.
    pub generations: usize,
    /// Summed counts.
    pub counts: Counts,
    /// Accepted / candidates, pooled.
    pub draft_acceptance_rate: Estimate,
    /// Mean over prompts of accepted / candidates.
    pub draft_acceptance_rate_prompt_mean: Estimate,
    /// Tokens emitted by steps / steps.
    pub mean_acceptance_length: Estimate,
    /// Candidates accepted / steps: the same without the correction or bonus.
    pub mean_accepted_tokens: Estimate,
    /// Share of all steps with at least i accepted; the first entry is i = 1.
    pub acceptance_by_position: Vec<Estimate>,
    /// Share of the steps with at least i − 1 accepted that have i; the first entry is i = 1.
    pub conditional_acceptance_by_position: Vec<Estimate>,
    /// Emitted tokens / seconds of this case.
    pub target_tokens_per_second: Estimate,
    /// Emitted tokens / seconds of plain decoding on the same prompts.
    pub plain_tokens_per_second: Estimate,
    /// Ratio of the two rates on the prompts that have both; empty in the plain case.
    pub speedup: Estimate,
    /// What the acceptance would be worth with targets of other costs; empty in the plain case.
    #[serde(default)]
    pub speedup_at_cost: Vec<CostSpeedup>,
    /// Acceptance by the draft's probability of the candidate.
    #[serde(default)]
    pub acceptance_by_probability: Vec<AcceptanceBin>,
    /// Acceptance by the entropy of the draft's law, in nats.
    #[serde(default)]
    pub acceptance_by_entropy: Vec<AcceptanceBin>,
    /// Share of prompts whose ids are those of plain greedy decoding; `None` above temperature 0.
    pub greedy_identical: Option<Estimate>,
    /// Prompts compared with plain greedy decoding.
    pub greedy_prompts: usize,
    /// Of those that differ, the ones that differ at ties only.
    pub greedy_ties: usize,
    /// Summed wall time.
    pub seconds: Seconds,
    /// Its parts as shares.
    pub seconds_share: Option<SecondsShare>,
    /// Emitted tokens a generation.
    pub mean_emitted_tokens: Option<f64>,
    /// Share of generations that ended with an end-of-text token.
    pub finish_eos_share: Option<f64>,
    /// Share of prompts any of whose texts ends in a repetition.
    pub repeating_share: Option<f64>,
    /// Bytes of the text emitted / tokens emitted.
    #[serde(default)]
    pub bytes_per_token: Option<f64>,
    /// The prompts' tokens of the draft / of the target; `None` without a draft that has tokens.
    #[serde(default)]
    pub draft_tokens_per_prompt_token: Option<f64>,
    /// Passes of the draft / tokens emitted.
    #[serde(default)]
    pub draft_passes_per_token: Option<f64>,
    /// The largest margin of the logits at a first difference from plain greedy decoding.
    #[serde(default)]
    pub greedy_largest_margin: Option<f64>,
}

/// The speed-up at this acceptance where a draft pass costs a given share of a target pass, and
/// verifying several tokens costs what one pass does: tokens of steps / (steps + share × draft
/// tokens), as in Leviathan et al. (2211.17192), theorem 3.8.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostSpeedup {
    /// Seconds of a draft token over those of a target pass.
    pub cost_ratio: f64,
    /// The speed-up.
    pub speedup: Estimate,
}

/// Candidates that the draft said something of, and how many of those whose turn came were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptanceBin {
    /// Where the bin begins.
    pub from: f64,
    /// Where it ends; `None` for a bin without an end.
    pub to: Option<f64>,
    /// Candidates whose turn came.
    pub candidates: u64,
    /// Accepted / candidates.
    pub acceptance: Estimate,
}

/// What passes took in this run, and what this foretells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// Seconds of a pass of the draft.
    pub draft_pass_seconds: f64,
    /// Passes of the draft a step.
    pub draft_passes_per_step: f64,
    /// Seconds of a pass of the target that verifies nothing, from plain decoding at this temperature.
    pub target_pass_seconds: f64,
    /// Passes of the target by their number of candidates.
    pub verify_passes: PassTimes,
    /// Seconds of a step in which neither model works.
    pub overhead_seconds: f64,
    /// `draft_pass_seconds` / `target_pass_seconds`.
    pub cost_ratio: f64,
    /// The chance of a candidate whose turn comes, pooled over positions: Leviathan's α.
    pub alpha: f64,
    /// Speed-up of decoding, both prefills left out, as measured.
    pub measured: Estimate,
    /// The same foretold from α and the costs by Leviathan et al. (2211.17192), theorem 3.8, verification
    /// at no extra cost; `None` for trees.
    pub leviathan: Option<f64>,
    /// The same foretold from survival by position, passes of the draft, passes of the target by size, and
    /// overhead.
    pub predicted: f64,
    /// What is foretold for other numbers of candidates.
    pub by_size: Vec<SizeSpeedup>,
    /// The number of candidates for which most is foretold, 0 for plain decoding; `None` where none can be.
    pub best_size: Option<usize>,
}

/// The speed-up foretold for a number of candidates: in a row, or in the order in which a tree chose them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeSpeedup {
    /// Candidates.
    pub candidates: usize,
    /// The speed-up.
    pub speedup: f64,
}

/// The columns of Spec-Bench's leaderboard, as its scripts define them. They differ from ours: a speed-up
/// is a ratio of means of each question's tokens/s, and has no interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpecBench {
    /// Speed-ups by task, as its leaderboard calls them, of the tasks that were run.
    pub tasks: BTreeMap<String, f64>,
    /// Mean accepted tokens: tokens a step over all steps, the bonus included.
    pub mean_accepted_tokens: f64,
    /// The speed-up over all questions that were run.
    pub overall: f64,
}

/// One case against another on the prompts that both have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseDifference {
    /// The case that is the measure.
    pub from: String,
    /// The other one.
    pub to: String,
    /// Prompts that both have.
    pub prompts: usize,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// The parts of [`Seconds`] over its total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondsShare {
    /// Share of `prefill`.
    pub prefill: f64,
    /// Share of `draft`.
    pub draft: f64,
    /// Share of `align`.
    pub align: f64,
    /// Share of `verify`.
    pub verify: f64,
    /// Share of `other`.
    pub other: f64,
}

/// A figure of two cases over the prompts that both have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Its name, as in [`Metrics`].
    pub name: String,
    /// Of the first case.
    pub a: Option<f64>,
    /// Of the second case.
    pub b: Option<f64>,
    /// The second less the first, with its paired 95 % interval.
    pub difference: Estimate,
}

impl Figure {
    /// Whether the interval leaves out zero.
    pub fn is_shown(&self) -> bool {
        let Estimate { low, high, .. } = self.difference;
        low.is_some_and(|low| low > 0.0) || high.is_some_and(|high| high < 0.0)
    }
}
