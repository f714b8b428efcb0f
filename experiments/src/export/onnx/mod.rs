//! A model as a graph of ONNX that onnxruntime and what is built on it run, in the form that Hugging
//! Face Optimum calls `text-generation-with-past`, with the files beside it. Runs no model.

mod attention;
mod decoder;
mod delta;
mod file;
mod graph;
mod parts;
pub mod proto;
mod weights;

use std::path::Path;

use anyhow::Result;
use draft::checkpoint::{Checkpoint, StoredAs};
use draft::config::ModelConfig;

use super::{copy_files, write_config};
use crate::new_folder::NewFolder;

pub use file::{DATA, MODEL};
pub use graph::Numbers;

/// Writes the model of a folder into a new folder, and gives the bytes of its weights. More than `limit` bytes of weights, or than a
/// message holds, are in a file beside the graph.
pub fn onnx(from: &Path, out: &Path, numbers: Numbers, limit: u64) -> Result<u64> {
    NewFolder::check_free(out)?;
    let config = ModelConfig::read(from)?;
    let checkpoint = Checkpoint::open(from, &config.shape.tensors())?;
    let folder = NewFolder::begin(out)?;
    let graph = decoder::graph(&config.shape, numbers);
    let size = file::write(graph, &checkpoint, &folder, limit)?;
    // What is computed with; that matrices are in whole numbers is the graph's own affair.
    let dtype = if numbers == Numbers::Fp16 { StoredAs::Fp16 } else { StoredAs::Fp32 };
    write_config(from, &folder, dtype)?;
    copy_files(from, &folder)?;
    folder.finish()?;
    Ok(size)
}
