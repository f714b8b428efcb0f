//! `spec sweep`: flags to a request, the request to [`crate::sweep`], temperatures to standard output.

use anyhow::{Context, Result, bail};
use draft::{Compute, Sampling};
use serde::Serialize;

use super::flags::{ComputeFlags, SourceFlags, TruncationFlags, check_at_least_one, read_prompt};
use crate::printer::Printer;
use crate::source::Loaded;
use crate::sweep::{Request, Row, sweep, table};

/// Flags of `spec sweep`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The model: a folder, a registry name (stentor2, stentor, er, …) or a Hub id.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The text to continue.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: String,
    /// Temperatures; 0 is greedy.
    #[arg(long, value_name = "T,…", value_delimiter = ',', default_value = "0,0.5,0.8,1,1.5")]
    temperatures: Vec<f64>,
    /// Continuations at each temperature above 0.
    #[arg(long, default_value_t = 1, value_name = "N")]
    samples: usize,
    /// Tokens of a continuation, at most.
    #[arg(long, default_value_t = 60, value_name = "N")]
    max_new: usize,
    #[command(flatten)]
    truncation: TruncationFlags,
    /// Go on behind an end of text.
    #[arg(long)]
    ignore_eos: bool,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    source: SourceFlags,
    #[command(flatten)]
    compute: ComputeFlags,
    /// Print a JSON object instead of the texts.
    #[arg(long)]
    json: bool,
}

/// The object of `--json`.
#[derive(Debug, Serialize)]
struct Object<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    prompt: &'a str,
    prompt_ids: &'a [u32],
    /// Beside the temperature.
    sampling: Shape,
    max_new: usize,
    ignore_eos: bool,
    seed: u64,
    device: String,
    dtype: &'a str,
    temperatures: &'a [Row],
}

/// How laws are shaped beside the temperature.
#[derive(Clone, Copy, Debug, Serialize)]
struct Shape {
    top_k: Option<usize>,
    top_p: Option<f64>,
    repetition_penalty: f64,
}

impl From<Sampling> for Shape {
    fn from(own: Sampling) -> Self {
        let Sampling { top_k, top_p, repetition_penalty, .. } = own;
        Self { top_k, top_p, repetition_penalty }
    }
}

/// Refuses temperatures that mean nothing, or that come twice.
pub fn check_temperatures(temperatures: &[f64]) -> Result<()> {
    if temperatures.is_empty() {
        bail!("there is no temperature; give some, such as 0,0.5,1");
    }
    for (place, own) in temperatures.iter().enumerate() {
        if !own.is_finite() || *own < 0.0 {
            bail!("a temperature is 0 or above");
        }
        if temperatures[..place].contains(own) {
            bail!("the temperature {own} is there twice; give each once");
        }
    }
    Ok(())
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        self.check()?;
        let compute = self.compute.set_up()?;
        let mut model = self.source.open().open("model", &self.model, compute)?;
        let prompt = read_prompt(&model.side.tokenizer, &self.prompt, printer)?;
        draft::generate::check(&model.side.session, &prompt)?;
        let request = self.request(prompt, &model);
        let texts = request.temperatures.iter();
        let count: usize = texts.map(|&own| if own == 0.0 { 1 } else { self.samples }).sum();
        let mut progress = printer.progress(count as u64, "texts");
        let rows = sweep(&mut model.side, &request, &mut |heard| {
            if let crate::sweep::Heard::Row(row) = heard {
                progress.advance_by(row.samples.len() as u64);
            }
            Ok(())
        })?;
        progress.finish();
        let text = if self.json {
            serde_json::to_string_pretty(&self.object(&model, &request, compute, &rows))
                .context("cannot write the object")?
        } else {
            table::render(&rows)
        };
        printer.data(&text)?;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        check_temperatures(&self.temperatures)?;
        self.truncation.check()?;
        self.compute.check()?;
        check_at_least_one(&[("--max-new", self.max_new), ("--samples", self.samples)])
    }

    fn request(&self, prompt: Vec<u32>, model: &Loaded) -> Request {
        Request {
            prompt,
            temperatures: self.temperatures.clone(),
            samples: self.samples,
            sampling: self.truncation.over_greedy(),
            eos: if self.ignore_eos { Vec::new() } else { model.side.eos.clone() },
            max_new: self.max_new,
            seed: self.seed,
        }
    }

    fn object<'a>(
        &'a self,
        model: &'a Loaded,
        request: &'a Request,
        compute: Compute,
        rows: &'a [Row],
    ) -> Object<'a> {
        Object {
            model: &model.info.name,
            note: model.info.note.as_deref(),
            prompt: &self.prompt,
            prompt_ids: &request.prompt,
            sampling: request.sampling.into(),
            max_new: self.max_new,
            ignore_eos: self.ignore_eos,
            seed: self.seed,
            device: compute.device_name(),
            dtype: compute.dtype_name(),
            temperatures: rows,
        }
    }
}
