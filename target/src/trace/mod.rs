//! Texts that a target wrote, with what it gave each of their tokens: a draft is measured against them with
//! no target at hand. The format, the recording of one text, and the loop over one that was recorded. No
//! files are read or written here.

pub mod format;
mod record;
mod replay;

pub use format::{
    Bytes, FileHash, Header, Imported, Kind, SCHEMA, Target, Text, TraceError, bytes_of,
};
pub use record::{Heard, record};
pub use replay::Replay;

use crate::error::SpeculateError;
use crate::propose::{Method, Settings};

/// An error where a method cannot be measured on a trace: its candidates are drawn, several at a place, and
/// only what the target gave the token that came is known.
pub fn check_replayable(method: Method, settings: Settings) -> Result<(), SpeculateError> {
    let draws = settings.temperature > 0.0 && method.has_law();
    let alone = method.siblings(settings.siblings).count == Some(1);
    if draws && !alone { Err(SpeculateError::SeveralDrawn) } else { Ok(()) }
}
