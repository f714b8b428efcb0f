//! The kernels as a [`LanguageModel`]: what libtorch's network is, over [`Engine`]. Ids beyond a pass's
//! worth are read piece by piece. Knows no kernels.

use super::CudaError;
use super::drafting::{Drafter, Drawing, Loop};
use super::engine::{Engine, MOST_TOKENS};
use super::plan::Plan;
use super::prefix::Prefix;
use super::verifying::{Judge, can_judge};
use crate::error::ModelError;
use crate::judging::{Case, Verdict};
use crate::language_model::{Ahead, Drafted, LanguageModel, Logits, Wanted, check_ids, keep_ids};

/// A model on a GPU, and what it has read.
pub struct Network {
    drafter: Drafter,
    judge: Option<Judge>,
    ids: Vec<u32>,
    /// How drafts are made.
    how: Loop,
}

impl Network {
    /// A model that has read nothing.
    pub fn new(engine: Engine, how: Loop) -> Result<Self, CudaError> {
        Ok(Self { drafter: Drafter::new(engine)?, judge: None, ids: Vec::new(), how })
    }

    /// Compiles all that may be needed, so that no pass takes the time.
    pub(super) fn prepare(&mut self) -> Result<(), CudaError> {
        self.drafter.prepare()?;
        self.judge.get_or_insert(Judge::new(self.drafter.engine())?);
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

    fn judge(&mut self, case: &Case<'_>) -> Option<Result<Verdict, ModelError>> {
        can_judge(case.candidates).then(|| self.decide(case))
    }
}

impl Network {
    fn decide(&mut self, case: &Case<'_>) -> Result<Verdict, ModelError> {
        let tokens = case.candidates.iter().map(|candidate| candidate.token);
        let ids: Vec<u32> = [case.last].into_iter().chain(tokens).collect();
        check_ids(self, &ids)?;
        let engine = self.drafter.engine();
        let judge = match &mut self.judge {
            Some(judge) => judge,
            none => none.insert(Judge::new(engine)?),
        };
        let verdict = judge.verify(engine, self.ids.len(), case)?;
        self.ids.push(case.last);
        self.ids.extend(verdict.path.iter().map(|&node| ids[node + 1]));
        Ok(verdict)
    }

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
