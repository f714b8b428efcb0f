//! `spec eval`: flags to a plan, the plan to [`crate::eval`], its report to standard output and a
//! folder. What `--lossless` asks is [`super::lossless`]'s.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::flags::{ComputeFlags, DownloadFlags, SourceFlags, check_at_least_one};
use super::lossless::{Common, Flags};
use crate::data::source::Source;
use crate::eval::{Plan, Suite, run};
use crate::new_folder::NewFolder;
use crate::printer::Printer;

/// Flags of `spec eval`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The model: a folder, a registry name (stentor2, stentor, er, …) or a Hub id.
    #[arg(long, value_name = "MODEL", required_unless_present = "lossless")]
    model: Option<String>,
    /// What is asked of it.
    #[arg(long, value_enum, required_unless_present = "lossless")]
    suite: Option<SuiteName>,
    /// Check instead that decoding with a draft is lossless: greedy ids, ids of the same seed, and the
    /// law of the first token that a round decides. Exit status 1 says that it is not.
    #[arg(long, conflicts_with_all = ["model", "suite", "data", "column", "window", "stride"])]
    lossless: bool,
    #[command(flatten)]
    pair: Flags,
    /// For perplexity a file or folder of text (.parquet, .txt, .jsonl, the latter two also as .gz or
    /// .zst) or a dataset of the Hub (`hf://datasets/ORGANISATION/NAME[@REVISION][/PATH]`); for blimp
    /// the lines of alexwarstadt/blimp, as one .jsonl or a folder of them.
    #[arg(long, value_name = "PATH")]
    data: Option<String>,
    /// Evaluate so many documents, pairs of each paradigm, or prompts, at most.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// perplexity: the text column of JSONL and Parquet [default: text].
    #[arg(long)]
    column: Option<String>,
    /// perplexity: ids that are read at once [default: the model's context].
    #[arg(long, value_name = "IDS")]
    window: Option<usize>,
    /// perplexity: ids that each window but the first scores [default: half a window].
    #[arg(long, value_name = "IDS")]
    stride: Option<usize>,
    /// Seed of the resamples that intervals are made of, and of draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    source: SourceFlags,
    #[command(flatten)]
    compute: ComputeFlags,
    #[command(flatten)]
    downloads: DownloadFlags,
    /// Print report.json instead of the tables.
    #[arg(long)]
    json: bool,
    /// A folder to make, with report.json, report.md and, of a suite, records.jsonl.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Names of suites.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum SuiteName {
    /// Perplexity and bits per byte of documents.
    Perplexity,
    /// Pairs of sentences of which one is grammatical.
    Blimp,
}

impl Args {
    /// Runs the command. `false` where a pair is not lossless.
    pub fn run(&self, printer: &Printer) -> Result<bool> {
        match (self.suite, &self.model) {
            (Some(name), Some(model)) => self.evaluate(name, model, printer).map(|()| true),
            _ => self.check_pair(printer),
        }
    }

    fn check_pair(&self, printer: &Printer) -> Result<bool> {
        self.compute.check()?;
        check_at_least_one(&[("--limit", self.limit.unwrap_or(1))])?;
        self.pair.check()?;
        let common = Common {
            sources: self.source.open(),
            compute: self.compute.set_up()?,
            limit: self.limit,
            seed: self.seed,
            json: self.json,
            out: self.out.as_deref(),
        };
        self.pair.run(common, printer)
    }

    fn evaluate(&self, name: SuiteName, model: &str, printer: &Printer) -> Result<()> {
        let suite = self.suite(name)?;
        self.compute.check()?;
        let Some(data) = &self.data else {
            bail!("--suite {} needs --data: {}", suite.name(), name.wants());
        };
        let downloads = self.downloads.open();
        let data = Source::open(data, &downloads)?;
        if self.limit.is_none() {
            downloads.check([&data])?;
        }
        let folder = self.out.as_deref().map(NewFolder::begin).transpose()?;
        let plan = Plan {
            model: model.to_owned(),
            sources: self.source.open(),
            suite,
            data,
            column: self.column.clone().unwrap_or_else(|| "text".to_owned()),
            limit: self.limit,
            compute: self.compute.set_up()?,
            seed: self.seed,
        };
        let (report, records) = run(&plan, printer)?;
        let json = serde_json::to_string_pretty(&report)? + "\n";
        if let Some(folder) = folder {
            folder.write("report.json", json.as_bytes())?;
            folder.write("report.md", report.file().as_bytes())?;
            folder.write("records.jsonl", records.lines().as_bytes())?;
            folder.finish()?;
        }
        Ok(printer.data(&if self.json { json } else { report.page() })?)
    }

    /// What was typed, checked before anything is read.
    fn suite(&self, name: SuiteName) -> Result<Suite> {
        let Self { window, stride, .. } = *self;
        let counts = [("--limit", self.limit), ("--window", window), ("--stride", stride)];
        check_at_least_one(&counts.map(|(flag, count)| (flag, count.unwrap_or(1))))?;
        let is_of_documents = window.is_some() || stride.is_some() || self.column.is_some();
        match name {
            SuiteName::Perplexity => Ok(Suite::Perplexity { window, stride }),
            SuiteName::Blimp if is_of_documents => {
                bail!("--window, --stride and --column are of --suite perplexity; leave them out")
            }
            SuiteName::Blimp => Ok(Suite::Blimp),
        }
    }
}

impl SuiteName {
    fn wants(self) -> &'static str {
        match self {
            Self::Perplexity => "a file or folder of text, or a dataset of the Hub",
            Self::Blimp => "the .jsonl files of alexwarstadt/blimp's data folder",
        }
    }
}
