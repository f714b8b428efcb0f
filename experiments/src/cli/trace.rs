//! `spec trace`: texts that a target wrote, recorded by itself or imported from a server's answers, so that
//! drafts can be measured without it. Flags to plans; what they do is in [`crate::trace`].

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Subcommand, ValueEnum};
use draft::Sampling;

use super::bench::{LongPrompts, Template};
use super::flags::{ComputeFlags, SamplingFlags, SourceFlags, TruncationFlags, check_at_least_one};
use crate::bench::Plan;
use crate::printer::Printer;
use crate::trace::import::law::{Logprobs, Served};
use crate::trace::import::{self, import};
use crate::trace::record::{Recorded, Recording, record};

/// Flags of `spec trace`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Let a target write behind prompts, and keep what it said of each token.
    Record(Box<RecordArgs>),
    /// Make a trace of a server's answers with their log-probabilities.
    Import(Box<ImportArgs>),
}

/// Flags of `spec trace record`.
#[derive(Clone, Debug, clap::Args)]
struct RecordArgs {
    /// The target: a folder, a registry name or a Hub id.
    #[arg(long, value_name = "MODEL")]
    target: String,
    /// Prompts, as of spec bench [default: the project's own 36].
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// The trace: a new file, *.jsonl or *.jsonl.zst.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    sampling: SamplingFlags,
    /// Record at most this many prompts, evenly from the categories.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Tokens to emit for each prompt, at most.
    #[arg(long, default_value_t = 128, value_name = "N")]
    max_new: usize,
    /// Samples a prompt, at temperature above 0.
    #[arg(long, default_value_t = 1, value_name = "R")]
    repeats: u32,
    /// Keep this many of the most probable tokens of each place as well.
    #[arg(long, default_value_t = 0, value_name = "K")]
    top: usize,
    /// Go on behind an end of text.
    #[arg(long)]
    ignore_eos: bool,
    /// What to do with prompts that do not fit the target's context.
    #[arg(long, value_enum, default_value_t = LongPrompts::Skip)]
    long_prompts: LongPrompts,
    /// How chat prompts (Spec-Bench's) are rendered; drafts that are measured on the trace need templates
    /// of their own then.
    #[arg(long, value_enum, default_value_t = Template::Auto)]
    template: Template,
    #[command(flatten)]
    source: SourceFlags,
    #[command(flatten)]
    compute: ComputeFlags,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Whose answers are imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Completions or chat completions as the API of that name gives them (vLLM, llama.cpp's server), or
    /// llama.cpp's own; each with its prompt, or as {"request": …, "response": …}.
    Openai,
}

/// Flags of `spec trace import`.
#[derive(Clone, Debug, clap::Args)]
struct ImportArgs {
    /// The answers, a JSON object a line.
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// Their form.
    #[arg(long, value_enum, default_value_t = Format::Openai)]
    format: Format,
    /// Whether log-probabilities are those before temperature and truncation, or after. The former are
    /// refused unless the temperature was 1 and nothing was cut off.
    #[arg(long, value_enum)]
    logprobs: Logprobs,
    /// The temperature that the server sampled at; 0 is greedy.
    #[arg(long, value_name = "T")]
    temperature: f64,
    #[command(flatten)]
    truncation: TruncationFlags,
    /// The target's tokenizer: a folder, a tokenizer.json, a .vocab, a registry name or a Hub id.
    #[arg(long, value_name = "FOLDER")]
    tokenizer: String,
    /// The trace: a new file, *.jsonl or *.jsonl.zst.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The server went on behind an end of text.
    #[arg(long)]
    ignore_eos: bool,
    #[command(flatten)]
    source: SourceFlags,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        match &self.command {
            Command::Record(args) => args.run(printer),
            Command::Import(args) => args.run(printer),
        }
    }
}

impl RecordArgs {
    fn run(&self, printer: &Printer) -> Result<()> {
        self.sampling.check()?;
        self.compute.check()?;
        check_at_least_one(&[
            ("--max-new", self.max_new),
            ("--repeats", self.repeats as usize),
            ("--limit", self.limit.unwrap_or(1)),
        ])?;
        let recorded = record(&self.recording()?, &self.out, printer)?;
        say(&recorded, printer);
        Ok(printer.data(&self.out.display().to_string())?)
    }

    fn recording(&self) -> Result<Recording> {
        let sampling = self.sampling.over(Sampling::GREEDY);
        let plan = Plan {
            cases: Vec::new(),
            target: self.target.clone(),
            sources: self.source.open(),
            sampling,
            prompts: self.prompts.clone(),
            limit: self.limit,
            max_new: self.max_new,
            repeats: self.repeats,
            warmup: 0,
            ignore_eos: self.ignore_eos,
            long_prompts: self.long_prompts,
            template: self.template,
            compute: self.compute.set_up()?,
            seed: self.seed,
            exports: Vec::new(),
            out: None,
        };
        Ok(Recording { plan, temperature: sampling.temperature, top: self.top })
    }
}

impl ImportArgs {
    fn run(&self, printer: &Printer) -> Result<()> {
        let Format::Openai = self.format;
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            bail!("a temperature is 0 or above");
        }
        self.truncation.check()?;
        if !self.input.is_file() {
            bail!("{} is no file of answers", self.input.display());
        }
        let sampling = Sampling { temperature: self.temperature, ..self.truncation.over_greedy() };
        let recorded = import(&import::Plan {
            input: self.input.clone(),
            out: self.out.clone(),
            tokenizer: self.tokenizer.clone(),
            sources: self.source.open(),
            served: Served { sampling, logprobs: self.logprobs },
            ignore_eos: self.ignore_eos,
        })?;
        say(&recorded, printer);
        Ok(printer.data(&self.out.display().to_string())?)
    }
}

fn say(recorded: &Recorded, printer: &Printer) {
    let Recorded { prompts, texts, tokens } = recorded;
    let left: usize = prompts.skipped.iter().map(|own| own.too_long + own.inexpressible).sum();
    let left = if left > 0 { format!(", {left} left out") } else { String::new() };
    printer.say(&format!(
        "{texts} texts of {tokens} tokens behind {} prompts of {}{left}",
        prompts.run, prompts.source
    ));
}
