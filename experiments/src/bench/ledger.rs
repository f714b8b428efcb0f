//! What a run has found so far: its records, its report, and the files of both. A run with a target and a
//! replay of a trace keep the same; neither the one nor the other is known here.

use anyhow::Result;
use target::{Generation, Prompt as Pair};

use super::Plan;
use super::case::Case;
use super::files::RunFiles;
use super::record::{Kind, Record, Report, SCHEMA};
use super::repetition::ends_in_repetition;
use super::summary::{differences, summarise};
use super::warnings::warnings;
use crate::report::view::View;
use crate::statistics::Resampling;

/// A generation's place in its run.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Place of the prompt in its file.
    pub(super) prompt_index: usize,
    /// The prompt's own name.
    pub(super) prompt_id: &'a str,
    /// The prompt's category.
    pub(super) category: &'a str,
    /// Which repeat of the prompt.
    pub(super) repeat: u32,
    /// Which turn of the conversation.
    pub(super) turn: u32,
}

/// Records, and what is made of them.
pub(super) struct Ledger<'a> {
    pub(super) plan: &'a Plan,
    pub(super) cases: Vec<Case>,
    pub(super) records: Vec<Record>,
    pub(super) report: Report,
    files: Option<RunFiles>,
}

impl<'a> Ledger<'a> {
    /// Opens the files of a plan, where it has some, and takes up the records in them.
    pub(super) fn open(plan: &'a Plan, cases: Vec<Case>, report: Report) -> Result<Self> {
        let (files, records) = match &plan.out {
            Some(out) => RunFiles::open(out, &cases).map(|(files, kept)| (Some(files), kept))?,
            None => (None, Vec::new()),
        };
        let ledger = Self { plan, cases, records, report, files };
        ledger.write()?;
        Ok(ledger)
    }

    /// The record of a generation.
    pub(super) fn record(
        &self,
        case: &Case,
        (place, pair): (Place<'_>, &Pair),
        generation: Generation,
    ) -> Record {
        let Case { name, settings, key } = case;
        Record {
            schema: SCHEMA,
            kind: Kind::Record,
            run: self.report.header.run.clone(),
            case: name.clone(),
            case_key: key.clone(),
            draft: settings.draft.clone(),
            method: settings.method.clone(),
            gamma: settings.gamma,
            tree_nodes: settings.tree.map(|tree| tree.nodes),
            temperature: settings.temperature,
            prompt_index: place.prompt_index,
            prompt_id: place.prompt_id.to_owned(),
            category: place.category.to_owned(),
            repeat: place.repeat,
            turn: place.turn,
            note: self.report.header.note(),
            prompt_tokens: pair.target.ids().len(),
            draft_prompt_tokens: pair.draft.ids().len(),
            text: String::from_utf8_lossy(&generation.bytes).into_owned(),
            repeats_itself: ends_in_repetition(&generation.ids),
            ids: generation.ids,
            finish: generation.finish,
            counts: generation.tally,
            seconds: generation.seconds,
            verify_passes: generation.passes,
            greedy: None,
        }
    }

    /// Appends the records from one on to their file.
    pub(super) fn append(&mut self, begin: usize) -> Result<()> {
        let fresh = &self.records[begin..];
        self.files.as_mut().map_or(Ok(()), |files| files.append(fresh))
    }

    /// Brings the report's figures up to date, and its files.
    pub(super) fn refresh(&mut self, complete: bool) -> Result<()> {
        let seed = self.plan.seed;
        let resampling = if complete { Resampling::full(seed) } else { Resampling::running(seed) };
        let curve = &self.report.verify_curve;
        self.report.cases = summarise(&self.records, &self.cases, curve, resampling);
        self.report.differences = differences(&self.records, &self.cases, resampling);
        self.report.complete = complete;
        self.report.peak_memory_bytes.process = peak_resident_bytes();
        self.report.warnings = warnings(&self.report, &self.records);
        self.write()
    }

    /// Replaces the report's files, those that it is exported to included.
    fn write(&self) -> Result<()> {
        if let Some(files) = &self.files {
            files.write(&self.report)?;
        }
        let (view, records) = (View::of(&self.report), &[&self.records[..]]);
        self.plan.exports.iter().try_for_each(|export| export.write(&view, records))
    }
}

/// The largest resident set of this process so far, mapped pages included.
fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
