//! Ctrl-C in a long run: the first one asks it to save and stop, the second ends it at once.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

static ASKED: AtomicBool = AtomicBool::new(false);

/// The exit status of a run that was stopped.
pub const STATUS: u8 = 130;

/// A run that was stopped, and what became of its work.
#[derive(Debug, thiserror::Error)]
#[error("stopped; {outcome}")]
pub struct Interrupted {
    /// What is left of it, and what goes on with that.
    pub outcome: &'static str,
}

impl Interrupted {
    /// A run that has checkpoints.
    pub const TRAINING: Self =
        Self { outcome: "what was done is saved, and --resume goes on with it" };
    /// A run that has records.
    pub const BENCH: Self = Self {
        outcome: "what was done is saved, and the same command with its --out goes on with it",
    };
    /// A trace, which is whole or not there.
    pub const TRACE: Self = Self { outcome: "no trace was written" };
}

/// Watches for Ctrl-C from now on.
pub fn watch() -> Result<()> {
    static WATCHED: Once = Once::new();
    let mut watched = Ok(());
    WATCHED.call_once(|| watched = set_handler());
    watched
}

fn set_handler() -> Result<()> {
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
