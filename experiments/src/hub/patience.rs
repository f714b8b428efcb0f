//! How long to go on trying where a server or a connection fails for a while. Says each wait.

use std::time::Duration;

use anyhow::{Error, Result, bail};

use crate::printer::Printer;

/// Failures in a row that end it.
const MOST: u32 = 5;

/// The first wait where the server names none; each later one is twice as long.
const FIRST: Duration = Duration::from_millis(500);

/// The longest wait that a server may ask for.
const LONGEST: Duration = Duration::from_secs(300);

/// Why an attempt failed.
pub(super) enum Trouble {
    /// Trying again may help.
    Passing {
        /// What happened.
        reason: String,
        /// How long the server asks to wait.
        wait: Option<Duration>,
    },
    /// It will not.
    Lasting(Error),
}

impl Trouble {
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), wait: None }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

/// What an attempt gives.
pub(super) type Attempt<T> = Result<T, Trouble>;

/// The patience for one request or one file.
pub(super) struct Patience<'a> {
    what: String,
    printer: &'a Printer,
    failures: u32,
}

impl<'a> Patience<'a> {
    /// `what` begins each line that is said.
    pub(super) fn new(what: impl Into<String>, printer: &'a Printer) -> Self {
        Self { what: what.into(), printer, failures: 0 }
    }

    /// Forgets the failures so far, because something was gained since.
    pub(super) fn renew(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt, or gives up.
    pub(super) fn bear(&mut self, trouble: Trouble) -> Result<()> {
        let (reason, asked) = match trouble {
            Trouble::Lasting(error) => return Err(error),
            Trouble::Passing { reason, wait } => (reason, wait),
        };
        self.failures += 1;
        let (what, failures) = (&self.what, self.failures);
        if failures == MOST {
            bail!(
                "{what}: {reason} ({failures} times in a row); run the same command again later, it \
                 goes on from where this one stopped"
            );
        }
        let wait = asked.unwrap_or(FIRST * 2_u32.pow(failures - 1));
        if wait > LONGEST {
            bail!("{what}: {reason}; run the same command again in {} s", wait.as_secs());
        }
        let wait_text = wait.as_secs_f64();
        self.printer.say(&format!("{what}: {reason}; trying again in {wait_text} s"));
        std::thread::sleep(wait);
        Ok(())
    }

    /// Tries until it succeeds or patience ends.
    pub(super) fn try_for<T>(&mut self, mut attempt: impl FnMut() -> Attempt<T>) -> Result<T> {
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(trouble) => self.bear(trouble)?,
            }
        }
    }
}
