//! What `spec bench` writes: one [`Record`] a prompt and case, and one [`Report`] a run. It holds
//! the names of the fields and their units, nothing else; `summary` fills the figures in,
//! `report` prints them. Readers refuse fields that they do not know. A change of meaning raises
//! [`SCHEMA`].

use align::overlap::Coverage;
use std::collections::BTreeMap;

use target::Verification;
use target::propose::siblings::Siblings;
use target::propose::tree::Size;
pub use target::{Finish, PassTimes, Seconds, Tally as Counts};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the schema of records and reports.
pub const SCHEMA: u32 = 2;

/// The method that decodes with the target alone.
pub const PLAIN: &str = "plain";

/// What a JSON object is, so that a file tells by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A row of `records.jsonl`.
    Record,
    /// A `report.json`.
    Report,
}

/// One generation: a prompt, a case, a repeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of the schema.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Tells a record from a report.
    #[schemars(extend("const" = "record"))]
    pub kind: Kind,
    /// The header's `run`: which run it is of.
    pub run: String,
    /// The name of its case in the report.
    pub case: String,
    /// What decides the case, as a hash: records of equal keys may be pooled.
    pub case_key: String,
    /// The draft; empty in plain records.
    pub draft: String,
    /// `plain` or the name of the method.
    pub method: String,
    /// Candidate target tokens a step; 0 in plain records.
    pub gamma: usize,
    /// Candidates of a tree, where the draft reads several texts at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree_nodes: Option<usize>,
    /// Temperature of the target.
    pub temperature: f64,
    /// Place of the prompt in the prompt file, from 0.
    pub prompt_index: usize,
    /// The prompt's own name in its file.
    pub prompt_id: String,
    /// The prompt's category, a stratum of the bootstrap.
    pub category: String,
    /// Which repeat of the prompt, from 0.
    pub repeat: u32,
    /// Which turn of the conversation, from 0.
    #[serde(default)]
    pub turn: u32,
    /// The header's notes on the two models, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Target tokens of the prompt.
    pub prompt_tokens: usize,
    /// Draft tokens of the prompt.
    pub draft_prompt_tokens: usize,
    /// The target ids emitted, the prefill's token first.
    pub ids: Vec<u32>,
    /// Their text, invalid UTF-8 replaced.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Steps and tokens.
    pub counts: Counts,
    /// Wall time.
    pub seconds: Seconds,
    /// Time of the target's passes by their number of candidates.
    #[serde(default)]
    pub verify_passes: PassTimes,
    /// Whether the text ends in a repetition: its last tokens are the same few again and again.
    #[serde(default)]
    pub repeats_itself: bool,
    /// Comparison with plain greedy decoding; `None` above temperature 0 and in plain records.
    pub greedy: Option<GreedyCheck>,
}

/// Whether a speculative generation at temperature 0 is that of plain decoding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GreedyCheck {
    /// All ids are the same.
    pub identical: bool,
    /// Place of the first differing token, from 0.
    pub first_difference: Option<usize>,
    /// The margin of the fp32 logits there.
    pub margin: Option<f64>,
    /// They differ where the margin is under 1e-4.
    pub tie: bool,
}

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

/// The run as a whole: `report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Version of the schema.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Tells a report from a record.
    #[schemars(extend("const" = "report"))]
    pub kind: Kind,
    /// What was run, and on what.
    pub header: Header,
    /// The meaning of each name below.
    pub definitions: BTreeMap<String, String>,
    /// How far each draft's vocabulary and the target's overlap.
    pub vocabularies: Vec<VocabularyPanel>,
    /// Plain decoding at each temperature, then the methods.
    pub cases: Vec<CaseSummary>,
    /// Each method's case against the first one at its temperature, on the same prompts.
    #[serde(default)]
    pub differences: Vec<CaseDifference>,
    /// False while the run goes on.
    pub complete: bool,
    /// Seconds of a pass of the target by its number of candidates, measured behind a prompt when all else
    /// was done.
    #[serde(default)]
    pub verify_curve: PassTimes,
    /// What the reader should know before using the figures.
    pub warnings: Vec<String>,
    /// Peak memory.
    pub peak_memory_bytes: PeakMemory,
}

/// What was run, and on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// A hash of this header that names the run.
    pub run: String,
    /// Version of this program.
    pub version: String,
    /// The commit that it was built from; `None` where it was not built from a repository.
    pub git_commit: Option<String>,
    /// The command line, argument by argument.
    pub command_line: Vec<String>,
    /// Start of the run, RFC 3339.
    pub started: String,
    /// Seed of the run.
    pub seed: u64,
    /// Device of the models.
    pub device: String,
    /// The processor, as the operating system names it.
    pub processor: String,
    /// Number format of the models.
    pub dtype: String,
    /// CPU threads.
    pub threads: usize,
    /// Version of libtorch.
    pub torch: String,
    /// The draft models.
    pub drafts: Vec<ModelInfo>,
    /// The target model.
    pub target: ModelInfo,
    /// What all cases have in common.
    pub settings: Settings,
    /// The prompts of the run.
    pub prompts: PromptsInfo,
    /// The trace that was replayed in the target's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceInfo>,
}

/// A recorded target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceInfo {
    /// Its file.
    pub path: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

impl Header {
    /// The notes on the models.
    pub fn note(&self) -> Option<String> {
        let of = |model: &ModelInfo| Some(format!("{}: {}", model.name, model.note.as_ref()?));
        let models = self.drafts.iter().chain([&self.target]);
        let notes: Vec<String> = models.filter_map(of).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

/// One of the two models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelInfo {
    /// Name it was asked for by.
    pub name: String,
    /// Where its files are.
    pub path: String,
    /// Where they come from: `folder`, `cache`, `Hub` or `bundled`.
    #[serde(default)]
    pub source: String,
    /// That it is not what its name means elsewhere, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Family of the architecture.
    pub architecture: String,
    /// Number of parameters.
    pub parameters: u64,
    /// Tokens of its vocabulary, padding left out.
    pub vocabulary: usize,
    /// Length of its context in tokens.
    pub context: usize,
    /// Kind of its tokenizer.
    pub tokenizer: String,
    /// SHA-256 of its weights, in hexadecimal; of several files that of their hashes, in the order of
    /// their names. `None` for a draft that is no model.
    pub weights_sha256: Option<String>,
    /// SHA-256 of the files of its tokenizer, likewise.
    pub tokenizer_sha256: Option<String>,
}

/// What decides one case of a run, as resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseSettings {
    /// The draft's name; empty for plain decoding.
    pub draft: String,
    /// The method of speculation.
    pub method: String,
    /// Who or what chose it.
    pub method_reason: String,
    /// How sampled candidates are verified.
    #[serde(default)]
    pub verification: Verification,
    /// Candidate target tokens a step.
    pub gamma: usize,
    /// Whether the number of candidates was chosen as it ran, up to the one here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto: bool,
    /// How large a tree is, where the draft reads several texts at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<Size>,
    /// Candidates of each place, where the method has a law.
    #[serde(default)]
    pub siblings: Siblings,
    /// Temperature of the target.
    pub temperature: f64,
    /// Temperature of the draft.
    pub draft_temperature: f64,
    /// What is done with candidates at the end of a proposal that may yet change.
    pub tail_policy: String,
}

impl CaseSettings {
    /// Plain decoding.
    pub fn plain(temperature: f64) -> Self {
        Self {
            draft: String::new(),
            method: PLAIN.to_owned(),
            method_reason: "the target alone".to_owned(),
            verification: Verification::default(),
            gamma: 0,
            auto: false,
            tree: None,
            siblings: Siblings::default(),
            temperature,
            draft_temperature: temperature,
            tail_policy: String::new(),
        }
    }

    /// Whether it decodes with the target alone.
    pub fn is_plain(&self) -> bool {
        self.method == PLAIN
    }
}

/// The settings that all cases of a run have in common, as resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Number of the likeliest tokens kept.
    pub top_k: Option<usize>,
    /// Probability mass of the likeliest tokens kept.
    pub top_p: Option<f64>,
    /// Penalty on tokens that occurred; 1 is none.
    pub repetition_penalty: f64,
    /// Limit of emitted tokens.
    pub max_new: usize,
    /// Generations a prompt and case.
    pub repeats: u32,
    /// Prompts run before the clock starts.
    pub warmup: usize,
    /// Whether generation goes on after an end-of-text token.
    pub ignore_eos: bool,
    /// What is done with prompts that do not fit.
    pub long_prompts: String,
    /// How prompts are rendered.
    pub template: String,
    /// Prompts at most, evenly from the categories.
    pub limit: Option<usize>,
}

/// The prompts of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptsInfo {
    /// Name or path of the prompt file.
    pub source: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Prompts in the file.
    pub total: usize,
    /// Prompts run.
    pub run: usize,
    /// Prompts left out, by category.
    pub skipped: Vec<Skipped>,
    /// Prompts and later turns cut to fit.
    pub truncated: usize,
    /// Later turns of conversations that did not fit.
    #[serde(default)]
    pub later_turns_left_out: usize,
}

/// Prompts of a category that were left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// The category.
    pub category: String,
    /// Too long for a context.
    pub too_long: usize,
    /// With characters that a tokenizer cannot express.
    pub inexpressible: usize,
}

/// How far the two vocabularies overlap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VocabularyPanel {
    /// The draft.
    pub draft: String,
    /// Tokens of the draft.
    pub draft_tokens: usize,
    /// Tokens of the target.
    pub target_tokens: usize,
    /// Tokens of equal bytes on both sides.
    pub shared: usize,
    /// `shared` / `draft_tokens`.
    pub share_of_draft: f64,
    /// `shared` / `target_tokens`.
    pub share_of_target: f64,
    /// Bytes of the run's prompts / tokens of the draft.
    #[serde(default)]
    pub draft_bytes_per_token: Option<f64>,
    /// Bytes of the run's prompts / tokens of the target.
    #[serde(default)]
    pub target_bytes_per_token: Option<f64>,
    /// E[p(M)]: the target's mass on the shared tokens, behind the beginnings of up to 16 prompts.
    #[serde(default)]
    pub shared_mass: Estimate,
}

impl VocabularyPanel {
    /// The counts with their shares.
    pub fn new(draft: &str, coverage: Coverage) -> Self {
        let Coverage { draft_tokens, target_tokens, shared } = coverage;
        Self {
            draft: draft.to_owned(),
            draft_tokens,
            target_tokens,
            shared,
            share_of_draft: shared as f64 / draft_tokens.max(1) as f64,
            share_of_target: shared as f64 / target_tokens.max(1) as f64,
            draft_bytes_per_token: None,
            target_bytes_per_token: None,
            shared_mass: Estimate::default(),
        }
    }
}

/// Peak memory in bytes; `None` where it cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeakMemory {
    /// Of the process, mapped pages included.
    pub process: Option<u64>,
    /// Of the device.
    pub device: Option<u64>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_refused() {
        let read = |text| serde_json::from_str::<Estimate>(text);
        assert!(read(r#"{"value": 1.0, "low": null, "high": null}"#).is_ok());
        assert!(read(r#"{"value": 1.0, "low": null, "high": null, "mean": 1.0}"#).is_err());
    }

    #[test]
    fn longer_counts_extend_shorter_ones() {
        let of = |histogram: &[u64]| Counts {
            acceptance_histogram: histogram.to_vec(),
            ..Counts::default()
        };
        let mut sum = of(&[1, 2]);
        sum += &of(&[1, 1, 1]);
        sum += &of(&[]);
        assert_eq!(sum.acceptance_histogram, [2, 3, 1]);
    }
}
