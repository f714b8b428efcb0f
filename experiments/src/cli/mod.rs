//! The command line: one file a subcommand, each thin. Knows flags; what they do is elsewhere.

pub mod align;
pub mod bench;
pub mod card;
pub mod compare;
pub mod compare_text;
pub mod demo;
pub mod distill;
pub mod doctor;
pub mod eval;
pub mod explore;
pub mod export;
pub mod flags;
pub mod generate;
pub mod import;
pub mod lossless;
pub mod models;
pub mod plan;
pub mod pull;
pub mod report;
pub mod schema;
pub mod speed;
pub mod sweep;
pub mod tokenize;
pub mod trace;
pub mod train;
pub mod vocab;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::printer::Printer;

/// Train, map and measure tiny draft models for speculative decoding.
#[derive(Debug, Parser)]
#[command(name = "spec", version, about, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 ok, 1 a check did not hold, 2 usage or error, 130 stopped by Ctrl-C. Data goes to standard output, talk to \
                        standard error."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure how many of a draft's tokens a target accepts, and what that is worth in time.
    Bench(Box<bench::Args>),
    /// Say what two vocabularies share, what that is worth on a text, and write the map of the two.
    Align(Box<align::Args>),
    /// Record what a target writes, so that drafts can be measured without it.
    Trace(trace::Args),
    /// Train a draft by a recipe.
    Train(Box<train::Args>),
    /// Train a draft on towards one target, and measure what it gains.
    Distill(Box<distill::Args>),
    /// Compare two runs of bench on the same prompts, prompt by prompt.
    Compare(compare::Args),
    /// Turn one or several runs of bench into tables, a page with charts, LaTeX, or data.
    Report(report::Args),
    /// Continue a prompt with one model.
    Generate(Box<generate::Args>),
    /// Show the most probable next tokens at each position of a text.
    Explore(Box<explore::Args>),
    /// Continue a prompt at several temperatures, side by side.
    Sweep(Box<sweep::Args>),
    /// Let two models continue a prompt, and score each other's text.
    CompareText(Box<compare_text::Args>),
    /// Serve a page with all modes, and speculative decoding shown live.
    Demo(Box<demo::Args>),
    /// Evaluate one model (perplexity and bits per byte of text, BLiMP, suites of questions, sums), or
    /// check that a pair is lossless.
    Eval(Box<eval::Args>),
    /// Write a model's card for the Hub from runs of train, distill, eval and bench.
    Card(card::Args),
    /// Measure how fast one model decodes, and what passes over several ids cost.
    Speed(speed::Args),
    /// Turn text into ids, or ids into text, line by line.
    Tokenize(tokenize::Args),
    /// Make a small vocabulary: build one from text, or trim a large one.
    Vocab(vocab::Args),
    /// List the models that have a name, and where each would come from.
    Models(models::Args),
    /// Download a model from the Hugging Face Hub into its cache.
    Pull(pull::Args),
    /// Write a model as a folder in another element type, or in another format.
    Export(export::Args),
    /// Write a model of llama.cpp (GGUF) or llama2.c as a folder.
    Import(import::Args),
    /// Print the JSON Schema of what this program writes and reads as data.
    Schema(schema::Args),
    /// Say what this program is linked to, which devices work, and where caches are.
    Doctor(doctor::Args),
}

impl Cli {
    /// Runs the command. `false` means that it ran, but a check that it makes did not hold.
    pub fn run(&self, printer: &Printer) -> Result<bool> {
        match &self.command {
            Command::Bench(args) => args.run(printer).map(|()| true),
            Command::Align(args) => args.run(printer).map(|()| true),
            Command::Trace(args) => args.run(printer).map(|()| true),
            Command::Train(args) => args.run(printer).map(|()| true),
            Command::Distill(args) => args.run(printer).map(|()| true),
            Command::Compare(args) => args.run(printer),
            Command::Report(args) => args.run(printer).map(|()| true),
            Command::Generate(args) => args.run(printer).map(|()| true),
            Command::Explore(args) => args.run(printer).map(|()| true),
            Command::Sweep(args) => args.run(printer).map(|()| true),
            Command::CompareText(args) => args.run(printer).map(|()| true),
            Command::Demo(args) => args.run(printer).map(|()| true),
            Command::Eval(args) => args.run(printer),
            Command::Card(args) => args.run(printer).map(|()| true),
            Command::Speed(args) => args.run(printer).map(|()| true),
            Command::Tokenize(args) => args.run(printer).map(|()| true),
            Command::Vocab(args) => args.run(printer).map(|()| true),
            Command::Models(args) => args.run(printer).map(|()| true),
            Command::Pull(args) => args.run(printer).map(|()| true),
            Command::Export(args) => args.run(printer).map(|()| true),
            Command::Import(args) => args.run(printer).map(|()| true),
            Command::Schema(args) => args.run(printer).map(|()| true),
            Command::Doctor(args) => args.run(printer),
        }
    }
}
