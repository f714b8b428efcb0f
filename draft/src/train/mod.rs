//! Training one model: its parameters, the optimiser, precision, learning rates, the order of the
//! blocks, and the losses that make it resemble another. Knows ids and tensors; text, files of text and recipes are `experiments`'.

mod adamw;
mod divergence;
mod head;
mod leaves;
mod lesson;
mod muon;
mod order;
mod parameters;
mod precision;
mod schedule;
mod state;
mod tokens;
mod trainer;

pub use adamw::AdamWSettings;
pub use divergence::{Divergence, acceptance};
pub use lesson::{Goal, Laws, Learnt, Lesson};
pub use muon::MuonSettings;
pub use order::Order;
pub use parameters::Parameters;
pub use precision::Precision;
pub use schedule::Schedule;
pub use tokens::{Tokens, Width};
pub use trainer::{Plan, Trainer, Update};
