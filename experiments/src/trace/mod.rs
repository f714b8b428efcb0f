//! Traces as files: texts that a target wrote are recorded, imported from a server's answers, read, and
//! measured against a draft with no target at hand. What a trace is, is `target::trace`'s matter.

pub mod file;
pub mod import;
pub mod record;
pub mod replay;
pub mod written;
