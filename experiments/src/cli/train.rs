//! `spec train`: flags to a recipe, data and a folder, these to [`crate::train`].

use std::path::{Path, PathBuf};

use align::Tokenizer;
use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use crate::cli::flags::{DeviceFlags, DownloadFlags, SourceFlags};
use crate::data::text::{Marks, Text};
use crate::data::tokens::{Prepared, prepare};
use crate::hub::DatasetPath;
use crate::printer::Printer;
use crate::prompts::hex;
use crate::source::Sources;
use crate::tokenizer;
use crate::train::built_in::names;
use crate::train::folder::RunFolder;
use crate::train::interrupt;
use crate::train::material::Blocks;
use crate::train::recipe::Recipe;
use crate::train::run::{Outcome, Setup, train};

/// Files of a model folder that belong to its tokenizer.
const TOKENIZER_FILES: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenmonster.vocab"];

/// Flags of `spec train`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A built-in recipe (stentor2, stentor2-cpu, spec-24m, spec-24m-cpu, stentor,
    /// stentor-30m, er, nano) or a TOML file.
    #[arg(long, value_name = "NAME|FILE", required_unless_present = "resume")]
    recipe: Option<String>,
    /// Change a value of the recipe; repeatable.
    #[arg(long = "set", value_name = "A.B=VALUE")]
    assignments: Vec<String>,
    /// Print the resolved recipe and end.
    #[arg(long)]
    show_recipe: bool,
    /// Files or folders of text (.parquet, .txt, .jsonl, the latter also as .gz or .zst), or datasets
    /// of the Hub (`hf://datasets/ORGANISATION/NAME[@REVISION][/PATH]`), in place of the recipe's
    /// sources; repeatable. A share of the bytes may follow: PATH=SHARE.
    #[arg(long, value_name = "PATH[=SHARE]")]
    data: Vec<String>,
    /// Text for evaluation, named as for --data, instead of a share of the training text; repeatable.
    #[arg(long, value_name = "PATH")]
    eval_data: Vec<String>,
    /// The text column of JSONL and Parquet, in place of the recipe's.
    #[arg(long)]
    column: Option<String>,
    /// A tokenizer.json, a TokenMonster .vocab or a model, in place of the recipe's.
    #[arg(long, value_name = "FILE|MODEL")]
    tokenizer: Option<String>,
    /// Where the run goes [default: runs/RECIPE].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run of this folder from its latest checkpoint.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["recipe", "out"])]
    resume: Option<PathBuf>,
    /// Where ids of tokenised text are kept [default: the user's cache folder, spec/tokens].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    #[command(flatten)]
    source: SourceFlags,
    #[command(flatten)]
    downloads: DownloadFlags,
    #[command(flatten)]
    device: DeviceFlags,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        self.device.check()?;
        let mut recipe = self.resolve()?;
        if self.show_recipe {
            return Ok(printer.data(&recipe.to_toml()?)?);
        }
        if self.resume.is_none() {
            RunFolder::check_free(&self.destination())?;
        }
        let device = self.device.set_up(Some("fp32"))?.device;
        let vocabulary = Vocabulary::open(&recipe, &self.source.open(), printer)?;
        let data = self.prepare(&mut recipe, &vocabulary, printer)?;
        let folder = folder(self.resume.as_deref(), &self.destination(), &recipe)?;
        interrupt::watch()?;
        let setup = Setup {
            recipe: &recipe,
            folder: &folder,
            material: &Blocks::new(&data, &recipe)?,
            begin: None,
            tokenizer_files: &vocabulary.files,
            specials: vocabulary.specials,
            device,
        };
        let outcome = train(&setup, printer)?;
        printer.data(&folder.path.display().to_string())?;
        match outcome {
            Outcome::Finished => Ok(()),
            Outcome::Interrupted => Err(interrupt::Interrupted::TRAINING.into()),
        }
    }

    fn resolve(&self) -> Result<Recipe> {
        let mut assignments = self.assignments.clone();
        let name = match (&self.resume, &self.recipe) {
            (Some(folder), _) => RunFolder::open(folder)?.recipe().display().to_string(),
            (None, Some(name)) => name.clone(),
            (None, None) => bail!("name a --recipe ({}), or a --resume folder", names().join(", ")),
        };
        if let Some(tokenizer) = &self.tokenizer {
            assignments.push("tokenizer={}".to_owned());
            let (key, value) = if Path::new(tokenizer).exists() {
                ("path", absolute(tokenizer)?)
            } else {
                ("model", tokenizer.clone())
            };
            assignments.push(format!("tokenizer.{key}={}", toml::Value::from(value)));
        }
        assignments.extend(of_data(&self.data, self.column.as_deref())?);
        if !self.eval_data.is_empty() {
            let sources: Vec<String> =
                self.eval_data.iter().map(|path| absolute(path)).collect::<Result<_>>()?;
            assignments.push(format!("data.evaluation_sources={}", toml::Value::from(sources)));
        }
        let recipe = Recipe::resolve(&name, &assignments)?;
        if recipe.distill.is_some() {
            bail!("the recipe {name} is a distillation; run it with spec distill");
        }
        Ok(recipe)
    }

    /// Where a new run goes.
    fn destination(&self) -> PathBuf {
        let name = self.recipe.as_deref().map_or("run", |name| {
            Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or("run")
        });
        self.out.clone().unwrap_or_else(|| Path::new("runs").join(name))
    }

    /// The ids of the recipe's text; the recipe is changed as [`Text::open`] says.
    fn prepare(
        &self,
        recipe: &mut Recipe,
        vocabulary: &Vocabulary,
        printer: &Printer,
    ) -> Result<Prepared> {
        if recipe.data.sources.is_empty() {
            bail!(
                "the recipe names no data: name files or folders of text, or a dataset of the Hub, \
                 with --data"
            );
        }
        if recipe.packing.end_of_text && vocabulary.specials.1.is_none() {
            printer.say("the tokenizer has no end of text: nothing stands between documents");
        }
        let begin = vocabulary.tokenizer.prefix().iter().copied();
        let marks = Marks {
            begin: begin.filter(|_| recipe.packing.begin_of_text).collect(),
            end: vocabulary.specials.1.filter(|_| recipe.packing.end_of_text),
        };
        let downloads = self.downloads.open();
        let text = Text::open(&mut recipe.data, recipe.cleaning, marks, &downloads)?;
        let cache = self.cache.clone().map_or_else(default_cache, Ok)?;
        let tokenizer = (&vocabulary.tokenizer, &*vocabulary.hash);
        let prepared = prepare(&text, tokenizer, &cache, &downloads, printer)?;
        printer.say(&format!(
            "{} tokens for training ({:.2} bytes a token), {} for evaluation",
            prepared.train.len(),
            prepared.counts.train_bytes as f64 / prepared.train.len().max(1) as f64,
            prepared.evaluation.len(),
        ));
        Ok(prepared)
    }
}

/// A path as a run can be gone on with from any folder; a dataset of the Hub is the same from all.
pub(super) fn absolute(path: &str) -> Result<String> {
    if DatasetPath::parse(path)?.is_some() {
        return Ok(path.to_owned());
    }
    Ok(std::path::absolute(path)?.to_string_lossy().into_owned())
}

/// The folder of a run that is gone on with, or a new one with its recipe.
pub(super) fn folder(resume: Option<&Path>, out: &Path, recipe: &Recipe) -> Result<RunFolder> {
    if let Some(path) = resume {
        return RunFolder::open(path);
    }
    let folder = RunFolder::create(out)?;
    folder.write(&folder.recipe(), &recipe.to_toml()?)?;
    Ok(folder)
}

/// What `--data` and `--column` set in a recipe.
pub(super) fn of_data(data: &[String], column: Option<&str>) -> Result<Vec<String>> {
    let mut assignments = Vec::new();
    assignments.extend(column.map(|column| format!("data.column={}", toml::Value::from(column))));
    if !data.is_empty() {
        let (sources, shares) = shares(data)?;
        assignments.push(format!("data.sources={}", toml::Value::from(sources)));
        assignments.push(format!("data.shares={}", toml::Value::from(shares)));
    }
    Ok(assignments)
}

/// Splits `PATH=SHARE`; either all have a share or none.
fn shares(data: &[String]) -> Result<(Vec<String>, Vec<f64>)> {
    let mut sources = Vec::new();
    let mut shares = Vec::new();
    for item in data {
        match item.rsplit_once('=').and_then(|(path, share)| Some((path, share.parse().ok()?))) {
            Some((path, share)) if share > 0.0 && !Path::new(item).exists() => {
                sources.push(absolute(path)?);
                shares.push(share);
            }
            _ => sources.push(absolute(item)?),
        }
    }
    if !shares.is_empty() && shares.len() != sources.len() {
        bail!("--data: either every path has a share (PATH=SHARE), or none has");
    }
    Ok((sources, shares))
}

/// A run's tokenizer, and the files that its checkpoints hold of it.
struct Vocabulary {
    tokenizer: Tokenizer,
    hash: String,
    files: Vec<(String, Vec<u8>)>,
    specials: (Option<u32>, Option<u32>),
}

impl Vocabulary {
    fn open(recipe: &Recipe, sources: &Sources, printer: &Printer) -> Result<Self> {
        let (name, path) = match (&recipe.tokenizer.path, &recipe.tokenizer.model) {
            (Some(path), None) => (path.clone(), PathBuf::from(path)),
            (None, Some(model)) => (model.clone(), sources.locate(model)?.folder),
            _ => bail!("name a --tokenizer: a tokenizer.json, a TokenMonster .vocab or a model"),
        };
        let tokenizer = tokenizer::open(&name, &path, printer)
            .with_context(|| format!("cannot use the tokenizer {name}"))?;
        let (rows, used) = (recipe.shape()?.vocab_size(), tokenizer.vocabulary().used_rows());
        if used > rows {
            bail!(
                "the tokenizer {name} has {used} ids, the recipe's model {rows} rows; use a smaller \
                 vocabulary, or --set model.config.vocab_size={used}"
            );
        }
        let files = files(&name, &path, printer)?;
        let mut hash = Sha256::new();
        for (name, bytes) in &files {
            hash.update(name.as_bytes());
            hash.update(bytes);
        }
        let hash = hex(&hash.finalize());
        let specials = (tokenizer.prefix().first().copied(), tokenizer.eos());
        Ok(Self { tokenizer, hash, files, specials })
    }
}

/// The files of a tokenizer, under the names that they have in a model folder; a vocabulary that it
/// lacks comes from the Hub.
pub(super) fn files(name: &str, path: &Path, printer: &Printer) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = files_there(path)?;
    if let Some(vocabulary) = tokenizer::fetch_vocabulary(name, path, printer)? {
        files.push(("tokenmonster.vocab".to_owned(), std::fs::read(vocabulary)?));
    }
    Ok(files)
}

fn files_there(path: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    if path.is_dir() {
        let there = TOKENIZER_FILES.iter().map(|name| (name, path.join(name)));
        let there = there.filter(|(_, path)| path.is_file());
        return there.map(|(name, path)| Ok(((*name).to_owned(), read(&path)?))).collect();
    }
    let is_vocab = path.extension().is_some_and(|extension| extension == "vocab");
    if !is_vocab {
        return Ok(vec![("tokenizer.json".to_owned(), read(path)?)]);
    }
    let config = serde_json::json!({"tokenizer_type": "tokenmonster",
        "vocab_file": "tokenmonster.vocab"});
    Ok(vec![
        ("tokenmonster.vocab".to_owned(), read(path)?),
        ("tokenizer_config.json".to_owned(), serde_json::to_vec_pretty(&config)?),
    ])
}

pub(super) fn default_cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = || Some(PathBuf::from(set("HOME")?).join(".cache"));
    set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .map(|folder| folder.join("spec").join("tokens"))
        .ok_or_else(|| anyhow!("neither XDG_CACHE_HOME nor HOME is set; name a --cache folder"))
}
