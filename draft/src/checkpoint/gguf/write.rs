//! GGUF files (version 3) on their way to the disk: header first, then tensors one behind the other,
//! each at a multiple of 32 bytes. Knows no architecture.

use std::path::Path;

use super::blocks::Element;
use super::value::{Value, write_pair, write_text};
use super::{ALIGNMENT, MAGIC, VERSION};
use crate::checkpoint::rows::RowFile;
use crate::error::ModelError;

/// A tensor as it is to be written; its sizes are outermost first, as in safetensors.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) element: Element,
}

impl Entry {
    /// Bytes of the tensor; the error says why its rows do not fit its type.
    pub(super) fn bytes(&self) -> Result<usize, String> {
        let columns = self.shape.last().copied().unwrap_or(1);
        let rows: usize = self.shape.iter().rev().skip(1).product();
        self.element.row_bytes(columns).map(|bytes| bytes * rows).ok_or_else(|| {
            format!(
                "rows of the tensor `{}` have {columns} numbers, and {} has blocks of {}; use f32, \
                 f16 or bf16",
                self.name,
                self.element.name(),
                self.element.block()
            )
        })
    }
}

/// Begins a file; its tensors follow in their order, each padded by [`RowFile::align`].
pub(super) fn begin(
    path: &Path,
    metadata: &[(String, Value)],
    entries: &[Entry],
) -> Result<RowFile, ModelError> {
    let mut head = MAGIC.to_vec();
    head.extend(VERSION.to_le_bytes());
    head.extend((entries.len() as u64).to_le_bytes());
    head.extend((metadata.len() as u64).to_le_bytes());
    for (name, value) in metadata {
        write_pair(name, value, &mut head);
    }
    let mut at = 0u64;
    for entry in entries {
        write_text(&entry.name, &mut head);
        head.extend((entry.shape.len() as u32).to_le_bytes());
        for size in entry.shape.iter().rev() {
            head.extend((*size as u64).to_le_bytes());
        }
        head.extend(entry.element.code().to_le_bytes());
        head.extend(at.to_le_bytes());
        let bytes =
            entry.bytes().map_err(|reason| ModelError::Format { path: path.into(), reason })?;
        at = (at + bytes as u64).next_multiple_of(ALIGNMENT);
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT as usize), 0);
    RowFile::create(path, &head)
}
