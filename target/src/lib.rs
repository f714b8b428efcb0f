//! Two language models: what the draft proposes, how the target verifies it, the loop of the two,
//! and its accounting; and the same with texts that a target wrote before.
//!
//! Nothing here prints or writes files; reports are `experiments`' matter.

pub mod calibration;
pub mod costs;
pub mod error;
pub mod observed;
pub mod pace;
pub mod passes;
pub mod proposal;
pub mod propose;
pub mod reader;
pub mod round;
pub mod side;
mod speaker;
pub mod speculate;
pub mod trace;
pub mod trie;
pub mod verify;

pub use error::SpeculateError;
pub use observed::{Bins, Observed};
pub use passes::{PassTime, PassTimes};
pub use proposal::{Node, Origin, Proposal};
pub use propose::{Method, Proposer};
pub use reader::Reader;
pub use round::{Clock, Phase, Seconds, Tally};
pub use side::Side;
pub use speculate::{Finish, Generation, Limits, Prompt, speculate};
pub use verify::{BlockVerifier, Laws, TokenVerifier, Verdict, Verification, Verifier};
