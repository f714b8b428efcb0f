//! The run: plain and speculative decoding prompt by prompt, interleaved, in one process, through
//! one counter. Decides the order and keeps the records; the loop itself is `target`'s.

use align::Overlap;
use anyhow::Result;
use draft::Randomness;
use target::propose::Nothing;
use target::{Generation, Limits, Proposer, Side, speculate};

use super::Plan;
use super::drafting::{Chosen, Drafting};
use super::files::RunFiles;
use super::fit::{self, Fitted};
use super::greedy::compare;
use super::record::{
    GreedyCheck, Header, Kind, PLAIN, PeakMemory, PromptsInfo, Record, Report, SCHEMA, Settings,
    VocabularyPanel,
};
use super::summary::summarise;
use crate::doctor::torch_version;
use crate::printer::Printer;
use crate::prompts::PromptFile;
use crate::provenance::{command_line, now};
use crate::report;
use crate::source::Loaded;
use crate::statistics::Resampling;

/// Runs a plan.
pub fn run(plan: &Plan, printer: &Printer) -> Result<Report> {
    let mut files = plan.out.as_deref().map(RunFiles::create).transpose()?;
    let prompts = PromptFile::read(plan.prompts.as_deref())?;
    let draft = Drafting::open(plan)?;
    let mut target = plan.sources.open("target", &plan.target, plan.compute)?;
    let (info, fitted) = fit::choose(plan, prompts, draft.reader(&target), &target)?;
    let chosen = draft.choose(plan, &target);
    let mut bench = Bench {
        report: empty_report(plan, &draft, &target, info, chosen),
        proposer: draft.proposer(chosen, plan, &mut target, &fitted[0])?,
        target: &mut target.side,
        plan,
        records: Vec::new(),
    };
    if let Some(files) = &mut files {
        files.write(&[], &bench.report)?;
    }
    bench.warm_up(&fitted)?;
    bench.run(&fitted, files.as_mut(), printer)?;
    Ok(bench.report)
}

fn empty_report(
    plan: &Plan,
    draft: &Drafting,
    target: &Loaded,
    prompts: PromptsInfo,
    chosen: Chosen,
) -> Report {
    let (ours, theirs) =
        (draft.reader(target).side.tokenizer.vocabulary(), target.side.tokenizer.vocabulary());
    let coverage = Overlap::new(ours, theirs).coverage(ours, theirs);
    let header = Header {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command_line: command_line(),
        started: now(),
        seed: plan.seed,
        device: plan.compute.device_name(),
        dtype: plan.compute.dtype_name().to_owned(),
        threads: tch::get_num_threads() as usize,
        torch: torch_version(),
        draft: draft.info(target),
        target: target.info.clone(),
        settings: settings(plan, chosen),
        prompts,
    };
    Report {
        schema: SCHEMA,
        kind: Kind::Report,
        header,
        definitions: report::definitions(),
        vocabulary: Some(VocabularyPanel::new(coverage)),
        cases: Vec::new(),
        complete: false,
        warnings: Vec::new(),
        peak_memory_bytes: PeakMemory { process: None, device: None },
    }
}

fn settings(plan: &Plan, chosen: Chosen) -> Settings {
    Settings {
        method: chosen.name().to_owned(),
        method_reason: chosen.reason.to_owned(),
        verification: plan.verification,
        tree: chosen.reads_many().then_some(plan.size),
        siblings: chosen.siblings(plan),
        gamma: plan.gamma,
        auto: chosen.most(plan).is_some(),
        temperature: plan.sampling.temperature,
        draft_temperature: plan.draft_temperature,
        top_k: plan.sampling.top_k,
        top_p: plan.sampling.top_p,
        repetition_penalty: plan.sampling.repetition_penalty,
        max_new: plan.max_new,
        repeats: plan.repeats,
        warmup: plan.warmup,
        ignore_eos: plan.ignore_eos,
        long_prompts: plan.long_prompts.name().to_owned(),
        template: plan.template.name().to_owned(),
        tail_policy: chosen.tail_policy().to_owned(),
        limit: plan.limit,
    }
}

/// A run on its way.
struct Bench<'a> {
    plan: &'a Plan,
    target: &'a mut Side,
    proposer: Box<dyn Proposer>,
    records: Vec<Record>,
    report: Report,
}

impl Bench<'_> {
    /// Runs the first prompts without counting them.
    fn warm_up(&mut self, fitted: &[Fitted]) -> Result<()> {
        for prompt in fitted.iter().cycle().take(self.plan.warmup) {
            self.generate(prompt, 0, true)?;
            self.generate(prompt, 0, false)?;
        }
        Ok(())
    }

    fn run(
        &mut self,
        fitted: &[Fitted],
        mut files: Option<&mut RunFiles>,
        printer: &Printer,
    ) -> Result<()> {
        let total = fitted.len() as u64 * u64::from(self.plan.repeats);
        let mut progress = printer.progress(total, "prompts");
        for (index, prompt) in fitted.iter().enumerate() {
            for repeat in 0..self.plan.repeats {
                let pair =
                    self.measure(prompt, repeat, (index + repeat as usize).is_multiple_of(2))?;
                self.records.extend(pair);
                progress.advance();
                let last = index + 1 == fitted.len() && repeat + 1 == self.plan.repeats;
                if files.is_some() || last {
                    self.refresh(last);
                }
                if let Some(files) = files.as_deref_mut() {
                    let fresh = self.records.len() - 2;
                    files.write(&self.records[fresh..], &self.report)?;
                }
            }
        }
        progress.finish();
        Ok(())
    }

    /// Plain and speculative decoding of one prompt; which goes first alternates.
    fn measure(&mut self, prompt: &Fitted, repeat: u32, plain_first: bool) -> Result<[Record; 2]> {
        let (plain, speculative) = if plain_first {
            let plain = self.generate(prompt, repeat, true)?;
            (plain, self.generate(prompt, repeat, false)?)
        } else {
            let speculative = self.generate(prompt, repeat, false)?;
            (self.generate(prompt, repeat, true)?, speculative)
        };
        let greedy = if self.plan.sampling.is_greedy() {
            Some(compare(self.target, prompt.pair.target.ids(), &plain.ids, &speculative.ids)?)
        } else {
            None
        };
        let method = self.report.header.settings.method.clone();
        Ok([
            self.record(prompt, repeat, PLAIN, plain, None),
            self.record(prompt, repeat, &method, speculative, greedy),
        ])
    }

    fn generate(&mut self, prompt: &Fitted, repeat: u32, plain: bool) -> Result<Generation> {
        let plan = self.plan;
        let limits = Limits {
            gamma: plan.gamma,
            max_new: plan.max_new,
            ignore_eos: plan.ignore_eos,
            sampling: plan.sampling,
        };
        let key = prompt.prompt.index as u64 | u64::from(repeat) << 32;
        let randomness = Randomness { seed: plan.seed, prompt: key };
        let mut nothing = Nothing;
        let proposer: &mut dyn Proposer = if plain { &mut nothing } else { self.proposer.as_mut() };
        Ok(speculate(
            self.target,
            proposer,
            plan.verification.verifier(),
            &prompt.pair,
            &limits,
            randomness,
        )?)
    }

    fn record(
        &self,
        prompt: &Fitted,
        repeat: u32,
        case: &str,
        generation: Generation,
        greedy: Option<GreedyCheck>,
    ) -> Record {
        let settings = &self.report.header.settings;
        Record {
            schema: SCHEMA,
            kind: Kind::Record,
            case: case.to_owned(),
            method: settings.method.clone(),
            gamma: settings.gamma,
            temperature: settings.temperature,
            prompt_index: prompt.prompt.index,
            prompt_id: prompt.prompt.id.clone(),
            category: prompt.prompt.category.clone(),
            repeat,
            note: self.report.header.note(),
            prompt_tokens: prompt.pair.target.ids().len(),
            draft_prompt_tokens: prompt.pair.draft.ids().len(),
            text: String::from_utf8_lossy(&generation.bytes).into_owned(),
            ids: generation.ids,
            finish: generation.finish,
            counts: generation.tally,
            seconds: generation.seconds,
            greedy,
        }
    }

    /// Brings the report's figures up to date.
    fn refresh(&mut self, complete: bool) {
        let seed = self.plan.seed;
        let resampling = if complete { Resampling::full(seed) } else { Resampling::running(seed) };
        self.report.cases = summarise(&self.records, resampling);
        self.report.complete = complete;
        self.report.peak_memory_bytes.process = peak_resident_bytes();
        self.report.warnings = warnings(&self.report);
    }
}

fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    let settings = &report.header.settings;
    if report.header.prompts.run < 30 {
        warnings.push(format!(
            "only {} prompts: intervals of fewer than 30 are wide and their coverage is uncertain",
            report.header.prompts.run
        ));
    }
    if settings.ignore_eos {
        warnings.push("ends of text are ignored: acceptance behind them means little".to_owned());
    }
    let slides: u64 = report.cases.iter().map(|case| case.overall.counts.draft_window_slides).sum();
    if slides > 0 {
        warnings.push(format!("the draft's window slid {slides} times: its context was full"));
    }
    let (draft, target) = (report.header.draft.parameters, report.header.target.parameters);
    if draft * 3 > target {
        warnings.push(format!(
            "the draft has {:.2} of the target's parameters: above a third it can hardly pay",
            draft as f64 / target.max(1) as f64
        ));
    }
    warnings
}

/// The largest resident set of this process so far, mapped pages included.
fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
