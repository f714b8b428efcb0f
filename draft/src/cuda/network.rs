//! The kernels as a [`LanguageModel`]: what libtorch's network is, over [`Engine`]. Ids beyond a pass's
//! worth are read piece by piece. Knows no kernels.

use super::CudaError;
use super::drafting::{Drafter, Drawing, Loop};
use super::engine::{Engine, MOST_TOKENS};
use super::plan::Plan;
use super::prefix::Prefix;
use crate::error::ModelError;
use crate::language_model::{Ahead, Drafted, LanguageModel, Logits, Wanted, check_ids, keep_ids};

/// A model on a GPU, and what it has read.
pub struct Network {
    drafter: Drafter,
    ids: Vec<u32>,
    /// How drafts are made.
    how: Loop,
}

impl Network {
    /// A model that has read nothing.
    pub fn new(engine: Engine, how: Loop) -> Result<Self, CudaError> {
        Ok(Self { drafter: Drafter::new(engine)?, ids: Vec::new(), how })
    }

    /// The model, and how many ids its first prefix holds.
    pub fn parts(&mut self) -> (&mut Engine, usize) {
        (self.drafter.engine(), self.ids.len())
    }

    /// Counts ids as read that were read on the device.
    pub(super) fn append(&mut self, ids: &[u32]) {
        self.ids.extend_from_slice(ids);
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
            self.drafter.engine().pass(&plan, first)?;
            values.extend(self.drafter.engine().logits(piece.len() - first)?);
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
            self.drafter.engine().pass(&Plan::tree(base, piece, &parents[..end])?, 0)?;
            values.extend(self.drafter.engine().logits(piece.len())?);
        }
        Ok(values)
    }
}

impl LanguageModel for Network {
    fn rows(&self) -> usize {
        self.drafter.model().rows()
    }

    fn context(&self) -> usize {
        self.drafter.model().context()
    }

    fn length(&self) -> usize {
        self.ids.len()
    }

    fn extend(&mut self, ids: &[u32], wanted: Wanted) -> Result<Logits, ModelError> {
        if ids.is_empty() {
            return Ok(Logits::default());
        }
        check_ids(self, ids)?;
        let values = self.read_row(ids, wanted)?;
        self.ids.extend_from_slice(ids);
        Ok(Logits::new(values, self.drafter.model().rows()))
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
        check_ids(self, ids)?;
        let values = self.read_tree(base, ids, parents)?;
        self.ids.extend_from_slice(ids);
        Ok(Logits::new(values, self.drafter.model().rows()))
    }

    fn keep_path(&mut self, base: usize, path: &[usize]) {
        // A device that fails here fails at the next pass too, which says so.
        let is_kept = self.drafter.engine().keep_path(base, path).is_ok();
        keep_ids(&mut self.ids, base, if is_kept { path } else { &[] });
    }

    fn truncate(&mut self, length: usize) {
        self.ids.truncate(length);
    }

    fn can_draft(&self) -> bool {
        true
    }

    fn draft(&mut self, ahead: &Ahead<'_>) -> Option<Result<Drafted, ModelError>> {
        Some(self.draft_ahead(ahead))
    }
}

impl Network {
    fn draft_ahead(&mut self, ahead: &Ahead<'_>) -> Result<Drafted, ModelError> {
        check_ids(self, ahead.ids)?;
        let (ids, count) = (ahead.ids, ahead.keys.len());
        if ids.is_empty() || count == 0 {
            return Ok(Drafted::default());
        }
        // What is read before the last id needs no step of its own.
        let (early, last) = ids.split_at(ids.len() - 1);
        let cached = self.ids.len() + early.len();
        self.drafter.engine().read(0, self.ids.len(), early)?;
        let prefix = Prefix { cached, given: last.to_vec(), keys: ahead.keys.to_vec() };
        let drawing = Drawing { temperature: ahead.temperature, names: ahead.names };
        let drawn = self.drafter.draft(&[prefix], count, drawing, self.how)?;
        let drawn = drawn.into_iter().next().unwrap_or_default();
        let logits = self.drafter.logits(0, 1, count)?;
        self.ids.extend_from_slice(ids);
        self.ids.extend_from_slice(&drawn[..count - 1]);
        Ok(Drafted { ids: drawn, logits: Logits::new(logits, self.drafter.model().rows()) })
    }
}
