//! The `spec` binary: reads the command line, runs a command, turns an error into one line and an
//! exit code.

use std::process::ExitCode;

use clap::Parser;
use experiments::cli::Cli;
use experiments::printer::Printer;
use experiments::train::interrupt::{Interrupted, STATUS};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = Printer::default();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("SPEC_LOG"))
        .init();
    match cli.run(&printer) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) if experiments::printer::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            printer.error(&error);
            ExitCode::from(if error.is::<Interrupted>() { STATUS } else { 2 })
        }
    }
}
