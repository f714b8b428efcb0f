//! What people touch: the `spec` command line, the model registry and the Hub, benches, reports.
//! No model maths lives here.

pub mod align_report;
pub mod bench;
pub mod cli;
pub mod compare_text;
pub mod data;
pub mod distill;
pub mod doctor;
pub mod eval;
pub mod explore;
pub mod export;
pub mod generate;
pub mod hub;
pub mod likelihood;
pub mod models;
pub mod new_file;
pub mod new_folder;
pub mod printer;
pub mod prompts;
pub mod provenance;
pub mod published;
pub mod questions;
pub mod registry;
pub mod report;
pub mod schema;
pub mod settings;
pub mod source;
pub mod speed;
pub mod statistics;
pub mod sweep;
pub mod template;
pub mod tokenizer;
pub mod trace;
pub mod train;
pub mod vocab;
