//! The kernels as a [`LanguageModel`]: what libtorch's network is, over [`Engine`]. Ids beyond a pass's
//! worth are read piece by piece. Knows no kernels.

use super::CudaError;
use super::engine::{Engine, MOST_TOKENS};
use super::plan::Plan;
use crate::error::ModelError;
use crate::language_model::{LanguageModel, Logits, Wanted};

/// A model on a GPU, and what it has read.
pub struct Network {
    engine: Engine,
    ids: Vec<u32>,
}

impl Network {
    /// A model that has read nothing.
    pub fn new(engine: Engine) -> Self {
        Self { engine, ids: Vec::new() }
    }

    /// The model, and how many ids its first prefix holds.
    pub fn parts(&mut self) -> (&mut Engine, usize) {
        (&mut self.engine, self.ids.len())
    }

    /// Counts ids as read that were read on the device.
    pub(super) fn append(&mut self, ids: &[u32]) {
        self.ids.extend_from_slice(ids);
    }

    pub(super) fn check(&self, ids: &[u32]) -> Result<(), ModelError> {
        let rows = self.engine.rows();
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= rows) {
            return Err(ModelError::Id { id, rows });
        }
        let (wanted, context) = (self.ids.len() + ids.len(), self.engine.context());
        if wanted > context {
            return Err(ModelError::Context { wanted, context });
        }
        Ok(())
    }

    fn read_row(&mut self, ids: &[u32], wanted: Wanted) -> Result<Vec<f32>, CudaError> {
        let (mut values, mut past) = (Vec::new(), self.ids.len());
        let pieces = ids.len().div_ceil(MOST_TOKENS);
        for (index, piece) in ids.chunks(MOST_TOKENS).enumerate() {
            let plan = Plan::chain(0, past, piece);
            let first = match wanted {
                Wanted::All => 0,
                Wanted::Last if index + 1 == pieces => piece.len() - 1,
                Wanted::Last => piece.len(),
            };
            self.engine.pass(&plan, first)?;
            values.extend(self.engine.logits(piece.len() - first)?);
            past += piece.len();
        }
        Ok(values)
    }

    fn read_tree(
        &mut self,
        base: usize,
        ids: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Vec<f32>, CudaError> {
        let (mut values, known) = (Vec::new(), parents.len() - ids.len());
        for (index, piece) in ids.chunks(MOST_TOKENS).enumerate() {
            let end = known + index * MOST_TOKENS + piece.len();
            self.engine.pass(&Plan::tree(base, piece, &parents[..end])?, 0)?;
            values.extend(self.engine.logits(piece.len())?);
        }
        Ok(values)
    }
}

impl LanguageModel for Network {
    fn rows(&self) -> usize {
        self.engine.rows()
    }

    fn context(&self) -> usize {
        self.engine.context()
    }

    fn length(&self) -> usize {
        self.ids.len()
    }

    fn extend(&mut self, ids: &[u32], wanted: Wanted) -> Result<Logits, ModelError> {
        if ids.is_empty() {
            return Ok(Logits::default());
        }
        self.check(ids)?;
        let values = self.read_row(ids, wanted)?;
        self.ids.extend_from_slice(ids);
        Ok(Logits::new(values, self.engine.rows()))
    }

    fn extend_tree(
        &mut self,
        base: usize,
        ids: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Logits, ModelError> {
        if ids.is_empty() {
            return Ok(Logits::default());
        }
        self.check(ids)?;
        let values = self.read_tree(base, ids, parents)?;
        self.ids.extend_from_slice(ids);
        Ok(Logits::new(values, self.engine.rows()))
    }

    fn keep_path(&mut self, base: usize, path: &[usize]) {
        let kept: Vec<u32> = path.iter().map(|&node| self.ids[base + node]).collect();
        self.ids.truncate(base);
        if self.engine.keep_path(base, path).is_ok() {
            self.ids.extend(kept);
        } else {
            // A device that fails here fails at the next pass too, which says so.
            self.ids.truncate(base);
        }
    }

    fn truncate(&mut self, length: usize) {
        self.ids.truncate(length);
    }
}
