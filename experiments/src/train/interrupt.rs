//! Ctrl-C in a training run: the first one asks it to save and stop, the second ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

static ASKED: AtomicBool = AtomicBool::new(false);

/// The exit status of a run that was stopped.
pub const STATUS: u8 = 130;

/// A run that was stopped, and has saved itself.
#[derive(Debug, thiserror::Error)]
#[error("stopped; what was done is saved, and --resume goes on with it")]
pub struct Interrupted;

/// Watches for Ctrl-C from now on.
pub fn watch() -> Result<()> {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(STATUS));
        }
    })
    .context("cannot watch for Ctrl-C")
}

/// Whether the run is to stop.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
