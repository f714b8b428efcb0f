//! `spec eval`: flags to a plan, the plan to [`crate::eval`], its report to standard output and a
//! folder. What `--lossless` asks is [`super::lossless`]'s.

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Serialize;

use super::flags::{ComputeFlags, DownloadFlags, SourceFlags, check_at_least_one};
use super::lossless::{Common, Flags};
use crate::data::downloads::Downloads;
use crate::data::source::Source;
use crate::eval::report::Collection;
use crate::eval::suites::files::Wanted;
use crate::eval::suites::{SUITES, arithmark};
use crate::eval::{Evaluated, Plan, Suite, run};
use crate::new_folder::NewFolder;
use crate::printer::Printer;

/// Flags of `spec eval`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The model: a folder, a registry name (stentor2, stentor, er, …) or a Hub id.
    #[arg(long, value_name = "MODEL", required_unless_present = "lossless")]
    model: Option<String>,
    /// What is asked of it, one or more with commas between, or all that is made of questions. Scored as
    /// lm-evaluation-harness 0.4 scores its tasks of these names without examples; arithmark is this
    /// program's own, in the manner of the benchmark of that name.
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(names()),
        required_unless_present = "lossless"
    )]
    suite: Vec<String>,
    /// Check instead that decoding with a draft is lossless: greedy ids, ids of the same seed, and the
    /// law of the first token that a round decides. Exit status 1 says that it is not.
    #[arg(long, conflicts_with_all = ["model", "suite", "data", "column", "window", "stride"])]
    lossless: bool,
    #[command(flatten)]
    pair: Flags,
    /// For perplexity a file or folder of text (.parquet, .txt, .jsonl, the latter two also as .gz or
    /// .zst) or a dataset of the Hub (`hf://datasets/ORGANISATION/NAME[@REVISION][/PATH]`); for others
    /// the rows of the suite's dataset as .jsonl or .parquet, a file or a folder, in which files are found
    /// by the names of suites and splits [default: the suite's own dataset on the Hub].
    #[arg(long, value_name = "PATH")]
    data: Option<String>,
    /// Evaluate so many documents, questions, pairs of each paradigm, sums of each number of operations,
    /// or prompts, at most.
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
    /// Seed of the resamples that intervals are made of, of arithmark's sums, and of draws.
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

/// All suites that are made of questions.
const ALL: &str = "all";

/// Names of suites, with what each asks.
fn names() -> Vec<PossibleValue> {
    let own = [
        ("perplexity", "perplexity and bits per byte of documents"),
        ("blimp", "pairs of sentences of which one is grammatical"),
    ];
    let questions = SUITES.iter().map(|suite| (suite.name, suite.about));
    let last = [
        (arithmark::NAME, "sums of one, two and three operations, made from the seed"),
        (ALL, "all but perplexity; with --data those that are there"),
    ];
    let all = own.into_iter().chain(questions).chain(last);
    all.map(|(name, about)| PossibleValue::new(name).help(about)).collect()
}

impl Args {
    /// Runs the command. `false` where a pair is not lossless.
    pub fn run(&self, printer: &Printer) -> Result<bool> {
        match &self.model {
            Some(model) if !self.suite.is_empty() => self.evaluate(model, printer).map(|()| true),
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

    fn evaluate(&self, model: &str, printer: &Printer) -> Result<()> {
        let suites = self.suites()?;
        self.compute.check()?;
        let suites = self.open(&suites, printer)?;
        let folder = self.out.as_deref().map(NewFolder::begin).transpose()?;
        let plan = Plan {
            model: model.to_owned(),
            sources: self.source.open(),
            suites,
            column: self.column.clone().unwrap_or_else(|| "text".to_owned()),
            limit: self.limit,
            compute: self.compute.set_up()?,
            seed: self.seed,
        };
        let evaluated = run(&plan, printer)?;
        let written = Written::of(&evaluated)?;
        if let Some(folder) = folder {
            written.keep(&evaluated, &folder)?;
            folder.finish()?;
        }
        Ok(printer.data(if self.json { &written.json } else { &written.page })?)
    }

    /// What was typed, checked before anything is read.
    fn suites(&self) -> Result<Vec<Suite>> {
        let Self { window, stride, .. } = *self;
        let counts = [("--limit", self.limit), ("--window", window), ("--stride", stride)];
        check_at_least_one(&counts.map(|(flag, count)| (flag, count.unwrap_or(1))))?;
        let mut suites: Vec<Suite> = Vec::new();
        for name in &self.suite {
            let own = match &**name {
                "perplexity" => vec![Suite::Perplexity { window, stride }],
                "blimp" => vec![Suite::Blimp],
                arithmark::NAME => vec![Suite::Arithmark],
                _ => {
                    let meant = SUITES.iter().filter(|own| own.name == name || name == ALL);
                    let questions = meant.map(|own| Suite::Questions(own));
                    let around = [Suite::Blimp, Suite::Arithmark];
                    let around = around.into_iter().filter(|_| name == ALL);
                    around.chain(questions).collect()
                }
            };
            for suite in own {
                if suites.iter().all(|other| other.name() != suite.name()) {
                    suites.push(suite);
                }
            }
        }
        let has_documents = suites.iter().any(|own| matches!(own, Suite::Perplexity { .. }));
        if !has_documents && (window.is_some() || stride.is_some() || self.column.is_some()) {
            bail!("--window, --stride and --column are of --suite perplexity; leave them out");
        }
        Ok(suites)
    }

    /// Finds the data of each suite. Of all suites those are left out that a folder has nothing of.
    fn open(&self, suites: &[Suite], printer: &Printer) -> Result<Vec<(Suite, Source)>> {
        let downloads = self.downloads.open();
        let is_of_all = self.suite.iter().any(|name| name == ALL) && self.data.is_some();
        let mut opened = Vec::new();
        for &suite in suites {
            match self.data_of(suite, suites.len() > 1, &downloads) {
                Ok(data) => opened.push((suite, data)),
                Err(error) if is_of_all => {
                    printer.say(&format!("{} is left out: {error}", suite.name()));
                }
                Err(error) => return Err(error),
            }
        }
        // Of documents a part may do.
        let is_whole = |suite: &Suite| self.limit.is_none() || suite.hub_data().is_some();
        let whole = opened.iter().filter(|(suite, _)| is_whole(suite));
        downloads.check(whole.map(|(_, data)| data))?;
        Ok(opened)
    }

    fn data_of(
        &self,
        suite: Suite,
        is_one_of_several: bool,
        downloads: &Rc<Downloads>,
    ) -> Result<Source> {
        let named = self.data.as_deref();
        match (suite, suite.hub_data()) {
            (_, Some(data)) => {
                Wanted { suite: suite.name(), data, is_one_of_several }.open(named, downloads)
            }
            (Suite::Arithmark, None) => {
                Ok(Source::none(format!("sums made with the seed {}", self.seed)))
            }
            (_, None) => {
                let Some(named) = named else {
                    bail!(
                        "--suite {} needs --data: a file or folder of text, or a dataset of the Hub",
                        suite.name()
                    );
                };
                Source::open(named, downloads)
            }
        }
    }
}

/// What an evaluation writes.
struct Written {
    json: String,
    page: String,
    file: String,
}

impl Written {
    fn of(evaluated: &[Evaluated]) -> Result<Self> {
        if let [Evaluated { report, .. }] = evaluated {
            return Ok(Self { json: json(report)?, page: report.page(), file: report.file() });
        }
        let all = Collection::of(evaluated);
        Ok(Self { json: json(&all)?, page: all.page(), file: all.page() })
    }

    /// Writes the report and the records; of several suites those of each into a folder of its own.
    fn keep(&self, evaluated: &[Evaluated], folder: &NewFolder) -> Result<()> {
        folder.write("report.json", self.json.as_bytes())?;
        folder.write("report.md", self.file.as_bytes())?;
        if let [Evaluated { records, .. }] = evaluated {
            return folder.write("records.jsonl", records.lines().as_bytes());
        }
        for Evaluated { report, records } in evaluated {
            let name = report.suite();
            std::fs::create_dir(folder.draft().join(name))
                .with_context(|| format!("cannot make the folder of {name}"))?;
            folder.write(&format!("{name}/report.json"), json(report)?.as_bytes())?;
            folder.write(&format!("{name}/report.md"), report.file().as_bytes())?;
            folder.write(&format!("{name}/records.jsonl"), records.lines().as_bytes())?;
        }
        Ok(())
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}
