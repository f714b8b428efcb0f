//! A run on a trace: every case on every recorded text, with no target at hand. Nothing is timed, so that what
//! has to do with seconds stays empty; counts are those of a run with the target, or have their law.

use std::collections::HashSet;

use anyhow::{Result, bail};
use target::trace::{Header as Recorded, Replay};
use target::{Generation, Limits, Seconds};

use super::case::{Case, short_hash};
use super::drafting::Drafting;
use super::fit::Reader;
use super::header::empty_report;
use super::ledger::{Ledger, Place};
use super::record::{Record, Report};
use super::slot::{Slot, slots};
use super::{CasePlan, Plan};
use crate::printer::Printer;
use crate::trace::file::Trace;
use crate::trace::replay::{Ready, choose};
use crate::trace::written::Written;
use crate::train::interrupt::{self, Interrupted};

/// Records that are written at once.
const TOGETHER: usize = 64;

/// Runs the cases of a plan on a trace, whose own settings the plan has. `named` is where the target's
/// tokenizer is, if not where the trace says.
pub fn run(plan: &Plan, trace: Trace, named: Option<&str>, printer: &Printer) -> Result<Report> {
    interrupt::watch()?;
    check(&plan.cases)?;
    let written = Written::find(&plan.sources, &trace, named)?;
    let reader = Reader { tokenizer: written.reader().tokenizer, folder: &written.place };
    let drafts = plan.drafts().into_iter().map(|name| Drafting::open(plan, name));
    let drafts: Vec<Drafting> = drafts.collect::<Result<_>>()?;
    let readers: Vec<Reader<'_>> = drafts.iter().map(|draft| draft.reader(reader)).collect();
    let (target, info, recorded) = (trace.target(), trace.info(), trace.header.clone());
    let (prompts, texts) = choose(trace, &written, &readers, plan.limit)?;
    let mut report = empty_report(plan, &drafts, (&target, reader), prompts)?;
    report.header.trace = Some(info);
    report.header.run = short_hash(&report.header);
    let vocabulary = reader.tokenizer.vocabulary();
    let mut slots = slots(plan, &drafts, vocabulary, &report.header);
    let cases: Vec<Case> = slots.iter().map(|slot| slot.case.clone()).collect();
    for slot in &mut slots {
        slot.open_on_trace(plan, &drafts, written.reader())?;
    }
    let ledger = Ledger::open(plan, cases, report)?;
    let replaying = Replaying { plan, recorded, written: &written, slots, ledger };
    replaying.run(&texts, printer)
}

/// Refuses what hangs on the target's time.
fn check(cases: &[CasePlan]) -> Result<()> {
    if cases.iter().any(|case| case.auto.gamma || case.auto.nodes) {
        bail!(
            "--gamma auto and --tree-nodes auto weigh what passes of the target take, and a trace does not \
             say that; give numbers"
        );
    }
    Ok(())
}

/// A run on its way.
struct Replaying<'a> {
    plan: &'a Plan,
    recorded: Recorded,
    written: &'a Written,
    slots: Vec<Slot>,
    ledger: Ledger<'a>,
}

impl Replaying<'_> {
    fn run(mut self, texts: &[Ready], printer: &Printer) -> Result<Report> {
        let place = |own: &Record| (own.case_key.clone(), own.prompt_index, own.repeat, own.turn);
        let known: HashSet<_> = self.ledger.records.iter().map(place).collect();
        let whole = texts.len() * self.slots.len();
        // What methods learn of their own candidates is the same as in a run with the target.
        if self.ledger.records.len() < whole {
            for ready in texts.iter().cycle().take(self.plan.warmup) {
                for slot in 0..self.slots.len() {
                    self.replay(slot, ready)?;
                }
            }
        }
        let mut progress = printer.progress(whole as u64, "replays");
        let mut written = self.ledger.records.len();
        for ready in texts {
            let text = &ready.text;
            for slot in 0..self.slots.len() {
                let key = self.slots[slot].case.key.clone();
                if !known.contains(&(key, text.prompt_index, text.repeat, text.turn)) {
                    let generation = self.replay(slot, ready)?;
                    self.ledger.records.push(self.record(slot, ready, generation));
                }
                progress.advance();
            }
            if interrupt::is_asked() {
                self.ledger.append(written)?;
                self.ledger.refresh(false)?;
                return Err(Interrupted::BENCH.into());
            }
            if self.ledger.records.len() >= written + TOGETHER {
                self.ledger.append(written)?;
                written = self.ledger.records.len();
            }
        }
        progress.finish();
        self.ledger.append(written)?;
        self.ledger.refresh(true)?;
        Ok(self.ledger.report)
    }

    fn replay(&mut self, slot: usize, ready: &Ready) -> Result<Generation> {
        let slot = &mut self.slots[slot];
        let settings = &slot.case.settings;
        let limits = Limits {
            gamma: settings.gamma.max(1),
            max_new: self.recorded.max_new,
            ignore_eos: self.recorded.ignore_eos,
            sampling: self.recorded.sampling,
        };
        let pair = &ready.pairs[slot.draft()];
        let verification = slot.case.settings.verification;
        let reader = self.written.reader();
        let replay = Replay { reader, limits, verification, seed: self.plan.seed };
        Ok(replay.run(slot.proposer.as_mut(), &ready.text, pair)?)
    }

    fn record(&self, slot: usize, ready: &Ready, generation: Generation) -> Record {
        let (text, pair) = (&ready.text, &ready.pairs[self.slots[slot].draft()]);
        let place = Place {
            prompt_index: text.prompt_index,
            prompt_id: &text.prompt_id,
            category: &text.category,
            repeat: text.repeat,
            turn: text.turn,
        };
        // A replay takes no time that would mean anything.
        let generation = Generation { seconds: Seconds::default(), ..generation };
        self.ledger.record(&self.slots[slot].case, (place, pair), generation)
    }
}
