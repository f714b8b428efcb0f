//! What `spec bench` writes: one [`Record`] a prompt and case, and one [`Report`] a run, whose figures are
//! `figures`'. It holds the names of the fields and their units, nothing else; `summary` fills the figures
//! in, `report` prints them. Readers refuse fields that they do not know. A change of meaning raises
//! [`SCHEMA`].

use align::overlap::Coverage;
use std::collections::BTreeMap;

pub use super::figures::{
    AcceptanceBin, CaseDifference, CaseSummary, CostSpeedup, Costs, Estimate, Figure, Metrics,
    SecondsShare, SizeSpeedup, SpecBench,
};
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
    /// What runs passes, as asked for: `auto` is `native` for models of Llama's architecture on a CPU, and
    /// `libtorch` for all others.
    #[serde(default = "libtorch")]
    pub engine: String,
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

/// What ran all passes before reports said it.
fn libtorch() -> String {
    "libtorch".to_owned()
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

    /// Whether each candidate stands behind the one before it.
    pub fn is_chain(&self) -> bool {
        self.siblings.count == Some(1) && self.method != "tree"
    }

    /// Candidates of a round, at most.
    pub fn most(&self) -> usize {
        self.tree.filter(|_| !self.is_chain()).map_or(self.gamma, |tree| tree.nodes)
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
