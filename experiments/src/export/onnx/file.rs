//! A graph on the disk: `model.onnx`, and its weights in the same file, or beside it where they are
//! too many for one message. Knows no operators.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use draft::checkpoint::Checkpoint;
use prost::Message;

use super::graph::Builder;
use super::proto::{Entry, IR_VERSION, Model, OPSET, OperatorSet, Tensor};
use super::weights::Initialiser;
use crate::new_folder::NewFolder;

/// The graph's file.
pub const MODEL: &str = "model.onnx";

/// The file of weights beside it.
pub const DATA: &str = "model.onnx_data";

/// Bytes of weights in a graph's own file, at most: a message ends at 2 GiB.
const LIMIT: u64 = 2_000_000_000;

/// Tensors smaller than this stay in the graph's file: shapes are read from them.
const SMALL: u64 = 1024;

/// Where a tensor beside the graph begins: at a page, so that it can be mapped.
const PAGE: u64 = 4096;

/// Writes a graph into a folder, with weights in its own file where they have no more than `limit`
/// bytes. Gives how many they have.
pub(super) fn write(
    graph: Builder,
    checkpoint: &Checkpoint,
    folder: &NewFolder,
    limit: u64,
) -> Result<u64> {
    let total: u64 = graph.initialisers.iter().map(Initialiser::size).sum();
    let mut tensors = Vec::with_capacity(graph.initialisers.len());
    let mut beside = if total > limit.min(LIMIT) { Some(Beside::begin(folder)?) } else { None };
    for initialiser in &graph.initialisers {
        let mut tensor = initialiser.message();
        let bytes = initialiser.bytes(checkpoint)?;
        match &mut beside {
            Some(beside) if initialiser.size() >= SMALL => beside.take(&mut tensor, &bytes)?,
            _ => tensor.raw_data = Some(bytes),
        }
        tensors.push(tensor);
    }
    if let Some(beside) = beside {
        beside.finish()?;
    }
    let operators = OperatorSet { domain: Some(String::new()), version: Some(OPSET) };
    let model = Model {
        ir_version: Some(IR_VERSION),
        producer_name: Some("spec".to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        graph: Some(graph.finish("decoder", tensors)),
        opset_import: vec![operators],
    };
    folder.write(MODEL, &model.encode_to_vec())?;
    Ok(total)
}

/// The file of weights on its way.
struct Beside {
    file: BufWriter<File>,
    length: u64,
}

impl Beside {
    fn begin(folder: &NewFolder) -> Result<Self> {
        let path = folder.draft().join(DATA);
        let file = File::create(&path).with_context(cannot)?;
        Ok(Self { file: BufWriter::new(file), length: 0 })
    }

    /// Writes the numbers of a tensor, and tells it where they are.
    fn take(&mut self, tensor: &mut Tensor, bytes: &[u8]) -> Result<()> {
        let first = self.length.next_multiple_of(PAGE);
        let padding = vec![0; (first - self.length) as usize];
        self.file
            .write_all(&padding)
            .and_then(|()| self.file.write_all(bytes))
            .with_context(cannot)?;
        self.length = first + bytes.len() as u64;
        let entry =
            |key: &str, value: String| Entry { key: Some(key.to_owned()), value: Some(value) };
        tensor.external_data = vec![
            entry("location", DATA.to_owned()),
            entry("offset", first.to_string()),
            entry("length", bytes.len().to_string()),
        ];
        tensor.data_location = Some(1);
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.file.flush().with_context(cannot)
    }
}

fn cannot() -> String {
    format!("cannot write {DATA}; is the disk full?")
}
