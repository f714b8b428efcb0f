//! `spec distill`: flags to a recipe, a draft and a target, these to lessons, the lessons to
//! [`crate::train`]; then both drafts to [`crate::bench`], for success is acceptance, not loss.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use draft::config::ModelConfig;
use draft::{Compute, Sampling};
use serde_json::{Value, json};
use target::propose::siblings::Siblings;
use target::propose::tree::Size;
use target::{Method, Verification};

use super::bench::{LongPrompts, Template};
use super::flags::{DeviceFlags, DownloadFlags, SourceFlags, check_at_least_one};
use super::train::{absolute, default_cache, files, folder, of_data};
use crate::bench::compare::{Run, compare, render};
use crate::bench::run::run as bench;
use crate::bench::{Auto, CasePlan, Plan};
use crate::data::text::{Marks, Text};
use crate::distill::material::Teaching;
use crate::distill::prepare::{Prepared, Task};
use crate::distill::settings::Distillation;
use crate::printer::Printer;
use crate::source::{Described, Sources};
use crate::statistics::Resampling;
use crate::train::built_in::DISTILL;
use crate::train::folder::RunFolder;
use crate::train::interrupt;
use crate::train::recipe::Recipe;
use crate::train::run::{Outcome, Setup, train};

/// Flags of `spec distill`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The draft: a folder, a registry name or a Hub id.
    #[arg(long, value_name = "MODEL", required_unless_present = "resume")]
    draft: Option<String>,
    /// The target: likewise.
    #[arg(long, value_name = "MODEL", required_unless_present = "resume")]
    target: Option<String>,
    /// Files or folders of text, or datasets of the Hub, as spec train takes them; repeatable.
    #[arg(long, value_name = "PATH[=SHARE]")]
    data: Vec<String>,
    /// The text column, in place of the recipe's.
    #[arg(long)]
    column: Option<String>,
    /// Whose text is learnt from: data, or what the target writes: target.
    #[arg(long, value_name = "WHOSE")]
    text: Option<String>,
    /// cross-entropy, forward-kl, reverse-kl, total-variation or log-acceptance.
    #[arg(long)]
    objective: Option<String>,
    /// A TOML file in place of the built-in recipe.
    #[arg(long, value_name = "FILE")]
    recipe: Option<String>,
    /// Change a value of the recipe; repeatable.
    #[arg(long = "set", value_name = "A.B=VALUE")]
    assignments: Vec<String>,
    /// Print the resolved recipe and end.
    #[arg(long)]
    show_recipe: bool,
    /// Seed of the run [default: the recipe's].
    #[arg(long)]
    seed: Option<u64>,
    /// Where the run goes [default: runs/distill].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run of this folder from its latest checkpoint.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["draft", "target", "recipe", "out"])]
    resume: Option<PathBuf>,
    /// Where the target's texts and laws are kept [default: the user's cache folder, spec/tokens].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    #[command(flatten)]
    source: SourceFlags,
    #[command(flatten)]
    downloads: DownloadFlags,
    #[command(flatten)]
    device: DeviceFlags,
    #[command(flatten)]
    bench: BenchFlags,
}

/// How the draft is measured before and after.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchFlags {
    /// Leave the measurement out.
    #[arg(long)]
    no_bench: bool,
    /// Prompts of the measurement, as spec bench takes them [default: beginnings of the text that is
    /// kept for evaluation].
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Run at most this many prompts.
    #[arg(long, default_value_t = 128, value_name = "N")]
    limit: usize,
    /// Tokens to emit for each prompt, at most.
    #[arg(long, default_value_t = 64, value_name = "N")]
    max_new: usize,
    /// The method [default: tli where laws are learnt across vocabularies, else as spec bench].
    #[arg(long)]
    method: Option<Method>,
    /// Candidate target tokens a round, at most.
    #[arg(long, default_value_t = 5)]
    gamma: usize,
    /// Temperature of both models in the measurement.
    #[arg(long, default_value_t = 1.0)]
    temperature: f64,
    /// Print the comparison as an object.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        self.device.check()?;
        self.bench.check()?;
        let mut recipe = self.resolve()?;
        settings(&recipe)?;
        if self.show_recipe {
            return Ok(printer.data(&recipe.to_toml()?)?);
        }
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from("runs/distill"));
        if self.resume.is_none() {
            RunFolder::check_free(&out)?;
        }
        if recipe.data.sources.is_empty() {
            bail!(
                "the recipe names no data: name files or folders of text, or a dataset of the Hub, \
                 with --data"
            );
        }
        let compute = self.device.set_up(None)?;
        let downloads = self.downloads.open();
        let mut text = Text::open(&mut recipe.data, recipe.cleaning, Marks::default(), &downloads)?;
        // Pieces are kept for evaluation, not documents.
        text.evaluation_share = 0.0;
        let pair = Pair::describe(&recipe, self.source.open(), compute)?;
        let prepared = pair.prepare(&text, self.cache.as_deref(), printer)?;
        let folder = folder(self.resume.as_deref(), &out, &recipe)?;
        let run = Distill { pair, folder: &folder };
        if run.train(&prepared, printer)? == Outcome::Interrupted {
            printer.data(&folder.path.display().to_string())?;
            return Err(interrupt::Interrupted::TRAINING.into());
        }
        run.measure(&self.bench, printer)
    }

    fn resolve(&self) -> Result<Recipe> {
        if let Some(folder) = &self.resume {
            let path = RunFolder::open(folder)?.recipe().display().to_string();
            return Recipe::resolve(&path, &self.assignments);
        }
        let (Some(draft), Some(target)) = (&self.draft, &self.target) else {
            bail!("name a --draft and a --target, or a --resume folder");
        };
        let located = self.source.open().locate(draft);
        let located = located.with_context(|| format!("cannot use the draft `{draft}`"))?;
        let shape = ModelConfig::read(&located.folder)?.shape;
        let config = located.folder.join("config.json");
        let text =
            std::fs::read(&config).with_context(|| format!("cannot read {}", config.display()))?;
        let config = toml::Value::try_from(without_nulls(serde_json::from_slice(&text)?))?;
        let length = shape.context().min(256);
        let folder = absolute(&located.folder.to_string_lossy())?;
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let mut assignments = vec![
            format!("model.config={config}"),
            format!("tokenizer.path={}", quoted(&folder)),
            format!("packing.length={length}"),
            format!("distill.draft={}", quoted(&folder)),
            format!("distill.target={}", quoted(&placed(target)?)),
        ];
        assignments.extend(of_data(&self.data, self.column.as_deref())?);
        let texts = [("distill.text", &self.text), ("distill.objective", &self.objective)];
        for (key, value) in texts {
            assignments.extend(value.as_ref().map(|value| format!("{key}={}", quoted(value))));
        }
        assignments.extend(self.seed.map(|seed| format!("seed={seed}")));
        assignments.extend(self.assignments.iter().cloned());
        Recipe::resolve(self.recipe.as_deref().unwrap_or(DISTILL), &assignments)
    }
}

/// A model's name as a run can be gone on with from any folder.
fn placed(name: &str) -> Result<String> {
    if Path::new(name).is_dir() { absolute(name) } else { Ok(name.to_owned()) }
}

/// TOML has no null; a missing key means the same in a `config.json`.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

impl BenchFlags {
    fn check(&self) -> Result<()> {
        if !self.temperature.is_finite() || self.temperature < 0.0 {
            bail!("a temperature is 0 or above");
        }
        check_at_least_one(&[
            ("--gamma", self.gamma),
            ("--max-new", self.max_new),
            ("--limit", self.limit),
        ])
    }

    fn plan(&self, draft: &Path, run: &Distill<'_>, out: PathBuf) -> Plan {
        Plan {
            cases: vec![CasePlan {
                draft: draft.display().to_string(),
                method: self.method.or_else(|| run.pair.method()),
                verification: Verification::Token,
                gamma: self.gamma,
                auto: Auto::default(),
                size: Size::default(),
                siblings: Siblings::default(),
                temperature: self.temperature,
                draft_temperature: self.temperature,
            }],
            target: run.pair.settings.target.clone(),
            sources: run.pair.sources.clone(),
            sampling: Sampling::at(self.temperature),
            prompts: Some(self.prompts.clone().unwrap_or_else(|| run.prompts())),
            limit: Some(self.limit),
            max_new: self.max_new,
            repeats: 1,
            warmup: 1,
            ignore_eos: false,
            long_prompts: LongPrompts::Skip,
            template: Template::Auto,
            compute: run.pair.compute,
            seed: run.pair.recipe.seed,
            out: Some(out),
            exports: Vec::new(),
        }
    }
}

/// What makes a recipe a distillation.
fn settings(recipe: &Recipe) -> Result<&Distillation> {
    let settings = recipe.distill.as_ref();
    settings.ok_or_else(|| anyhow!("the recipe has no [distill]; run it with spec train"))
}

/// A draft, a target and how the one is to learn from the other.
struct Pair<'a> {
    recipe: &'a Recipe,
    settings: &'a Distillation,
    draft: Described,
    target: Described,
    sources: Sources,
    compute: Compute,
}

impl<'a> Pair<'a> {
    fn describe(recipe: &'a Recipe, sources: Sources, compute: Compute) -> Result<Self> {
        let settings = settings(recipe)?;
        let (draft, target) = (
            sources.describe("draft", &settings.draft)?,
            sources.describe("target", &settings.target)?,
        );
        Ok(Self { recipe, settings, draft, target, sources, compute })
    }

    fn prepare(&self, text: &Text, cache: Option<&Path>, printer: &Printer) -> Result<Prepared> {
        let recipe = self.recipe;
        let cache = cache.map_or_else(default_cache, |path| Ok(path.to_path_buf()))?;
        let task = Task {
            settings: self.settings,
            text,
            draft: &self.draft,
            target: &self.target,
            length: recipe.packing.length,
            seed: recipe.seed,
            compute: self.compute,
            cache: &cache,
        };
        task.prepare(printer)
    }

    /// The method whose acceptance the laws are about, where laws are learnt.
    fn method(&self) -> Option<Method> {
        let theirs = self.target.tokenizer.vocabulary();
        let is_same = self.draft.tokenizer.vocabulary().same_as(theirs);
        (self.settings.objective.divergence().is_some() && !is_same).then_some(Method::Tli)
    }
}

/// A distillation in its folder.
struct Distill<'a> {
    pair: Pair<'a>,
    folder: &'a RunFolder,
}

impl Distill<'_> {
    /// The prompts of the measurement, where no others are named.
    fn prompts(&self) -> PathBuf {
        self.folder.path.join("prompts.jsonl")
    }

    fn train(&self, prepared: &Prepared, printer: &Printer) -> Result<Outcome> {
        let Pair { recipe, settings, draft, compute, .. } = &self.pair;
        let lines: Vec<String> = prepared
            .prompts
            .iter()
            .map(|prompt| json!({"prompt": prompt}).to_string() + "\n")
            .collect();
        self.folder.write(&self.prompts(), &lines.concat())?;
        interrupt::watch()?;
        let setup = Setup {
            recipe,
            folder: self.folder,
            material: &Teaching::new(prepared, settings),
            begin: Some(&draft.located.folder),
            tokenizer_files: &files(&settings.draft, &draft.located.folder, printer)?,
            specials: (draft.tokenizer.prefix().first().copied(), draft.eos.first().copied()),
            device: compute.device,
        };
        train(&setup, printer)
    }

    /// Benches the draft as it was and as it is now, and prints how they differ.
    fn measure(&self, flags: &BenchFlags, printer: &Printer) -> Result<()> {
        let seed = self.pair.recipe.seed;
        let step = self.folder.best().unwrap_or_else(|| self.pair.recipe.last_step());
        let after = self.folder.checkpoint(step);
        if flags.no_bench {
            return Ok(printer.data(&after.display().to_string())?);
        }
        let folder = self.folder.path.join("bench");
        for (name, draft) in
            [("before", self.pair.draft.located.folder.as_path()), ("after", &after)]
        {
            printer.say(&format!("measuring the draft {name} distillation"));
            let out = folder.join(name);
            // An earlier measurement is of other weights.
            drop(std::fs::remove_dir_all(&out));
            bench(&flags.plan(draft, self, out), printer)?;
        }
        let [before, now] = ["before", "after"].map(|name| Run::read(&folder.join(name)));
        let (before, now) = (before?, now?);
        let comparison = compare((&before, None), (&now, None), Resampling::full(seed))?;
        let object = serde_json::to_string_pretty(&comparison)? + "\n";
        self.folder.write(&self.folder.path.join("comparison.json"), &object)?;
        printer.data(&if flags.json { object } else { render(&comparison) })?;
        printer.say(&format!("the distilled draft: {}", after.display()));
        Ok(())
    }
}
