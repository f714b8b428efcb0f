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

/// Gives drafts of the same name the one that was typed, by which a case's records tell them apart.
fn tell_apart(drafts: &mut [ModelInfo], typed: &[&str]) {
    let names: Vec<String> = drafts.iter().map(|own| own.name.clone()).collect();
    for (draft, typed) in drafts.iter_mut().zip(typed) {
        if names.iter().filter(|name| **name == draft.name).count() > 1 {
            (*typed).clone_into(&mut draft.name);
        }
    }
}

/// The report of a run that begins now. Its drafts have the names that records call them by.
pub(super) fn empty_report(
    plan: &Plan,
    drafts: &[Drafting],
    (target, reader): (&ModelInfo, Reader<'_>),
    prompts: PromptsInfo,
) -> Result<Report> {
    let mut infos = drafts.iter().map(|draft| draft.info(target)).collect::<Result<Vec<_>>>()?;
    tell_apart(&mut infos, &plan.drafts());
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
        engine: plan.compute.engine_name().to_owned(),
        threads: tch::get_num_threads() as usize,
        torch: torch_version(),
        drafts: infos.clone(),
        target: target.clone(),
        settings: settings(plan),
        prompts,
        trace: None,
    };
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
        header,
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
