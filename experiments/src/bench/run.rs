//! The run: plain decoding and every case prompt by prompt, interleaved, in one process, through one
//! counter. Decides the order and keeps the records; the loop itself is `target`'s.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use draft::Randomness;
use target::costs::measure;
use target::{Generation, Limits, PassTimes, Prompt as Pair, speculate};

use super::Plan;
use super::case::{Case, short_hash};
use super::drafting::Drafting;
use super::fit::{self, Fate, Fitted, Fitting, Reader};
use super::greedy::compare;
use super::header::empty_report;
use super::ledger::{Ledger, Place};
use super::record::{PLAIN, Record, Report};
use super::slot::{Slot, slots};
use super::vocabulary::{count_bytes, measure_mass};
use crate::printer::{Printer, Progress};
use crate::prompts::PromptFile;
use crate::source::Loaded;
use crate::train::interrupt::{self, Interrupted};

/// How often reports are brought up to date while a run is on its way, at most.
const REFRESH: Duration = Duration::from_secs(5);

/// The share of a run's time that this may take.
const REFRESH_SHARE: u32 = 20;

/// Runs a plan. Where the folder of its files has records of its cases, only what is missing is run.
pub fn run(plan: &Plan, printer: &Printer) -> Result<Report> {
    interrupt::watch()?;
    let prompts = PromptFile::read(plan.prompts.as_deref())?;
    let drafts = plan.drafts().into_iter().map(|name| Drafting::open(plan, name));
    let drafts: Vec<Drafting> = drafts.collect::<Result<_>>()?;
    let mut target = plan.sources.open("target", &plan.target, plan.compute)?;
    target.info = target.info.with_hashes(&target.located.folder)?;
    let readers: Vec<Reader<'_>> =
        drafts.iter().map(|draft| draft.reader(Reader::of(&target))).collect();
    let (info, fitted) = fit::choose(plan, prompts, &readers, &target)?;
    let fitting = Fitting::new(plan, Reader::of(&target), &readers)?;
    let mut report = empty_report(plan, &drafts, (&target.info, Reader::of(&target)), info)?;
    for (draft, panel) in report.vocabularies.iter_mut().enumerate() {
        count_bytes(panel, draft, &fitted);
    }
    report.header.run = short_hash(&report.header);
    let mut slots = slots(plan, &drafts, target.side.tokenizer.vocabulary(), &report.header);
    let cases: Vec<Case> = slots.iter().map(|slot| slot.case.clone()).collect();
    let ledger = Ledger::open(plan, cases, report)?;
    for slot in &mut slots {
        slot.open(plan, &drafts, &mut target, &fitted[0])?;
    }
    let mut bench = Bench {
        plan,
        drafts,
        target,
        fitting,
        slots,
        ledger,
        places: HashMap::new(),
        due: Instant::now(),
    };
    bench.remember(0);
    bench.run(&fitted, printer)
}

/// A run on its way.
struct Bench<'a> {
    plan: &'a Plan,
    drafts: Vec<Drafting>,
    target: Loaded,
    fitting: Fitting,
    slots: Vec<Slot>,
    ledger: Ledger<'a>,
    /// Where the record of a case's key, a prompt, a repeat and a turn is.
    places: HashMap<(String, usize, u32, u32), usize>,
    /// When reports are to be brought up to date again.
    due: Instant,
}

/// A turn of a conversation, at one temperature.
struct Turn {
    temperature: f64,
    number: u32,
    repeat: u32,
    /// The text so far, for the target and each draft.
    pairs: Vec<Pair>,
    /// What has been said, the user's message first and last.
    said: Vec<String>,
}

impl Bench<'_> {
    fn run(mut self, fitted: &[Fitted], printer: &Printer) -> Result<Report> {
        let each: u64 =
            self.slots.iter().map(|slot| u64::from(self.plan.repeats_at(slot.temperature()))).sum();
        let turns: u64 = fitted.iter().map(|own| 1 + own.prompt.later.len() as u64).sum();
        tracing::info!("the first prompt begins");
        if (self.ledger.records.len() as u64) < each * turns {
            self.warm_up(fitted)?;
        }
        let mut progress = printer.progress(each * turns, "generations");
        for (index, prompt) in fitted.iter().enumerate() {
            for repeat in 0..self.plan.repeats {
                self.converse(prompt, (index, repeat), &mut progress)?;
                if interrupt::is_asked() {
                    progress.finish();
                    self.refresh(false)?;
                    return Err(Interrupted::BENCH.into());
                }
            }
        }
        progress.finish();
        self.measure_passes(fitted)?;
        self.refresh(true)?;
        Ok(self.ledger.report)
    }

    /// Runs the first prompts without counting them.
    fn warm_up(&mut self, fitted: &[Fitted]) -> Result<()> {
        for prompt in fitted.iter().cycle().take(self.plan.warmup) {
            for slot in 0..self.slots.len() {
                let pair = &prompt.pairs[self.slots[slot].draft()];
                self.generate(slot, pair, prompt.prompt.index as u64)?;
            }
        }
        Ok(())
    }

    /// All turns of a prompt at all temperatures that have such a repeat.
    fn converse(
        &mut self,
        prompt: &Fitted,
        (index, repeat): (usize, u32),
        progress: &mut Progress,
    ) -> Result<()> {
        let temperatures = self.plan.temperatures().into_iter();
        let own = temperatures.filter(|&own| repeat < self.plan.repeats_at(own));
        let first = |temperature| Turn {
            temperature,
            number: 0,
            repeat,
            pairs: prompt.pairs.clone(),
            said: vec![prompt.prompt.text.clone()],
        };
        let mut turns: Vec<Turn> = own.map(first).collect();
        while !turns.is_empty() {
            self.measure(prompt, index + repeat as usize, &turns, progress)?;
            if interrupt::is_asked() {
                return Ok(());
            }
            let next = turns.into_iter().map(|turn| self.next_turn(prompt, turn));
            turns = next.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        }
        Ok(())
    }

    /// The turn behind one: what plain decoding answered is the answer for all cases. `None` where the
    /// conversation ends, or no longer fits.
    fn next_turn(&mut self, prompt: &Fitted, mut turn: Turn) -> Result<Option<Turn>> {
        let Some(message) = prompt.prompt.later.get(turn.number as usize) else { return Ok(None) };
        let plain = self
            .slots
            .iter()
            .find(|slot| slot.is_plain() && slot.temperature() == turn.temperature);
        let key = plain.map(|slot| slot.case.key.clone()).unwrap_or_default();
        let Some(answer) = self.known(&key, prompt, &turn) else { return Ok(None) };
        turn.said.extend([answer.text.clone(), message.clone()]);
        let said: Vec<&str> = turn.said.iter().map(String::as_str).collect();
        let side = &self.target.side;
        let target = (&side.tokenizer, side.session.model().context());
        let readers: Vec<Reader<'_>> =
            self.drafts.iter().map(|draft| draft.reader(Reader::of(&self.target))).collect();
        match self.fitting.fit(target, &readers, &prompt.prompt, &said)? {
            Fate::Fits { pairs, truncated } => {
                self.ledger.report.header.prompts.truncated += usize::from(truncated);
                Ok(Some(Turn { number: turn.number + 1, pairs, ..turn }))
            }
            Fate::TooLong | Fate::Inexpressible => {
                let left = prompt.prompt.later.len() - turn.number as usize;
                self.ledger.report.header.prompts.later_turns_left_out += left;
                Ok(None)
            }
        }
    }

    /// The record of a case at a turn.
    fn known(&self, key: &str, prompt: &Fitted, turn: &Turn) -> Option<&Record> {
        let place = (key.to_owned(), prompt.prompt.index, turn.repeat, turn.number);
        self.places.get(&place).map(|&index| &self.ledger.records[index])
    }

    /// Takes note of where records are, from one on.
    fn remember(&mut self, begin: usize) {
        self.places.retain(|_, index| *index < begin);
        for (index, own) in self.ledger.records.iter().enumerate().skip(begin) {
            let place = (own.case_key.clone(), own.prompt_index, own.repeat, own.turn);
            self.places.insert(place, index);
        }
    }

    /// Plain decoding and all cases on the turns of a prompt; which goes first changes with `first`.
    fn measure(
        &mut self,
        prompt: &Fitted,
        first: usize,
        turns: &[Turn],
        progress: &mut Progress,
    ) -> Result<()> {
        let mut fresh = Vec::new();
        for place in 0..self.slots.len() {
            let slot = (first + place) % self.slots.len();
            let at = turns.iter().find(|turn| turn.temperature == self.slots[slot].temperature());
            let Some(turn) = at else { continue };
            progress.advance();
            if self.known(&self.slots[slot].case.key, prompt, turn).is_some() {
                continue;
            }
            if interrupt::is_asked() {
                break;
            }
            let pair = &turn.pairs[self.slots[slot].draft()];
            let key = prompt.prompt.index as u64
                | u64::from(turn.repeat) << 32
                | u64::from(turn.number) << 56;
            let generation = self.generate(slot, pair, key)?;
            fresh.push(self.record(slot, (prompt, turn), generation));
        }
        let begin = self.ledger.records.len();
        self.ledger.records.extend(fresh);
        self.remember(begin);
        for turn in turns.iter().filter(|turn| turn.temperature == 0.0) {
            self.check_greedy(prompt, turn, begin)?;
        }
        // What could not be compared with plain decoding is run again another time.
        let plain = |record: &Record| record.method == PLAIN;
        let is_whole = |own: &Record| plain(own) || own.temperature > 0.0 || own.greedy.is_some();
        if !self.ledger.records[begin..].iter().all(is_whole) {
            let whole: Vec<Record> = self.ledger.records.drain(begin..).filter(is_whole).collect();
            self.ledger.records.extend(whole);
            self.remember(begin);
        }
        self.ledger.append(begin)?;
        if Instant::now() >= self.due {
            self.refresh(false)?;
        }
        Ok(())
    }

    /// Compares the fresh greedy texts of a turn with the plain one.
    fn check_greedy(&mut self, prompt: &Fitted, turn: &Turn, fresh: usize) -> Result<()> {
        let plain = self.slots.iter().find(|slot| slot.is_plain() && slot.temperature() == 0.0);
        let key = plain.map(|slot| slot.case.key.clone()).unwrap_or_default();
        let Some(plain) = self.known(&key, prompt, turn).map(|own| own.ids.clone()) else {
            return Ok(());
        };
        let text = turn.pairs[0].target.ids();
        for record in &mut self.ledger.records[fresh..] {
            if record.temperature == 0.0 && record.case_key != key && record.turn == turn.number {
                record.greedy = Some(compare(&mut self.target.side, text, &plain, &record.ids)?);
            }
        }
        Ok(())
    }

    fn generate(&mut self, slot: usize, pair: &Pair, prompt: u64) -> Result<Generation> {
        let slot = &mut self.slots[slot];
        let settings = &slot.case.settings;
        let limits = Limits {
            gamma: settings.gamma.max(1),
            max_new: self.plan.max_new,
            ignore_eos: self.plan.ignore_eos,
            sampling: self.plan.sampling_at(settings.temperature),
        };
        let randomness = Randomness { seed: self.plan.seed, prompt };
        let verifier = settings.verification.verifier();
        let proposer = slot.proposer.as_mut();
        Ok(speculate(&mut self.target.side, proposer, verifier, pair, &limits, randomness)?)
    }

    fn record(
        &self,
        slot: usize,
        (prompt, turn): (&Fitted, &Turn),
        generation: Generation,
    ) -> Record {
        let pair = &turn.pairs[self.slots[slot].draft()];
        let place = Place {
            prompt_index: prompt.prompt.index,
            prompt_id: &prompt.prompt.id,
            category: &prompt.prompt.category,
            repeat: turn.repeat,
            turn: turn.number,
        };
        self.ledger.record(&self.slots[slot].case, (place, pair), generation)
    }

    /// Times passes of the target by their number of candidates, when all else is done, and asks it for its
    /// mass on the tokens that the drafts have.
    fn measure_passes(&mut self, fitted: &[Fitted]) -> Result<()> {
        let most = self.slots.iter().map(Slot::most).max().unwrap_or(0);
        let ids = fitted[0].pair().target.ids();
        let mut curve = PassTimes::default();
        for (candidates, seconds) in measure(&mut self.target.side, ids, most)? {
            curve.add(candidates, seconds);
        }
        self.ledger.report.verify_curve = curve;
        let masses = measure_mass(&self.drafts, &mut self.target, fitted, self.plan.seed)?;
        for (panel, mass) in self.ledger.report.vocabularies.iter_mut().zip(masses) {
            panel.shared_mass = mass;
        }
        Ok(())
    }

    /// Brings the report's figures up to date, and its files.
    fn refresh(&mut self, complete: bool) -> Result<()> {
        let begin = Instant::now();
        self.ledger.refresh(complete)?;
        self.due = Instant::now() + REFRESH.max(begin.elapsed() * REFRESH_SHARE);
        Ok(())
    }
}
