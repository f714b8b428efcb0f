//! `spec bench --plan`: a pilot run to the number of prompts that a longer one needs. Runs no model.

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::compare::named;
use crate::bench::compare::Run;
use crate::bench::pilot::{Amount, Question, foretell, render};
use crate::printer::Printer;

/// A figure that a number of prompts can be foretold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Figure {
    /// Tokens that a target pass emits.
    MeanAcceptanceLength,
    /// Accepted / candidates.
    DraftAcceptanceRate,
    /// Tokens a second over those of plain decoding.
    Speedup,
}

impl Figure {
    /// Its name in a report.
    fn name(self) -> &'static str {
        match self {
            Self::MeanAcceptanceLength => "mean_acceptance_length",
            Self::DraftAcceptanceRate => "draft_acceptance_rate",
            Self::Speedup => "speedup",
        }
    }
}

/// Flags of `spec bench --plan`.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Planning")]
pub struct PlanFlags {
    /// Run nothing; foretell from a finished run, or from two on the same prompts, how many prompts are
    /// needed for --difference. Of two cases, or of a run that has just two: to tell them apart. Of one: to
    /// know its figure that well.
    #[arg(
        long,
        value_name = "RUN[:CASE]",
        num_args = 1..=2,
        requires = "difference",
        conflicts_with_all = ["draft", "target", "prompts", "out"]
    )]
    plan: Vec<String>,
    /// The size of a true difference that is to be shown, and of the half-width of an interval: 0.1, or 5%
    /// of the first case's figure.
    #[arg(long, value_name = "D")]
    difference: Option<Amount>,
    /// The figure whose difference or interval it is.
    #[arg(long, value_enum, default_value_t = Figure::MeanAcceptanceLength)]
    figure: Figure,
    /// The chance of an interval that leaves out zero, where the true difference is of that size.
    #[arg(long, default_value_t = 0.8)]
    power: f64,
}

impl PlanFlags {
    /// Whether nothing is to be run.
    pub fn is_asked(&self) -> bool {
        !self.plan.is_empty() || self.difference.is_some()
    }

    /// Prints what the pilot foretells.
    pub fn run(&self, json: bool, printer: &Printer) -> Result<()> {
        if !(self.power > 0.0 && self.power < 1.0) {
            bail!("--power is above 0 and below 1");
        }
        let Some(size) = self.difference else { bail!("--plan needs --difference") };
        let question = Question { figure: self.figure.name(), size, power: self.power };
        let mut runs = Vec::new();
        for text in &self.plan {
            let (folder, case) = named(text);
            runs.push((Run::read(&folder)?, case));
        }
        let pilot = match &runs[..] {
            [(a, first), (b, second)] => foretell((a, *first), Some((b, *second)), question)?,
            [(a, first), ..] => foretell((a, *first), None, question)?,
            [] => bail!("--difference is for --plan RUN; name a finished run, the pilot"),
        };
        if json {
            printer.data(&serde_json::to_string_pretty(&pilot)?)?;
        } else {
            printer.data(&render(&pilot))?;
        }
        Ok(())
    }
}
