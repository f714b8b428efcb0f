//! A decoder of Llama's architecture on the CPU, without libtorch: what makes a draft of 12 million
//! parameters as fast as its weights can be read.
//!
//! What it trades: a second implementation of the forward pass, held to libtorch's logits by tests,
//! for passes without a dispatch for each operator. Weights are packed once into panels of 32 rows
//! ([`packed`]), so that a pass over one id or over a tree of them reads each weight once, in the order
//! it lies in memory; the threads of a team ([`team`]) share the panels and wait for each other by
//! spinning. Arithmetic is in 32-bit floats whatever the weights are stored in; with 8-bit weights,
//! activations are rounded to 8 bits too, by blocks of 32 ([`quantised`]).
//!
//! Every sum is taken in one order, whatever is read with it: a pass gives the same bits for an id
//! alone, in a row or in a tree, and on one thread or many. Plain decoding and verification therefore
//! never differ by rounding. How fast it is beside its peers: `make bench-speed`, `benchmarks/`.

#![allow(
    clippy::inline_always,
    clippy::needless_range_loop,
    reason = "inner loops are inlined into functions compiled for a processor, and unrolled over registers"
)]

mod attention;
mod cache;
mod decoder;
mod forest;
mod isa;
mod lanes;
mod loops;
mod maths;
mod memory;
mod model;
mod packed;
mod plan;
mod product;
mod quantised;
pub mod scan;
mod scoring;
mod team;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use isa::Isa;
pub use model::Native;
pub use packed::Format;
