//! A training run from its first step, or from its latest checkpoint, to its last. What is random in
//! it is decided by the recipe and the number of the step, so that a run that was broken off goes on
//! as if it had not been.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use draft::train::{Order, Parameters, Trainer};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::curves;
use super::folder::RunFolder;
use super::interrupt;
use super::material::Material;
use super::metrics::{Evaluated, Metrics, Record, Step};
use super::recipe::Recipe;
use crate::printer::Printer;

/// What a run works on.
pub struct Setup<'a> {
    /// The resolved recipe.
    pub recipe: &'a Recipe,
    /// Where results go.
    pub folder: &'a RunFolder,
    /// What it learns from.
    pub material: &'a dyn Material,
    /// The model folder that it begins with; none begins with random weights.
    pub begin: Option<&'a Path>,
    /// Files of the tokenizer, by name, which every checkpoint holds.
    pub tokenizer_files: &'a [(String, Vec<u8>)],
    /// Ids that begin and end a text.
    pub specials: (Option<u32>, Option<u32>),
    /// Where the model computes.
    pub device: Device,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did its last step.
    Finished,
    /// It was told to stop, and saved itself.
    Interrupted,
}

/// A step whose numbers are still on the device.
struct Pending {
    step: u64,
    tokens: u64,
    loss: Tensor,
    norm: Tensor,
    lr: f64,
    skipped: bool,
}

/// A run on its way.
struct Run<'a> {
    setup: &'a Setup<'a>,
    printer: &'a Printer,
    trainer: Trainer,
    order: Order,
    metrics: Metrics,
    /// Operations a second in large matrix products.
    peak: f64,
    best: Option<(f64, u64)>,
    pending: Option<Pending>,
    /// When the latest step that was written down ended.
    since: Instant,
    saved: Instant,
}

/// Trains, from the latest checkpoint where there is one.
pub fn train(setup: &Setup<'_>, printer: &Printer) -> Result<Outcome> {
    let mut run = Run::begin(setup, printer)?;
    let last = setup.recipe.last_step();
    while run.trainer.step() < last {
        run.step()?;
        let step = run.trainer.step();
        let is_interrupted = interrupt::is_asked();
        let is_due = step.is_multiple_of(setup.recipe.evaluation.every) || step == last;
        if is_due && !is_interrupted {
            run.evaluate()?;
        }
        let minutes = run.saved.elapsed().as_secs_f64() / 60.0;
        if step == last || is_interrupted || minutes >= setup.recipe.checkpoint.minutes {
            run.save()?;
        }
        if is_interrupted && step < last {
            return Ok(Outcome::Interrupted);
        }
    }
    Ok(Outcome::Finished)
}

impl<'a> Run<'a> {
    fn begin(setup: &'a Setup<'a>, printer: &'a Printer) -> Result<Self> {
        let (recipe, device) = (setup.recipe, setup.device);
        let (shape, plan) = (recipe.shape()?, recipe.plan());
        let latest = setup.folder.steps().last().copied();
        let parameters = match (latest, setup.begin) {
            (Some(step), _) => Parameters::load(&setup.folder.checkpoint(step), &shape, device)?,
            (None, Some(folder)) => Parameters::load(folder, &shape, device)?,
            (None, None) => {
                let mut parameters = Parameters::initial(&shape, recipe.seed, device)?;
                if recipe.model.silent_layers {
                    parameters.silence_layers();
                }
                parameters
            }
        };
        let mut trainer = Trainer::new(&shape, parameters, plan, device)?;
        if let Some(step) = latest {
            trainer.restore(&setup.folder.checkpoint(step))?;
            printer.say(&format!("going on behind step {step}"));
        }
        let metrics = Metrics::open(&setup.folder.metrics(), trainer.step())?;
        let mut run = Self {
            setup,
            printer,
            trainer,
            order: Order::new(setup.material.sequences(), recipe.seed),
            best: None,
            peak: peak(recipe.precision.kind(), device)?,
            pending: None,
            since: Instant::now(),
            saved: Instant::now(),
            metrics,
        };
        let found: Vec<Record> = run.metrics.records.clone();
        for record in &found {
            if let Record::Evaluated(evaluated) = record {
                run.consider(evaluated);
            }
        }
        Ok(run)
    }

    fn step(&mut self) -> Result<()> {
        let batch = self.setup.recipe.batch;
        let parts = (batch.sequences / batch.micro) as u64;
        let first = self.trainer.step() * batch.sequences as u64;
        let (mut loss, mut tokens): (Option<Tensor>, _) = (None, 0);
        for part in 0..parts {
            let first = first + part * batch.micro as u64;
            let sequences: Vec<usize> =
                (first..first + batch.micro as u64).map(|index| self.order.block(index)).collect();
            tokens += self.setup.material.tokens(&sequences);
            let share = 1.0 / parts as f64;
            let own = self.setup.material.learn(&mut self.trainer, &sequences, share)? * share;
            loss = Some(loss.map_or_else(|| own.shallow_clone(), |sum| sum + &own));
        }
        let update = self.trainer.update()?;
        // A GPU is still at work here: its step before is written down, so that it need not wait.
        self.write_down()?;
        self.pending = loss.map(|loss| Pending {
            step: self.trainer.step(),
            tokens,
            loss,
            norm: update.norm,
            lr: update.lr,
            skipped: update.skipped,
        });
        if self.setup.device.is_cuda() { Ok(()) } else { self.write_down() }
    }

    /// Fetches the numbers of the pending step from the device.
    fn write_down(&mut self) -> Result<()> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let recipe = self.setup.recipe;
        let loss = pending.loss.f_double_value(&[])?;
        let seconds = self.since.elapsed().as_secs_f64();
        self.since = Instant::now();
        if !loss.is_finite() {
            bail!(
                "the loss of step {} is not finite; go on from the last checkpoint with a lower \
                 optimiser.lr or another precision",
                pending.step
            );
        }
        let rate = pending.tokens as f64 / seconds;
        let record = Record::Step(Step {
            step: pending.step,
            tokens: self.tokens_so_far() + pending.tokens,
            loss,
            bits_per_byte: self.setup.material.bits_per_byte(loss),
            lr: pending.lr,
            gradient_norm: pending.norm.f_double_value(&[])?,
            skipped: pending.skipped,
            seconds,
            tokens_per_second: rate,
            share_of_peak: rate * self.trainer.operations_a_token(recipe.packing.length)
                / self.peak,
        });
        if pending.step.is_multiple_of(recipe.evaluation.log_every) || pending.step == 1 {
            self.printer.say(&record.line());
        }
        self.metrics.add(record).map_err(|error| self.setup.folder.stopped(&error))
    }

    fn tokens_so_far(&self) -> u64 {
        let last = self.metrics.records.iter().rev().find_map(|record| match record {
            Record::Step(step) => Some(step.tokens),
            Record::Evaluated(_) => None,
        });
        last.unwrap_or(0)
    }

    fn evaluate(&mut self) -> Result<()> {
        self.write_down()?;
        let settings = self.setup.recipe.evaluation;
        let Some(measured) = self.setup.material.evaluate(&self.trainer, settings)? else {
            return Ok(());
        };
        let evaluated = Evaluated {
            step: self.trainer.step(),
            eval_loss: measured.loss,
            eval_perplexity: measured.bits_per_byte.map(|_| measured.loss.exp()),
            eval_bits_per_byte: measured.bits_per_byte,
            eval_acceptance: measured.acceptance,
            eval_tokens: measured.tokens,
        };
        let is_best = self.consider(&evaluated);
        let record = Record::Evaluated(evaluated);
        self.printer.say(&record.line());
        self.metrics.add(record).map_err(|error| self.setup.folder.stopped(&error))?;
        self.draw().map_err(|error| self.setup.folder.stopped(&error))?;
        if is_best {
            self.save()?;
        }
        self.since = Instant::now();
        Ok(())
    }

    /// Whether an evaluation is the best so far.
    fn consider(&mut self, evaluated: &Evaluated) -> bool {
        let is_best = evaluated.step >= self.setup.recipe.checkpoint.best_from
            && self.best.is_none_or(|(loss, _)| evaluated.eval_loss < loss);
        if is_best {
            self.best = Some((evaluated.eval_loss, evaluated.step));
        }
        is_best
    }

    fn draw(&self) -> Result<()> {
        let (recipe, folder) = (self.setup.recipe, self.setup.folder);
        let every = recipe.evaluation.log_every;
        let epoch = self.setup.material.sequences() as f64 / recipe.batch.sequences as f64;
        let table = curves::csv(&self.metrics.records, every, epoch);
        folder.write(&folder.path.join("training_curves.csv"), &table)?;
        match curves::svg(&self.metrics.records, every, &recipe.about)? {
            Some(picture) => folder.write(&folder.path.join("training_curves.svg"), &picture),
            None => Ok(()),
        }
    }

    /// Saves a checkpoint that is a model folder, and deletes those that are not kept.
    fn save(&mut self) -> Result<()> {
        self.write_down()?;
        self.write_checkpoint().map_err(|error| self.setup.folder.stopped(&error))?;
        self.saved = Instant::now();
        Ok(())
    }

    fn write_checkpoint(&self) -> Result<()> {
        let (setup, step) = (self.setup, self.trainer.step());
        setup.folder.add(step, |path| {
            self.trainer.save(path, setup.recipe.checkpoint.kind())?;
            for (name, bytes) in setup.tokenizer_files {
                std::fs::write(path.join(name), bytes)?;
            }
            for (name, object) in [
                ("config.json", config(setup)?),
                ("generation_config.json", specials(json!({}), setup.specials)),
            ] {
                let text = serde_json::to_string_pretty(&object)? + "\n";
                std::fs::write(path.join(name), text)?;
            }
            Ok(())
        })?;
        let best = self.best.map(|(_, step)| step);
        setup.folder.prune(setup.recipe.checkpoint.keep, best);
        if let Some(best) = best {
            setup.folder.write(&setup.folder.path.join("best"), &format!("step-{best:07}\n"))?;
        }
        setup.folder.write(&setup.folder.path.join("latest"), &format!("step-{step:07}\n"))
    }
}

/// The object of a checkpoint's `config.json`.
fn config(setup: &Setup<'_>) -> Result<Value> {
    let mut config = specials(setup.recipe.config()?, setup.specials);
    let dtype = match setup.recipe.checkpoint.kind() {
        Kind::Half => "float16",
        Kind::BFloat16 => "bfloat16",
        _ => "float32",
    };
    config["dtype"] = dtype.into();
    Ok(config)
}

fn specials(mut object: Value, (bos, eos): (Option<u32>, Option<u32>)) -> Value {
    // Where there is none, transformers would take one of its own.
    for (name, id) in [("bos_token_id", bos), ("eos_token_id", eos), ("pad_token_id", eos)] {
        object[name] = id.into();
    }
    object
}

/// Operations a second in products of large matrices: the best of a few.
fn peak(kind: Kind, device: Device) -> Result<f64> {
    let _guard = tch::no_grad_guard();
    let size = if device.is_cuda() { 8192 } else { 1024 };
    let matrix =
        Tensor::f_ones([size, size], (kind, device)).context("cannot measure the device")?;
    let mut best = f64::INFINITY;
    for _ in 0..4 {
        let started = Instant::now();
        let product = matrix.f_matmul(&matrix)?;
        product.f_double_value(&[0, 0])?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(2.0 * (size as f64).powi(3) / best)
}
