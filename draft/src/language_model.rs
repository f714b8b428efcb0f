//! What a language model is to the rest of the project: ids in, next-token logits out, and a cache
//! that can be rolled back. It knows no text, no second model and no policy.

use crate::error::ModelError;
use crate::judging::{Case, Verdict};
use crate::model::{Passage, Score, score_alone};
use crate::random::Key;
use crate::spare::Spare;

/// Which rows of logits an extension should give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those behind the last id only.
    Last,
    /// Those behind every id.
    All,
}

/// Rows of next-token logits on the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logits {
    values: Vec<f32>,
    width: usize,
}

/// Buffers of dropped logits that a thread keeps.
const KEPT: usize = 4;

thread_local! {
    static BUFFERS: Spare<f32> = const { Spare::new(KEPT) };
}

impl Drop for Logits {
    fn drop(&mut self) {
        Spare::keep(&BUFFERS, std::mem::take(&mut self.values));
    }
}

/// So many numbers for new logits, of any values.
pub(crate) fn buffer(count: usize) -> Vec<f32> {
    let mut values = Spare::take(&BUFFERS, count);
    values.resize(count, 0.0);
    values
}

impl Logits {
    /// Rows of `width` values each, one behind the other.
    ///
    /// # Panics
    /// If `values` is no whole number of rows.
    pub fn new(values: Vec<f32>, width: usize) -> Self {
        assert!(width > 0 && values.len().is_multiple_of(width), "whole rows");
        Self { values, width }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// One row: a logit for each id.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..(index + 1) * self.width]
    }

    /// The rows behind the first `count`.
    #[must_use]
    pub fn behind(mut self, count: usize) -> Self {
        self.values.drain(..count * self.width);
        self
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// The last row.
    pub fn last(&self) -> &[f32] {
        self.row(self.rows() - 1)
    }
}

/// What [`LanguageModel::draft`] is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ahead<'a> {
    /// Ids behind the cached ones that are read first, at least one.
    pub ids: &'a [u32],
    /// The key of each draw.
    pub keys: &'a [Key],
    /// Divides the logits; 0 means the most probable token always.
    pub temperature: f64,
    /// The name under which each id is drawn, `None` for one that is not; all by their own where
    /// absent.
    pub names: Option<&'a [Option<u32>]>,
}

/// What was drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drafted {
    /// An id for each key.
    pub ids: Vec<u32>,
    /// The logits that each was drawn from.
    pub logits: Logits,
}

/// A causal language model with a cache of what it has read.
pub trait LanguageModel {
    /// Rows of the embedding: ids are below this, and a row of logits is this wide.
    fn rows(&self) -> usize;

    /// Positions that the model was made for.
    fn context(&self) -> usize;

    /// Number of ids in the cache.
    fn length(&self) -> usize;

    /// Reads `ids` behind the cached ones and gives the logits behind them. On an error the cache
    /// is as it was before.
    fn extend(&mut self, ids: &[u32], wanted: Wanted) -> Result<Logits, ModelError>;

    /// Reads nodes of a tree that hangs behind the first `base` cached ids; what is cached behind
    /// those are nodes of it that were read before. `parents` has all nodes, the known ones first:
    /// the index of the node before each, an earlier one, or `None` right behind the `base` ids.
    /// Gives the logits behind each of `ids`. The nodes stay in the cache in the order given until
    /// [`Self::keep_path`] or [`Self::truncate`].
    fn extend_tree(
        &mut self,
        base: usize,
        ids: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Logits, ModelError>;

    /// After [`Self::extend_tree`] from a cache of `base` ids: keeps the nodes of `path` (from the
    /// root down) and forgets the others.
    fn keep_path(&mut self, base: usize, path: &[usize]);

    /// Forgets all but the first `length` ids.
    fn truncate(&mut self, length: usize);

    /// Whether [`Self::draft`] gives anything.
    fn can_draft(&self) -> bool {
        false
    }

    /// Reads ids and then draws several more, one behind the other, all but the last of which are
    /// read too: in one go, where the model can, else `None`. Equals drawing step by step from what
    /// [`Self::extend`] gives. On an error the cache is as it was before.
    fn draft(&mut self, _ahead: &Ahead<'_>) -> Option<Result<Drafted, ModelError>> {
        None
    }

    /// Reads the last committed id and candidates behind it and decides about them, where the model can
    /// do that without giving logits, else `None`. Equals deciding token by token from what
    /// [`Self::extend_tree`] gives. The cache then holds the last id and what was accepted; on an error
    /// it is as it was before.
    fn judge(&mut self, _case: &Case<'_>) -> Option<Result<Verdict, ModelError>> {
        None
    }

    /// Scores passages, one by one or, where the model can, many at once. What it had read is forgotten.
    fn score(&mut self, passages: &[Passage<'_>]) -> Result<Vec<Score>, ModelError> {
        passages.iter().map(|passage| score_alone(self, passage)).collect()
    }
}

/// Depth of each node of a tree, 0 right behind the cache.
pub fn depths(parents: &[Option<usize>]) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::with_capacity(parents.len());
    for parent in parents {
        depths.push(parent.map_or(0, |parent| depths[parent] + 1));
    }
    depths
}

/// Whether a model can read ids behind those that it has read.
pub(crate) fn check_ids(model: &dyn LanguageModel, ids: &[u32]) -> Result<(), ModelError> {
    let (rows, context) = (model.rows(), model.context());
    if let Some(&id) = ids.iter().find(|&&id| id as usize >= rows) {
        return Err(ModelError::Id { id, rows });
    }
    let wanted = model.length() + ids.len();
    if wanted > context {
        return Err(ModelError::Context { wanted, context });
    }
    Ok(())
}

/// Of the ids behind the first `base`, keeps those of `path`, as [`LanguageModel::keep_path`] does.
pub(crate) fn keep_ids(ids: &mut Vec<u32>, base: usize, path: &[usize]) {
    let kept: Vec<u32> = path.iter().map(|&node| ids[base + node]).collect();
    ids.truncate(base);
    ids.extend(kept);
}
