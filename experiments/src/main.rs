//! The `spec` binary: reads the command line, runs a command, turns an error into one line and an
//! exit code.

use std::process::ExitCode;

use clap::Parser;
use experiments::cli::Cli;
use experiments::printer::Printer;
use experiments::train::interrupt::{Interrupted, STATUS};

fn main() -> ExitCode {
    outlive_file_limits();
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

/// Lets a write beyond `ulimit -f` be an error, which is said, instead of the end of the process.
#[cfg(unix)]
#[expect(unsafe_code, reason = "the standard library sets no signal's disposition")]
fn outlive_file_limits() {
    // SAFETY: no handler is installed, only that of the signal is replaced by none, before any thread
    // is started.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

#[cfg(not(unix))]
fn outlive_file_limits() {}
