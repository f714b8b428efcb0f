//! What a report says before anything has been run: the models, the machine, the settings. Runs nothing.

use align::Overlap;
use anyhow::Result;
use target::PassTimes;

use super::Plan;
use super::drafting::Drafting;
use super::fit::Reader;
use super::record::{
    Header, Kind, ModelInfo, PeakMemory, PromptsInfo, Report, SCHEMA, Settings, VocabularyPanel,
};
use crate::doctor::torch_version;
use crate::provenance::{command_line, git_commit, now, processor};
use crate::report;

/// What a case's records call each draft: its name, or what was typed where names are the same.
fn labels(header: &Header, typed: &[&str]) -> Vec<String> {
    let is_taken = |name: &str| header.drafts.iter().filter(|own| own.name == name).count() > 1;
    let own = header.drafts.iter().zip(typed);
    own.map(
        |(model, typed)| {
            if is_taken(&model.name) { (*typed).to_owned() } else { model.name.clone() }
        },
    )
    .collect()
}

/// The report of a run that begins now. Its drafts have the names that records call them by.
pub(super) fn empty_report(
    plan: &Plan,
    drafts: &[Drafting],
    (target, reader): (&ModelInfo, Reader<'_>),
    prompts: PromptsInfo,
) -> Result<Report> {
    let mut infos = drafts.iter().map(|draft| draft.info(target)).collect::<Result<Vec<_>>>()?;
    let header = Header {
        run: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_commit: git_commit(),
        command_line: command_line(),
        started: now(),
        seed: plan.seed,
        device: plan.compute.device_name(),
        processor: processor(),
        dtype: plan.compute.dtype_name().to_owned(),
        threads: tch::get_num_threads() as usize,
        torch: torch_version(),
        drafts: infos.clone(),
        target: target.clone(),
        settings: settings(plan),
        prompts,
        trace: None,
    };
    for (info, label) in infos.iter_mut().zip(labels(&header, &plan.drafts())) {
        info.name = label;
    }
    let theirs = reader.tokenizer.vocabulary();
    let panels = drafts.iter().zip(&infos).map(|(draft, info)| {
        let ours = draft.reader(reader).tokenizer.vocabulary();
        VocabularyPanel::new(&info.name, Overlap::new(ours, theirs).coverage(ours, theirs))
    });
    Ok(Report {
        schema: SCHEMA,
        kind: Kind::Report,
        definitions: report::definitions(),
        vocabularies: panels.collect(),
        cases: Vec::new(),
        differences: Vec::new(),
        complete: false,
        verify_curve: PassTimes::default(),
        warnings: Vec::new(),
        peak_memory_bytes: PeakMemory { process: None, device: None },
        header: Header { drafts: infos, ..header },
    })
}

fn settings(plan: &Plan) -> Settings {
    Settings {
        top_k: plan.sampling.top_k,
        top_p: plan.sampling.top_p,
        repetition_penalty: plan.sampling.repetition_penalty,
        max_new: plan.max_new,
        repeats: plan.repeats,
        warmup: plan.warmup,
        ignore_eos: plan.ignore_eos,
        long_prompts: plan.long_prompts.name().to_owned(),
        template: plan.template.name().to_owned(),
        limit: plan.limit,
    }
}
