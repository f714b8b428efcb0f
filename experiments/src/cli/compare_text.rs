//! `spec compare-text`: flags to a request, the request to [`crate::compare_text`], both texts to standard
//! output.

use anyhow::{Result, bail};
use draft::{Compute, Sampling};
use serde::Serialize;

use super::flags::{ComputeFlags, SamplingFlags, SourceFlags, check_at_least_one};
use crate::compare_text::{Comparison, Request, compare, read, table};
use crate::printer::Printer;

/// Flags of `spec compare-text`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The two models: `--model A --model B`, or both at once with a comma between. Each is a folder, a
    /// registry name (stentor2, stentor, er, …) or a Hub id.
    #[arg(long = "model", alias = "models", value_name = "MODEL", value_delimiter = ',')]
    models: Vec<String>,
    /// The text to continue.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: String,
    /// A continuation of the prompt that both score beside their own.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    reference: Option<String>,
    #[command(flatten)]
    sampling: SamplingFlags,
    /// Tokens that each writes, at most.
    #[arg(long, default_value_t = 100, value_name = "N")]
    max_new: usize,
    /// Go on behind an end of text.
    #[arg(long)]
    ignore_eos: bool,
    /// How often both write the same, in turns, so that their speeds can be compared.
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
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
    prompt: &'a str,
    reference: Option<&'a str>,
    sampling: Sampling,
    max_new: usize,
    ignore_eos: bool,
    seed: u64,
    device: String,
    dtype: &'a str,
    #[serde(flatten)]
    found: &'a Comparison,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        self.check()?;
        let [one, two] = &self.models[..] else {
            bail!(
                "two models are compared, and the number named is {}: --model A --model B",
                self.models.len()
            );
        };
        let compute = self.compute.set_up()?;
        let sources = self.source.open();
        let mut one = sources.open("model", one, compute)?;
        read(&one, &self.prompt)?;
        let mut two = sources.open("model", two, compute)?;
        let found = compare([&mut one, &mut two], &self.request(), &mut |_, _| Ok(()))?;
        let text = if self.json {
            serde_json::to_string_pretty(&self.object(compute, &found))?
        } else {
            table::render(&found)
        };
        printer.data(&text)?;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.sampling.check()?;
        self.compute.check()?;
        check_at_least_one(&[("--max-new", self.max_new), ("--rounds", self.rounds)])
    }

    fn request(&self) -> Request {
        Request {
            prompt: self.prompt.clone(),
            sampling: self.sampling.over(Sampling::GREEDY),
            max_new: self.max_new,
            ignore_eos: self.ignore_eos,
            seed: self.seed,
            reference: self.reference.clone(),
            rounds: self.rounds,
        }
    }

    fn object<'a>(&'a self, compute: Compute, found: &'a Comparison) -> Object<'a> {
        Object {
            prompt: &self.prompt,
            reference: self.reference.as_deref(),
            sampling: self.sampling.over(Sampling::GREEDY),
            max_new: self.max_new,
            ignore_eos: self.ignore_eos,
            seed: self.seed,
            device: compute.device_name(),
            dtype: compute.dtype_name(),
            found,
        }
    }
}
