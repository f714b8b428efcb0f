//! Weights that are read and written row by row, so that a model of any size needs memory for one
//! attention matrix. Knows files and floats; knows no architecture.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use serde_json::json;

use super::Checkpoint;
use super::gguf::Element;
use crate::error::ModelError;

/// Bytes that are collected before they are written.
const PIECE: usize = 1 << 20;

/// Where a model's weights are read, by the names that safetensors have.
pub trait Rows {
    /// Hands over the rows of a tensor in 32-bit floats; a vector is one row.
    fn rows(&self, name: &str, each: &mut dyn FnMut(&[f32])) -> Result<(), ModelError>;
}

impl Rows for Checkpoint {
    fn rows(&self, name: &str, each: &mut dyn FnMut(&[f32])) -> Result<(), ModelError> {
        self.read_rows(name, &mut |_, row| each(row));
        Ok(())
    }
}

/// Which of the two orders of rows queries and keys come in. Two dimensions of a head are turned
/// together: in safetensors the first of one half and the first of the other, in GGUF and llama2.c
/// neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pairs {
    Halves,
    Neighbours,
}

/// The rows of queries or keys, `columns` numbers each, from one order into the other.
pub(super) fn turned(values: &[f32], columns: usize, head: usize, into: Pairs) -> Vec<f32> {
    let mut found = Vec::with_capacity(values.len());
    for head_values in values.chunks(head * columns) {
        for row in 0..head {
            let from = match into {
                Pairs::Neighbours => row % 2 * (head / 2) + row / 2,
                Pairs::Halves => row % (head / 2) * 2 + row / (head / 2),
            };
            found.extend(&head_values[from * columns..(from + 1) * columns]);
        }
    }
    found
}

/// A file that grows row by row.
pub(super) struct RowFile {
    path: PathBuf,
    out: BufWriter<File>,
    bytes: Vec<u8>,
    written: u64,
    failed: Option<ModelError>,
}

impl RowFile {
    /// A new file that begins with these bytes.
    pub(super) fn create(path: &Path, head: &[u8]) -> Result<Self, ModelError> {
        let file = File::create(path)
            .map_err(|error| ModelError::Write { path: path.into(), reason: error.to_string() })?;
        let mut file = Self {
            path: path.into(),
            out: BufWriter::with_capacity(PIECE, file),
            bytes: Vec::new(),
            written: 0,
            failed: None,
        };
        file.bytes.extend(head);
        file.flush_row();
        file.check()?;
        Ok(file)
    }

    /// Appends a row of a tensor; the first that fails is kept for [`Self::check`].
    pub(super) fn row(&mut self, name: &str, element: Element, row: &[f32]) {
        if self.failed.is_some() {
            return;
        }
        if let Err(value) = element.encode(row, &mut self.bytes) {
            self.failed = Some(ModelError::Format {
                path: self.path.clone(),
                reason: format!(
                    "the tensor `{name}` holds {value}, which {} cannot; use a wider --dtype",
                    element.name()
                ),
            });
        }
        self.flush_row();
    }

    fn flush_row(&mut self) {
        if self.failed.is_none()
            && let Err(error) = self.out.write_all(&self.bytes)
        {
            self.failed =
                Some(ModelError::Write { path: self.path.clone(), reason: error.to_string() });
        }
        self.written += self.bytes.len() as u64;
        self.bytes.clear();
    }

    /// Appends zeros up to a multiple of `alignment`.
    pub(super) fn align(&mut self, alignment: u64) {
        let end = self.written.next_multiple_of(alignment);
        self.bytes.resize((end - self.written) as usize, 0);
        self.flush_row();
    }

    /// What has gone wrong so far.
    pub(super) fn check(&mut self) -> Result<(), ModelError> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Brings all of it to the disk, and gives its size.
    pub(super) fn finish(mut self) -> Result<u64, ModelError> {
        self.check()?;
        let failed = |reason: String| ModelError::Write { path: self.path.clone(), reason };
        let file = self.out.into_inner().map_err(|error| failed(error.to_string()))?;
        file.sync_all().map_err(|error| failed(error.to_string()))?;
        Ok(self.written)
    }
}

/// Writes tensors of 32-bit, 16-bit or brain floats as one safetensors file, and gives its size.
pub(super) fn write_safetensors(
    path: &Path,
    tensors: &[(String, Vec<usize>, Element)],
    source: &dyn Rows,
) -> Result<u64, ModelError> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut at = 0usize;
    for (name, shape, element) in tensors {
        let (dtype, size) = match element {
            Element::F16 => (Dtype::F16, 2),
            Element::Bf16 => (Dtype::BF16, 2),
            _ => (Dtype::F32, 4),
        };
        let end = at + size * shape.iter().product::<usize>();
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [at, end]});
        header.insert(name.clone(), entry);
        at = end;
    }
    let mut text = serde_json::Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut head = (text.len() as u64).to_le_bytes().to_vec();
    head.extend(text);
    let mut file = RowFile::create(path, &head)?;
    for (name, _, element) in tensors {
        source.rows(name, &mut |row| file.row(name, *element, row))?;
        file.check()?;
    }
    file.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_turned_and_turned_back() {
        let rows: Vec<f32> = (0..2 * 6 * 3).map(|value| value as f32).collect();
        let neighbours = turned(&rows, 3, 6, Pairs::Neighbours);
        let first: Vec<f32> = neighbours[..18].chunks(3).map(|row| row[0] / 3.0).collect();
        assert_eq!(first, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(turned(&neighbours, 3, 6, Pairs::Halves), rows);
    }

    #[test]
    fn a_number_that_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RowFile::create(&folder.path().join("file"), b"head").unwrap();
        file.row("a.weight", Element::F16, &[1.0, 1e6]);
        file.row("b.weight", Element::F16, &[1.0]);
        let message = file.finish().unwrap_err().to_string();
        assert!(message.contains("a.weight") && message.contains("1000000"), "{message}");
    }
}
