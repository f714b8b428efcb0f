//! A report of made-up records, for the tests of all its forms.

use target::PassTimes;
use target::propose::siblings::Siblings;

use crate::bench::case::Case;
use crate::bench::record::{
    CaseSettings, Estimate, Header, Kind, ModelInfo, PLAIN, PeakMemory, PromptsInfo, Report,
    SCHEMA, Settings, Skipped, VocabularyPanel,
};
use crate::bench::summary::{differences, summarise, tests::records};
use crate::statistics::Resampling;

fn model(name: &str, parameters: u64, vocabulary: usize) -> ModelInfo {
    ModelInfo {
        name: name.to_owned(),
        path: format!("/models/{name}"),
        source: "folder".to_owned(),
        note: None,
        architecture: "llama".to_owned(),
        parameters,
        vocabulary,
        context: 2048,
        tokenizer: "bpe".to_owned(),
        weights_sha256: Some("cd".repeat(32)),
        tokenizer_sha256: Some("ef".repeat(32)),
    }
}

fn settings() -> Settings {
    Settings {
        top_k: None,
        top_p: Some(0.95),
        repetition_penalty: 1.0,
        max_new: 26,
        repeats: 1,
        warmup: 1,
        ignore_eos: false,
        long_prompts: "skip".to_owned(),
        template: "chat".to_owned(),
        limit: Some(6),
    }
}

fn prompts() -> PromptsInfo {
    let skipped = |category: &str, too_long, inexpressible| Skipped {
        category: category.to_owned(),
        too_long,
        inexpressible,
    };
    PromptsInfo {
        source: "spec-bench".to_owned(),
        sha256: "ab".repeat(32),
        total: 480,
        run: 6,
        skipped: vec![skipped("rag", 2, 1), skipped("qa", 0, 3), skipped("math", 0, 0)],
        truncated: 0,
        later_turns_left_out: 0,
    }
}

/// What was run.
pub(crate) fn header() -> Header {
    Header {
        run: "0123456789abcdef".to_owned(),
        version: "0.1.0".to_owned(),
        git_commit: Some("c0ffee".to_owned()),
        command_line: ["spec", "bench", "--draft", "it's"].map(str::to_owned).into(),
        started: "2026-08-23T12:00:00Z".to_owned(),
        seed: 7,
        device: "cpu".to_owned(),
        processor: "a processor".to_owned(),
        dtype: "float32".to_owned(),
        engine: "auto".to_owned(),
        threads: 2,
        torch: "2.9".to_owned(),
        drafts: vec![model("llama-68m", 68_030_000, 32_000)],
        target: model("llama-3.1-8b", 8_030_000_000, 128_256),
        settings: settings(),
        prompts: prompts(),
        trace: None,
    }
}

/// The case of some of the records of `bench::summary`.
pub(crate) fn case(method: &str) -> Case {
    let settings = match method {
        PLAIN => CaseSettings::plain(0.0),
        _ => CaseSettings {
            draft: "llama-68m".to_owned(),
            method: method.to_owned(),
            method_reason: "asked for".to_owned(),
            gamma: 2,
            siblings: Siblings::default(),
            tail_policy: "drop".to_owned(),
            ..CaseSettings::plain(0.0)
        },
    };
    Case { name: method.to_owned(), settings, key: method.to_owned() }
}

/// The report of the six prompts of `bench::summary`.
pub(crate) fn report() -> Report {
    let cases = [case(PLAIN), case("slem")];
    let resampling = Resampling { resamples: 1_000, seed: 7 };
    let mut summaries = summarise(&records(), &cases, &PassTimes::default(), resampling);
    // Its categories are some of Spec-Bench's, whose columns have a test of their own.
    for case in &mut summaries {
        case.spec_bench = None;
    }
    Report {
        schema: SCHEMA,
        kind: Kind::Report,
        header: header(),
        definitions: crate::report::definitions(),
        vocabularies: vec![VocabularyPanel {
            draft: "llama-68m".to_owned(),
            draft_tokens: 32_000,
            target_tokens: 128_256,
            shared: 16_000,
            share_of_draft: 0.5,
            share_of_target: 0.124_75,
            draft_bytes_per_token: Some(3.9),
            target_bytes_per_token: Some(4.5),
            shared_mass: Estimate { value: Some(0.62), low: Some(0.6), high: Some(0.64) },
        }],
        cases: summaries,
        differences: differences(&records(), &cases, resampling),
        complete: true,
        verify_curve: PassTimes::default(),
        warnings: vec!["the draft maps <unk> | nothing".to_owned()],
        peak_memory_bytes: PeakMemory { process: Some(1_610_612_736), device: None },
    }
}
