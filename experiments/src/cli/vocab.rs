//! `spec vocab`: flags to text, options and a folder, these to [`crate::vocab`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Mutex;

use align::Tokenizer;
use align::tokenmonster::{Build, Capcode, Mode};
use anyhow::{Context, Result, bail};
use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use crate::cli::flags::{DownloadFlags, SourceFlags};
use crate::data::downloads::Downloads;
use crate::data::source::Source;
use crate::new_folder::NewFolder;
use crate::printer::Printer;
use crate::vocab::bpe::{self, Specials};
use crate::vocab::merges::Merges;
use crate::vocab::monster;
use crate::vocab::summary::Summary;
use crate::vocab::texts::{Texts, Wanted};
use crate::vocab::trim::Large;
use crate::vocab::trimmed_file::{Renumbering, surrounding};
use crate::vocab::usage::Usage;

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";

/// Flags of `spec vocab`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build a vocabulary from text.
    Build(Box<BuildArgs>),
    /// Make a large vocabulary smaller: keep the tokens most used on a text.
    Trim(Box<TrimArgs>),
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        match &self.command {
            Command::Build(args) => args.run(printer),
            Command::Trim(args) => args.run(printer),
        }
    }
}

/// Flags of both.
#[derive(Debug, clap::Args)]
struct Common {
    /// How many ids. TokenMonster's two special tokens come behind them, those of the others are
    /// among them.
    #[arg(long, value_name = "N")]
    size: usize,
    /// Files or folders of text (.parquet, .txt, .jsonl, the latter also as .gz or .zst), or datasets
    /// of the Hub (`hf://datasets/ORGANISATION/NAME[@REVISION][/PATH]`).
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    data: Vec<String>,
    /// The folder to make; it must not be there yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The text column of JSONL and Parquet.
    #[arg(long, default_value = "text")]
    column: String,
    /// Read at most so much of the text; each PATH has an equal part.
    #[arg(long, value_name = "N", default_value_t = 50_000_000)]
    limit_bytes: u64,
    /// Text that is only measured on.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    eval: Vec<String>,
    #[command(flatten)]
    downloads: DownloadFlags,
    /// Print a JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

impl Common {
    fn read(&self, names: &[String], downloads: &Rc<Downloads>) -> Result<Texts> {
        let sources: Vec<Source> =
            names.iter().map(|name| Source::open(name, downloads)).collect::<Result<_>>()?;
        Texts::read(Wanted { sources: &sources, column: &self.column, limit: self.limit_bytes })
    }

    /// Both texts, so that what is wrong with either is known before the work begins.
    fn texts(&self) -> Result<(Texts, Option<Texts>)> {
        NewFolder::check_free(&self.out)?;
        let downloads = self.downloads.open();
        let read = |names: &[String]| self.read(names, &downloads);
        let eval = (!self.eval.is_empty()).then(|| read(&self.eval)).transpose()?;
        Ok((read(&self.data)?, eval))
    }

    /// Measures a folder that is complete but for its name.
    fn summary(
        &self,
        folder: &NewFolder,
        (text, eval): (&Texts, Option<&Texts>),
        printer: &Printer,
    ) -> Result<Summary> {
        let tokenizer = Tokenizer::load(&folder.draft())?;
        let text = measure(&tokenizer, text, printer)?;
        let eval = eval.map(|eval| measure(&tokenizer, eval, printer)).transpose()?;
        Ok(Summary::new(self.out.display().to_string(), &tokenizer, &text, eval.as_ref()))
    }

    fn print(&self, summary: &Summary, printer: &Printer) -> Result<()> {
        let text = if self.json { summary.json()? } else { summary.table() };
        Ok(printer.data(&text)?)
    }
}

fn measure(tokenizer: &Tokenizer, texts: &Texts, printer: &Printer) -> Result<Usage> {
    let bar = Mutex::new(printer.bytes(0, texts.bytes, "encoding"));
    let advance = |bytes| {
        if let Ok(mut bar) = bar.lock() {
            bar.advance_by(bytes);
        }
    };
    let usage = Usage::measure(tokenizer, texts, advance)?;
    if let Ok(bar) = bar.into_inner() {
        bar.finish();
    }
    Ok(usage)
}

/// What kind of vocabulary is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Kind {
    /// Byte-level BPE, a `tokenizer.json`.
    Bpe,
    /// TokenMonster, a `.vocab` file.
    Tokenmonster,
}

/// What a TokenMonster token may span.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum ModeName {
    /// Words, numbers and punctuation together.
    Clean,
    /// Words, numbers and punctuation apart.
    Strict,
}

/// How a TokenMonster vocabulary writes word beginnings and capitals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum CapcodeName {
    /// Text as it is.
    None,
    /// A marker where a word has no space in front; what names of vocabularies call `nocapcode`.
    Delete,
    /// Lower case only, with markers for capitals too.
    Full,
}

impl CapcodeName {
    fn capcode(self) -> Capcode {
        match self {
            Self::None => Capcode::None,
            Self::Delete => Capcode::Delete,
            Self::Full => Capcode::Full,
        }
    }
}

/// Flags of `spec vocab build`.
#[derive(Debug, clap::Args)]
struct BuildArgs {
    /// What kind of vocabulary.
    #[arg(long)]
    kind: Kind,
    #[command(flatten)]
    common: Common,
    /// TokenMonster: what a token may span.
    #[arg(long, default_value = "strict")]
    mode: ModeName,
    /// TokenMonster: how word beginnings and capitals are written.
    #[arg(long, default_value = "delete")]
    capcode: CapcodeName,
    /// TokenMonster: decides which parts of the text are encoded on the way.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The special token that begins a text.
    #[arg(long, value_name = "NAME", default_value = "<|bos|>")]
    bos: String,
    /// The special token that ends a text.
    #[arg(long, value_name = "NAME", default_value = "<|eos|>")]
    eos: String,
}

impl BuildArgs {
    fn run(&self, printer: &Printer) -> Result<()> {
        let specials = Specials { bos: self.bos.clone(), eos: self.eos.clone() };
        specials.check()?;
        let (text, eval) = self.common.texts()?;
        let folder = NewFolder::begin(&self.common.out)?;
        match self.kind {
            Kind::Bpe => {
                let files = bpe::train(&text, self.common.size, &specials)?;
                folder.write(TOKENIZER, files.tokenizer.as_bytes())?;
                folder.write(CONFIG, files.config.as_bytes())?;
            }
            Kind::Tokenmonster => {
                let files = monster::build(&text, self.monster(), &specials, printer)?;
                folder.write(monster::FILE, &files.vocab)?;
                folder.write(CONFIG, files.config.as_bytes())?;
            }
        }
        let summary = self.common.summary(&folder, (&text, eval.as_ref()), printer)?;
        folder.finish()?;
        self.common.print(&summary, printer)
    }

    fn monster(&self) -> Build {
        let mode = match self.mode {
            ModeName::Clean => Mode::Clean,
            ModeName::Strict => Mode::Strict,
        };
        let capcode = self.capcode.capcode();
        Build { size: self.common.size, mode, capcode, seed: self.seed }
    }
}

/// Flags of `spec vocab trim`.
#[derive(Debug, clap::Args)]
struct TrimArgs {
    /// The large vocabulary: a tokenizer.json, a model folder, a registry name or a Hub id.
    #[arg(long, value_name = "FILE|MODEL")]
    from: String,
    #[command(flatten)]
    common: Common,
    /// Keep only these added tokens, and those that the tokenizer puts around a text, instead of all.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    specials: Vec<String>,
    #[command(flatten)]
    source: SourceFlags,
}

impl TrimArgs {
    fn run(&self, printer: &Printer) -> Result<()> {
        let path = self.locate()?;
        let large: Value = read_json(&path)?;
        let tokenizer = Tokenizer::load(&path)?;
        let (text, eval) = self.common.texts()?;
        let about = || format!("cannot trim {}", path.display());
        let specials = self.kept_specials(&large).with_context(about)?;
        let merges = Merges::read(&large["model"]).with_context(about)?;
        let usage = measure(&tokenizer, &text, printer)?;
        let parts =
            Large { merges: &merges, vocabulary: tokenizer.vocabulary(), specials: &specials };
        if let missing @ 1.. = parts.missing_bytes() {
            let from = &self.from;
            printer.say(&format!(
                "{from} has no token for {missing} of the 256 bytes; nor has a part of it"
            ));
        }
        let kept = parts.choose(self.common.size, &usage.ranking()).with_context(about)?;
        let renumbering = Renumbering::new(&kept);
        let folder = NewFolder::begin(&self.common.out)?;
        folder.write(TOKENIZER, &serde_json::to_vec(&renumbering.tokenizer(&large))?)?;
        folder.write("ids.json", &serde_json::to_vec(&renumbering.old_ids())?)?;
        let config = path.with_file_name(CONFIG);
        if config.is_file() {
            let config = renumbering.config(&read_json(&config)?);
            folder.write(CONFIG, &serde_json::to_vec_pretty(&config)?)?;
        }
        let mut summary = self.common.summary(&folder, (&text, eval.as_ref()), printer)?;
        summary.from = Some((&usage).into());
        folder.finish()?;
        self.common.print(&summary, printer)
    }

    fn locate(&self) -> Result<PathBuf> {
        let path = Path::new(&self.from);
        if path.is_file() {
            return Ok(path.to_path_buf());
        }
        let sources = self.source.open();
        sources.find(&self.from).with_context(|| format!("{} does not exist", self.from))?;
        let file = sources.locate(&self.from)?.folder.join(TOKENIZER);
        if !file.is_file() {
            bail!("{} has no {TOKENIZER}; only vocabularies with merges can be trimmed", self.from);
        }
        Ok(file)
    }

    /// Ids of the added tokens to keep.
    fn kept_specials(&self, large: &Value) -> Result<BTreeSet<u32>> {
        let added: Vec<(&str, u32)> = (large["added_tokens"].as_array().into_iter().flatten())
            .filter_map(|token| Some((token["content"].as_str()?, token["id"].as_u64()? as u32)))
            .collect();
        if self.specials.is_empty() {
            return Ok(added.into_iter().map(|(_, id)| id).collect());
        }
        let mut kept = surrounding(&large["post_processor"]);
        for name in &self.specials {
            match added.iter().find(|(token, _)| token == name) {
                Some((_, id)) => kept.insert(*id),
                None => bail!("it has no added token `{name}`; name others with --specials"),
            };
        }
        Ok(kept)
    }
}

fn read_json(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no JSON; fetch it again", path.display()))
}
