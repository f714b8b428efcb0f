//! `spec generate`: flags to settings, the settings to [`crate::generate`], text to standard output
//! as it comes.

use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use draft::generate::{Finish, Settings as Going};
use draft::{Compute, Randomness};
use serde::Serialize;

use super::flags::{ComputeFlags, SamplingFlags, SourceFlags, check_at_least_one, read_prompt};
use crate::generate::{Continuation, generate};
use crate::printer::Printer;
use crate::settings::Settings;
use crate::source::Loaded;

/// Flags of `spec generate`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The model: a folder, a registry name (stentor2, stentor, er, …) or a Hub id.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The text to continue.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: String,
    #[command(flatten)]
    sampling: SamplingFlags,
    /// Tokens to emit, at most [default: as the model's card or its folder says, else 100].
    #[arg(long, value_name = "N")]
    max_new: Option<usize>,
    /// Go on behind an end of text.
    #[arg(long)]
    ignore_eos: bool,
    /// Continuations to draw, at temperature above 0.
    #[arg(long, default_value_t = 1, value_name = "N")]
    samples: usize,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    source: SourceFlags,
    #[command(flatten)]
    compute: ComputeFlags,
    /// Print a JSON object a sample, each on a line of its own, instead of the text.
    #[arg(long)]
    json: bool,
}

/// A line of `--json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    prompt: &'a str,
    prompt_ids: &'a [u32],
    sample: usize,
    ids: &'a [u32],
    text: &'a str,
    bytes_b64: String,
    finish: Finish,
    tokens: usize,
    seconds: f64,
    prefill_seconds: f64,
    sampling: &'a Settings,
    ignore_eos: bool,
    seed: u64,
    device: String,
    dtype: &'a str,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        self.check()?;
        let compute = self.compute.set_up()?;
        let mut model = self.source.open().open("model", &self.model, compute)?;
        let typed = self.sampling.wishes(self.max_new);
        let settings = Settings::resolve(typed, model.published.as_ref(), &model.located.folder)?;
        if self.samples > 1 && settings.sampling().is_greedy() {
            bail!("greedy continuations are all the same: give --temperature, or no --samples");
        }
        let ids = read_prompt(&model.side.tokenizer, &self.prompt, printer)?;
        draft::generate::check(&model.side.session, &ids)?;
        printer.say(&settings.sentence());
        for sample in 0..self.samples {
            let going = self.going(&settings, &model, sample);
            let made = self.make(&mut model, &ids, going, printer)?;
            if made.finish == Finish::Context {
                printer.say(&format!(
                    "the context of {} ids is full: it ends after {} new tokens",
                    model.info.context,
                    made.ids.len()
                ));
            }
            if self.json {
                let line = self.line(&model, &ids, &made, (&settings, compute, sample));
                printer.data(&serde_json::to_string(&line)?)?;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.sampling.check()?;
        self.compute.check()?;
        check_at_least_one(&[("--max-new", self.max_new.unwrap_or(1)), ("--samples", self.samples)])
    }

    fn going(&self, settings: &Settings, model: &Loaded, sample: usize) -> Going {
        Going {
            sampling: settings.sampling(),
            randomness: Randomness { seed: self.seed, prompt: sample as u64 },
            eos: if self.ignore_eos { Vec::new() } else { model.side.eos.clone() },
            max_new: settings.max_new.value,
        }
    }

    /// Makes one continuation; without `--json` its text is printed as it comes and ends a line.
    fn make(
        &self,
        model: &mut Loaded,
        ids: &[u32],
        going: Going,
        printer: &Printer,
    ) -> Result<Continuation> {
        let made = generate(&mut model.side, ids, going, &mut |text| {
            if !self.json && !text.is_empty() {
                printer.piece(text)?;
            }
            Ok(())
        })?;
        if !self.json && !made.text.ends_with('\n') {
            printer.piece("\n")?;
        }
        Ok(made)
    }

    fn line<'a>(
        &'a self,
        model: &'a Loaded,
        ids: &'a [u32],
        made: &'a Continuation,
        (settings, compute, sample): (&'a Settings, Compute, usize),
    ) -> Line<'a> {
        Line {
            model: &model.info.name,
            note: model.info.note.as_deref(),
            prompt: &self.prompt,
            prompt_ids: ids,
            sample,
            ids: &made.ids,
            text: &made.text,
            bytes_b64: STANDARD.encode(&made.bytes),
            finish: made.finish,
            tokens: made.ids.len(),
            seconds: made.seconds,
            prefill_seconds: made.prefill_seconds,
            sampling: settings,
            ignore_eos: self.ignore_eos,
            seed: self.seed,
            device: compute.device_name(),
            dtype: compute.dtype_name(),
        }
    }
}
