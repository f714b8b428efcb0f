//! `spec report`: runs of `spec bench` as tables, pages and files, read back from their folders. Runs
//! nothing.

use std::path::PathBuf;

use anyhow::Result;

use crate::bench::compare::Run;
use crate::bench::record::Record;
use crate::printer::Printer;
use crate::report::charts::ChartKind;
use crate::report::format::{Format, exports};
use crate::report::table;
use crate::report::view::View;
use crate::statistics::Resampling;

/// Flags of `spec report`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The folder of a run (spec bench --out). Of several runs the cases are set side by side, and compared
    /// with those of the first, prompt by prompt, where prompts and target are the same.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Write a page of HTML with charts, which needs no other file and no network.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a page of Markdown.
    #[arg(long, value_name = "FILE")]
    md: Option<PathBuf>,
    /// Write tables for a paper: LaTeX with booktabs.
    #[arg(long, value_name = "FILE")]
    latex: Option<PathBuf>,
    /// Write a file whose suffix says what it holds: .md .tex .html and .csv (a row a case and category)
    /// the report, .json its object, .svg its charts, .jsonl and .parquet the records. May be given
    /// several times.
    #[arg(long, value_name = "FILE")]
    export: Vec<PathBuf>,
    /// Charts of an .svg [default: all].
    #[arg(long, value_enum, value_name = "CHART,…", value_delimiter = ',')]
    chart: Vec<ChartKind>,
    /// Seed of the resamples that compare runs.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print the object instead of the table.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Runs the command. Where no file is asked for, the report goes to standard output.
    pub fn run(&self, printer: &Printer) -> Result<()> {
        let given = [
            (self.html.as_ref(), Format::Html),
            (self.md.as_ref(), Format::Markdown),
            (self.latex.as_ref(), Format::Latex),
        ];
        let exports = exports(&given, &self.export)?;
        let runs: Vec<Run> = self.runs.iter().map(|run| Run::read(run)).collect::<Result<_>>()?;
        let view = View::of_runs(&runs, Resampling::full(self.seed))?;
        let records: Vec<&[Record]> = runs.iter().map(|run| run.records.as_slice()).collect();
        for mut export in exports.iter().cloned() {
            if !self.chart.is_empty() {
                export = export.with_charts(self.chart.clone());
            }
            export.write(&view, &records)?;
            printer.say(&format!("written: {}", export.path().display()));
        }
        if self.json {
            printer.data(view.json()?.trim_end())?;
        } else if exports.is_empty() {
            printer.data(&table::page(&view))?;
        }
        Ok(())
    }
}
