//! `spec demo`: a page on this machine with the modes of the published demo space, and a fifth one that
//! shows speculative decoding token by token. One thread holds the models and does the work, one request
//! after the other; the server around it reads requests, refuses what it must and passes on what comes.
//! Knows the models through what the commands use; does no model maths.

mod guard;
mod lent;
pub mod limits;
mod live;
mod modes;
mod page;
mod request;
pub mod server;
mod sink;
mod split;
mod stage;
mod watched;

pub use stage::{Opening, Stage};
