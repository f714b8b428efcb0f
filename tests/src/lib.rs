//! What the integration tests share: models whose laws can be written down, small tokenizers,
//! random checkpoints, checkpoints in shards, Parquet files, a Hub on the loopback, the optional folder
//! of real data, and chi-square.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "test support"
)]

pub mod altered;
pub mod bench;
pub mod checkpoints;
pub mod chi_square;
pub mod command;
pub mod hub_repository;
pub mod hub_server;
pub mod json_schema;
pub mod mutants;
pub mod on_cpu;
pub mod parquet_files;
pub mod shards;
pub mod shared;
pub mod tokenizers;
pub mod toy;
pub mod toy_pairs;
pub mod trees;
