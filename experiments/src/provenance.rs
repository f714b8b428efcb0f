//! What every result says of the run that made it, apart from its settings: when it began and how it
//! was called.

use std::time::SystemTime;

/// The time, in UTC, as RFC 3339 to the second.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The command line, argument by argument. Where the program lies is no part of it.
pub fn command_line() -> Vec<String> {
    std::iter::once("spec".to_owned()).chain(std::env::args().skip(1)).collect()
}
