//! `spec compare`: two runs of `spec bench` on the same prompts, and whether the second is good enough.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::bench::compare::{Comparison, Run, compare, render};
use crate::bench::record::Figure;
use crate::printer::Printer;
use crate::report::percent;
use crate::statistics::Resampling;

/// Flags of `spec compare`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The folder of a run (spec bench --out), with :CASE behind it where it has several.
    #[arg(value_name = "RUN_A[:CASE]")]
    run_a: String,
    /// The folder of the run that is compared with it; the same one for two cases of one run.
    #[arg(value_name = "RUN_B[:CASE]")]
    run_b: String,
    /// Exit with 1 where the second run's pooled acceptance rate is lower.
    #[arg(long, value_name = "RATE")]
    min_acceptance: Option<f64>,
    /// Exit with 1 where the second run's mean acceptance length is lower than the first one's by more
    /// than this share of it.
    #[arg(long, value_name = "SHARE")]
    max_regression: Option<f64>,
    /// Seed of the resamples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print an object instead of the table.
    #[arg(long)]
    json: bool,
}

/// A run's folder, and a case of it.
pub(super) fn named(text: &str) -> (PathBuf, Option<&str>) {
    match text.rsplit_once(':') {
        Some((folder, case)) if !PathBuf::from(text).is_dir() => (folder.into(), Some(case)),
        _ => (text.into(), None),
    }
}

impl Args {
    /// Runs the command. `false` where the second run is not good enough.
    pub fn run(&self, printer: &Printer) -> Result<bool> {
        let is_share = |own: Option<f64>| own.is_none_or(|own| (0.0..=1.0).contains(&own));
        if !is_share(self.min_acceptance) || !is_share(self.max_regression) {
            bail!("--min-acceptance and --max-regression are from 0 to 1");
        }
        let ((folder_a, case_a), (folder_b, case_b)) = (named(&self.run_a), named(&self.run_b));
        let (a, b) = (Run::read(&folder_a)?, Run::read(&folder_b)?);
        let comparison = compare((&a, case_a), (&b, case_b), Resampling::full(self.seed))?;
        if self.json {
            printer.data(&serde_json::to_string_pretty(&comparison)?)?;
        } else {
            printer.data(&render(&comparison))?;
        }
        let faults = self.faults(&comparison);
        for fault in &faults {
            printer.say(fault);
        }
        Ok(faults.is_empty())
    }

    fn faults(&self, comparison: &Comparison) -> Vec<String> {
        let figure = |name: &str| comparison.figures.iter().find(|figure| figure.name == name);
        let rate = figure("draft_acceptance_rate").and_then(|figure| figure.b);
        let mut faults = Vec::new();
        if let Some(least) = self.min_acceptance
            && rate.is_none_or(|rate| rate < least)
        {
            let rate = rate.map_or("none was measured".to_owned(), |rate| format!("{rate:.4}"));
            faults.push(format!("acceptance rate of B: {rate}, below --min-acceptance {least}"));
        }
        let length = figure("mean_acceptance_length").map(|&Figure { a, b, .. }| a.zip(b));
        if let (Some(most), Some(Some((a, b)))) = (self.max_regression, length)
            && b < a * (1.0 - most)
        {
            faults.push(format!(
                "mean acceptance length: {a:.4} to {b:.4}, {} lower, more than --max-regression {most}",
                percent(1.0 - b / a)
            ));
        }
        faults
    }
}
