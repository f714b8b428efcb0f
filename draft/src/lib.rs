//! One language model: its architecture, its checkpoint, its cache, and how tokens are drawn from
//! its distributions.
//!
//! This crate knows ids and tensors. It knows no text and no second model: vocabularies as bytes
//! are `align`'s, and what two models do together is `target`'s.

pub mod cache;
pub mod checkpoint;
pub mod config;
pub mod cuda;
pub mod device;
pub mod engine;
pub mod error;
pub mod generate;
pub mod judging;
pub mod language_model;
pub mod law;
pub mod model;
pub mod random;
pub mod rope;
pub mod sampling;
pub mod session;
pub mod spare;
pub mod train;

pub use device::{Compute, Engine};
pub use error::ModelError;
pub use judging::{Candidate, Case, Verdict};
pub use language_model::{LanguageModel, Logits, Wanted};
pub use law::Law;
pub use model::Model;
pub use random::{Key, Purpose, Randomness};
pub use sampling::Sampling;
pub use session::Session;
pub use spare::Spare;
