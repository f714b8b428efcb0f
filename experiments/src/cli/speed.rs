//! `spec speed`: flags to a plan, the plan to [`crate::speed`], figures to standard output.

use anyhow::{Context, Result, bail};

use super::flags::{DeviceFlags, SourceFlags, check_at_least_one};
use crate::printer::Printer;
use crate::speed::{Plan, run, table};

/// Flags of `spec speed`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The model: a folder, a registry name (stentor2, stentor, er, …) or a Hub id.
    #[arg(long, value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    source: SourceFlags,
    #[command(flatten)]
    device: DeviceFlags,
    /// Element types, taken in turns; all of them are in memory at once [default: as for `spec bench`].
    #[arg(long, value_name = "DTYPE,…", value_delimiter = ',')]
    dtype: Vec<String>,
    /// Tokens of a run of plain greedy decoding, behind a prompt of 16 ids.
    #[arg(long, default_value_t = 128, value_name = "N")]
    tokens: usize,
    /// Ids of a pass: siblings of a tree, and as many in a row.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,8,16,32")]
    nodes: Vec<usize>,
    /// Cached ids that those passes stand behind.
    #[arg(long, default_value_t = 128, value_name = "N")]
    prefix: usize,
    /// Ids of a prompt that is read at once.
    #[arg(long, default_value_t = 512, value_name = "N")]
    prefill: usize,
    /// How often all of it is measured, in turns.
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: usize,
    /// Seed of the ids.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print an object with the figure of every round instead of the table.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        self.check()?;
        let report = run(&self.plan()?, printer)?;
        let text =
            if self.json { serde_json::to_string_pretty(&report)? } else { table::render(&report) };
        printer.data(&text)?;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.device.check()?;
        check_at_least_one(&[
            ("--tokens", self.tokens),
            ("--nodes", self.nodes.iter().copied().min().unwrap_or(0)),
            ("--prefix", self.prefix),
            ("--prefill", self.prefill),
            ("--rounds", self.rounds),
        ])?;
        if let Some(twice) =
            self.dtype.iter().enumerate().find(|(at, own)| self.dtype[..*at].contains(own))
        {
            bail!("--dtype names {} twice", twice.1);
        }
        Ok(())
    }

    fn plan(&self) -> Result<Plan> {
        let dtypes: Vec<Option<&str>> = match &self.dtype[..] {
            [] => vec![None],
            several => several.iter().map(|own| Some(own.as_str())).collect(),
        };
        let computes = dtypes.iter().map(|dtype| self.device.set_up(*dtype));
        let computes = computes.collect::<Result<Vec<_>>>()?;
        let located = self.source.open().locate(&self.model);
        let mut nodes = self.nodes.clone();
        nodes.push(1);
        nodes.sort_unstable();
        nodes.dedup();
        Ok(Plan {
            model: self.model.clone(),
            located: located.with_context(|| format!("cannot use the model `{}`", self.model))?,
            dtypes: dtypes
                .iter()
                .zip(computes)
                .map(|(dtype, compute)| {
                    (dtype.unwrap_or_else(|| compute.dtype_name()).to_owned(), compute)
                })
                .collect(),
            tokens: self.tokens,
            nodes,
            prefix: self.prefix,
            prefill: self.prefill,
            rounds: self.rounds,
            seed: self.seed,
        })
    }
}
