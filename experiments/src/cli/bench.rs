//! `spec bench`: flags to a plan, the plan to [`crate::bench`], the report to standard output.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use target::propose::siblings::Rule;
use target::propose::tree::Size;
use target::{Method, Verification};

use super::flags::{ComputeFlags, DownloadFlags, SourceFlags, TruncationFlags, check_at_least_one};
use super::plan::PlanFlags;
use crate::bench::amount::{Amount, Amounts};
use crate::bench::drafting::NGRAM;
use crate::bench::run::run;
use crate::bench::{Auto, CasePlan, Plan, replay};
use crate::printer::Printer;
use crate::provenance::now;
use crate::questions;
use crate::report;
use crate::report::format::exports;
use crate::report::next::next;
use crate::source::bundled;
use crate::trace::file::Trace;

/// What to do with prompts that do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LongPrompts {
    /// Leave them out and count them.
    Skip,
    /// Cut their beginning off.
    TruncateLeft,
    /// Stop.
    Error,
}

impl LongPrompts {
    /// The name that users type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::TruncateLeft => "truncate-left",
            Self::Error => "error",
        }
    }
}

/// How chat prompts are rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// By each side's own template, where all have one.
    Auto,
    /// By the target's own; drafts that have none read the messages as raw text.
    Target,
    /// Raw text for both.
    None,
}

impl Template {
    /// The name that users type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Target => "target",
            Self::None => "none",
        }
    }
}

/// A method, or the one for the pair.
#[derive(Clone, Copy, Debug)]
struct MethodOrAuto(Option<Method>);

fn method(name: &str) -> Result<MethodOrAuto, String> {
    match name {
        "auto" => Ok(MethodOrAuto(None)),
        _ => name.parse().map(|method| MethodOrAuto(Some(method))),
    }
}

/// What `--gamma auto` and `--tree-nodes auto` may choose at most.
const LONGEST: usize = 16;
const LARGEST: usize = 64;

/// Flags whose values a trace has.
const TRACES_OWN: [&str; 11] = [
    "prompts",
    "temperature",
    "top_k",
    "top_p",
    "repetition_penalty",
    "max_new",
    "repeats",
    "ignore_eos",
    "long_prompts",
    "template",
    "max_download",
];

/// Flags of `spec bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The draft: a folder, a registry name (stentor2, stentor, er, …) or a Hub id, both perhaps with
    /// @revision; or ngram, which needs no model and goes on as the text did before. Several, with commas
    /// between them, are cases of one run, as are several methods, numbers and temperatures.
    #[arg(long, value_name = "MODEL,…", value_delimiter = ',', required_unless_present = "plan")]
    draft: Vec<String>,
    /// The target: likewise [default: llama-3.2-1b where it is in the cache, or may be fetched with
    /// your token; else the bundled spec-24m].
    #[arg(long, value_name = "MODEL")]
    target: Option<String>,
    #[command(flatten)]
    source: SourceFlags,
    #[command(flatten)]
    downloads: DownloadFlags,
    /// identity, slem, tli, tree, byte, slrs or auto: identity where the vocabularies are the same, else
    /// byte.
    #[arg(long, default_value = "auto", value_parser = method, value_delimiter = ',')]
    method: Vec<MethodOrAuto>,
    /// How sampled candidates are verified: token by token, or a block of them at once. Candidates
    /// that were not drawn have one way only.
    #[arg(long, default_value_t = Verification::Token)]
    verify: Verification,
    /// Candidate target tokens in a row, at most; auto for as many as pay by what passes cost and what
    /// has been accepted so far, and none where none does.
    #[arg(long, default_value_t = Amounts::fixed(5), value_name = "N|auto,…")]
    gamma: Amounts,
    /// Candidates of a round, at most, where they form a tree; likewise auto.
    #[arg(long, default_value_t = Amounts::fixed(Size::default().nodes), value_name = "N|auto,…")]
    tree_nodes: Amounts,
    /// Methods tree, byte and slrs: texts that the draft reads at once.
    #[arg(long, default_value_t = Size::default().beam, value_name = "N")]
    beam: usize,
    /// Methods that draw: candidates of each place, at most --tree-nodes in all; the first goes on. `auto`:
    /// a tree of drawn candidates for byte, each where it is most probably accepted; 1 for the others.
    #[arg(long, default_value_t = Amount::Auto, value_name = "N|auto")]
    siblings: Amount,
    /// How they are chosen: drawn one after the other, or greedy (the most probable ones and one that
    /// is drawn).
    #[arg(long, default_value_t = Rule::Drawn)]
    sibling_rule: Rule,
    /// Temperature; 0 is greedy.
    #[arg(long, value_name = "T,…", value_delimiter = ',', default_value = "0")]
    temperature: Vec<f64>,
    #[command(flatten)]
    truncation: TruncationFlags,
    /// Temperature of the draft, for methods with a proposal law [default: --temperature].
    #[arg(long)]
    draft_temperature: Option<f64>,
    /// spec-bench for the 480 questions of Spec-Bench, second turns included, found or fetched; a copy of its
    /// question.jsonl, {"prompt": …} JSONL, or text with a prompt a line [default: the project's own 36].
    #[arg(long, value_name = "FILE|spec-bench")]
    prompts: Option<PathBuf>,
    /// Run at most this many prompts, evenly from the categories.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Tokens to emit for each prompt, at most [default: 128, and 20 for the bundled target].
    #[arg(long, value_name = "N")]
    max_new: Option<usize>,
    /// Samples a prompt, at temperature above 0.
    #[arg(long, default_value_t = 1, value_name = "R")]
    repeats: u32,
    /// Prompts that are run first and not counted.
    #[arg(long, default_value_t = 1, value_name = "N")]
    warmup: usize,
    /// Go on behind an end of text.
    #[arg(long)]
    ignore_eos: bool,
    /// What to do with prompts that do not fit the target's context.
    #[arg(long, value_enum, default_value_t = LongPrompts::Skip)]
    long_prompts: LongPrompts,
    /// How chat prompts (Spec-Bench's) are rendered.
    #[arg(long, value_enum, default_value_t = Template::Auto)]
    template: Template,
    /// Measure on the texts of a trace (spec trace record), with no target at hand: prompts and the target's
    /// settings are the trace's, and --target is a folder or a file with its tokenizer, where that is not
    /// found. Nothing is timed.
    #[arg(long, value_name = "FILE", conflicts_with_all = TRACES_OWN)]
    trace: Option<PathBuf>,
    #[command(flatten)]
    compute: ComputeFlags,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for report.json, report.md and records.jsonl, rewritten after every prompt
    /// [default: a new one in runs].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the report to a file besides, and keep it up to date as the run goes; its suffix says what it
    /// holds: .md .tex .html and .csv (a row a case and category) the report, .json its object, .svg its
    /// charts, .jsonl and .parquet the records. May be given several times.
    #[arg(long, value_name = "FILE")]
    export: Vec<PathBuf>,
    /// Print the object of report.json instead of the table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    planning: PlanFlags,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        if self.planning.is_asked() {
            return self.planning.run(self.json, printer);
        }
        self.check()?;
        let exports = exports(&[], &self.export)?;
        let (plan, report) = if let Some(path) = &self.trace {
            let trace = Trace::read(path)?;
            let plan = Plan { exports, ..self.plan_on(&trace)? };
            let report = replay::run(&plan, trace, self.target.as_deref(), printer)?;
            (plan, report)
        } else {
            let plan = Plan { exports, ..self.plan(printer)? };
            let report = run(&plan, printer)?;
            (plan, report)
        };
        if self.json {
            printer.data(&serde_json::to_string_pretty(&report)?)?;
        } else {
            printer.data(&report::table::render(&report))?;
        }
        if let Some(out) = &plan.out {
            printer.say(&format!("report and records: {}", out.display()));
        }
        for export in &plan.exports {
            printer.say(&format!("written: {}", export.path().display()));
        }
        if report.header.trace.is_none() {
            printer.say(&format!("next: {}", next(&report)));
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let mut temperatures = self.temperature.iter().chain(&self.draft_temperature);
        if temperatures.any(|t| !t.is_finite() || *t < 0.0) {
            bail!("a temperature is 0 or above");
        }
        self.truncation.check()?;
        self.compute.check()?;
        let least = |amounts: &Amounts| amounts.0.iter().map(|own| own.at_most(1)).min();
        check_at_least_one(&[
            ("--gamma", least(&self.gamma).unwrap_or(0)),
            ("--tree-nodes", least(&self.tree_nodes).unwrap_or(0)),
            ("--beam", self.beam),
            ("--siblings", self.siblings.at_most(1)),
            ("--max-new", self.max_new.unwrap_or(1)),
            ("--repeats", self.repeats as usize),
            ("--limit", self.limit.unwrap_or(1)),
        ])
    }

    /// The prompt file; a file of that name goes before the questions of Spec-Bench.
    fn prompts(&self, printer: &Printer) -> Result<Option<PathBuf>> {
        match &self.prompts {
            Some(name) if name == Path::new(questions::NAME) && !name.is_file() => {
                questions::find(printer).map(Some)
            }
            named => Ok(named.clone()),
        }
    }

    fn plan(&self, printer: &Printer) -> Result<Plan> {
        let sources = self.source.open();
        let compute = self.compute.set_up()?;
        let target = if let Some(target) = &self.target {
            target.clone()
        } else {
            // Of a draft that is no model nothing else is to be said.
            for draft in self.draft.iter().filter(|draft| *draft != NGRAM) {
                sources.find(draft).with_context(|| format!("cannot use the draft `{draft}`"))?;
            }
            sources.default_target(self.downloads.max_download, printer)?.to_owned()
        };
        // So that the first command is done in a minute.
        let usual = if target == bundled::TARGET { 20 } else { 128 };
        let max_new = self.max_new.unwrap_or(usual);
        Ok(Plan {
            cases: self.cases(&self.temperature),
            target,
            sources,
            sampling: self.truncation.over_greedy(),
            prompts: self.prompts(printer)?,
            limit: self.limit,
            max_new,
            repeats: if self.temperature.iter().all(|t| *t == 0.0) { 1 } else { self.repeats },
            warmup: self.warmup,
            ignore_eos: self.ignore_eos,
            long_prompts: self.long_prompts,
            template: self.template,
            compute,
            seed: self.seed,
            out: Some(self.out.clone().unwrap_or_else(|| new_run(&self.draft[0]))),
            exports: Vec::new(),
        })
    }
}

impl Args {
    /// What is run on a trace.
    fn plan_on(&self, trace: &Trace) -> Result<Plan> {
        let recorded = &trace.header;
        let mut cases = self.cases(&[recorded.sampling.temperature]);
        for case in cases.iter_mut().filter(|own| own.draft_temperature > 0.0) {
            // Several drawn candidates of a place cannot be replayed.
            case.siblings.count = case.siblings.count.or(Some(1));
        }
        Ok(Plan {
            cases,
            target: recorded.target.name.clone(),
            sources: self.source.open(),
            sampling: recorded.sampling,
            prompts: None,
            limit: self.limit,
            max_new: recorded.max_new,
            repeats: recorded.repeats,
            warmup: self.warmup,
            ignore_eos: recorded.ignore_eos,
            long_prompts: LongPrompts::Skip,
            template: if recorded.template == "none" { Template::None } else { Template::Auto },
            compute: self.compute.set_up()?,
            seed: self.seed,
            exports: Vec::new(),
            out: Some(self.out.clone().unwrap_or_else(|| new_run(&self.draft[0]))),
        })
    }

    /// Every combination of what was listed.
    fn cases(&self, temperatures: &[f64]) -> Vec<CasePlan> {
        let mut cases = Vec::new();
        for draft in &self.draft {
            // Among other drafts, the one that is no model has one method of its own.
            let alone = [MethodOrAuto(None)];
            let has_none = draft == NGRAM && self.draft.len() > 1;
            for &MethodOrAuto(method) in if has_none { &alone[..] } else { &self.method[..] } {
                for (&nodes, &gamma) in pairs(&self.tree_nodes.0, &self.gamma.0) {
                    cases.extend(temperatures.iter().map(|&temperature| CasePlan {
                        draft: draft.clone(),
                        method,
                        verification: self.verify,
                        size: Size { nodes: nodes.at_most(LARGEST), beam: self.beam },
                        siblings: self.siblings.siblings(self.sibling_rule, self.verify),
                        gamma: gamma.at_most(LONGEST),
                        auto: Auto { gamma: gamma == Amount::Auto, nodes: nodes == Amount::Auto },
                        temperature,
                        draft_temperature: self.draft_temperature.unwrap_or(temperature),
                    }));
                }
            }
        }
        cases
    }
}

fn pairs<'a, A, B>(first: &'a [A], second: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    first.iter().flat_map(move |own| second.iter().map(move |other| (own, other)))
}

/// A new folder, named by the time and the draft. It is made at once: runs that begin together would choose
/// the same name.
fn new_run(draft: &str) -> PathBuf {
    let time = now().replace(':', "-");
    let draft = Path::new(draft).file_name().unwrap_or(OsStr::new("draft")).to_string_lossy();
    let named = |count: u32| {
        Path::new("runs").join(match count {
            1 => format!("{time}-{draft}"),
            _ => format!("{time}-{draft}-{count}"),
        })
    };
    let mut count = 1;
    // Where none can be made, the run says so when it begins.
    if fs::create_dir_all("runs").is_ok() {
        let is_taken = |error: io::Error| error.kind() == io::ErrorKind::AlreadyExists;
        while fs::create_dir(named(count)).is_err_and(is_taken) {
            count += 1;
        }
    }
    named(count)
}
