//! A model together with the ids that are in its cache. Brings the cache to any sequence of ids by
//! keeping the common prefix, so that after every call it equals a fresh prefill; slides its window
//! where the sequence is longer than the context.

use crate::error::ModelError;
use crate::judging::{Case, Verdict};
use crate::language_model::{Ahead, Drafted, LanguageModel, Logits, Wanted, keep_ids};

/// From this many ids on whose logits nobody wants a pass of their own costs less than their logits.
const APART: usize = 32;

/// A model and what it has read.
pub struct Session {
    model: Box<dyn LanguageModel>,
    ids: Vec<u32>,
    /// Logits behind the last id, where they are known.
    last: Option<Vec<f32>>,
    /// Ids after the head of the sequence that the window leaves out.
    skipped: usize,
    slides: u64,
    ahead: Option<Foreseen>,
}

/// What the model drew ahead: it has read the ids but for the last, of which the session holds those
/// that were pushed since.
struct Foreseen {
    /// The ids before them.
    base: usize,
    drafted: Drafted,
}

impl Session {
    /// Wraps a model whose cache is empty.
    pub fn new(model: Box<dyn LanguageModel>) -> Self {
        Self { model, ids: Vec::new(), last: None, skipped: 0, slides: 0, ahead: None }
    }

    /// The model, with whatever is in its cache.
    pub fn into_model(mut self) -> Box<dyn LanguageModel> {
        self.forget_foreseen();
        self.model
    }

    /// The model.
    pub fn model(&self) -> &dyn LanguageModel {
        &*self.model
    }

    /// The ids in the cache.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The logits behind the last id; empty where they are not known.
    pub fn last_logits(&self) -> &[f32] {
        self.last.as_deref().unwrap_or_default()
    }

    /// How often the window slid since [`Self::reset`].
    pub fn slides(&self) -> u64 {
        self.slides
    }

    /// Forgets everything, counts included.
    pub fn reset(&mut self) {
        self.truncate(0);
        (self.skipped, self.slides) = (0, 0);
    }

    /// Forgets all but the first `length` ids.
    pub fn truncate(&mut self, length: usize) {
        self.forget_foreseen();
        if length < self.ids.len() {
            self.model.truncate(length);
            self.ids.truncate(length);
            self.last = None;
        }
    }

    /// Brings the cache to `ids`, keeping what it has in common with them, and gives the logits
    /// behind the last one.
    pub fn advance_to(&mut self, ids: &[u32]) -> Result<&[f32], ModelError> {
        let common = self.ids.iter().zip(ids).take_while(|(a, b)| a == b).count();
        // The last id is read again where its logits are no longer at hand.
        let known = common == ids.len() && common == self.ids.len() && self.last.is_some();
        let keep = if known { common } else { common.min(ids.len().saturating_sub(1)) };
        self.truncate(keep);
        if !known {
            self.read(&ids[keep..])?;
        }
        Ok(self.last.as_deref().unwrap_or_default())
    }

    /// Brings the cache to the part of a long sequence that fits: the first `head` ids, which are
    /// always kept (such as BOS), and the end of the rest, with room for `room` more ids. Where the
    /// window is full it slides so far that half of it is free, and the slide is counted.
    pub fn advance_window(
        &mut self,
        ids: &[u32],
        head: usize,
        room: usize,
    ) -> Result<&[f32], ModelError> {
        match self.window(ids, head, room) {
            Some(window) => self.advance_to(&window),
            None => self.advance_to(ids),
        }
    }

    /// The same, giving the logits behind each of the last `count` ids, of which there must be as many.
    pub fn advance_window_all(
        &mut self,
        ids: &[u32],
        head: usize,
        room: usize,
        count: usize,
    ) -> Result<Logits, ModelError> {
        let window = self.window(ids, head, room);
        let ids = window.as_deref().unwrap_or(ids);
        let (known, last) = ids.split_at(ids.len() - count.min(ids.len()));
        let common = self.ids.iter().zip(known).take_while(|(a, b)| a == b).count();
        self.truncate(common);
        let unread = &known[common..];
        if unread.len() <= APART {
            let logits = self.read_all(&[unread, last].concat())?;
            return Ok(logits.behind(unread.len()));
        }
        self.read(unread)?;
        self.read_all(last)
    }

    /// The part of a long sequence that fits, where not all of it does. May slide the window.
    fn window(&mut self, ids: &[u32], head: usize, room: usize) -> Option<Vec<u32>> {
        let context = self.model.context();
        let body = ids.len() - head;
        let fits = |skipped: usize| head + body.saturating_sub(skipped) + room <= context;
        if self.skipped > body || !fits(self.skipped) {
            if self.skipped <= body {
                self.slides += 1;
            }
            let keep = (context / 2).min(context.saturating_sub(head + room)).max(1);
            self.skipped = if fits(0) { 0 } else { body.saturating_sub(keep) };
        }
        (self.skipped > 0).then(|| [&ids[..head], &ids[head + self.skipped..]].concat())
    }

    /// Reads one more id and gives the logits behind it.
    pub fn push(&mut self, id: u32) -> Result<&[f32], ModelError> {
        if !self.take_foreseen(id) {
            self.read(&[id])?;
        }
        Ok(self.last.as_deref().unwrap_or_default())
    }

    /// Reads ids behind the cached ones and gives the logits behind each.
    pub fn read_all(&mut self, ids: &[u32]) -> Result<Logits, ModelError> {
        self.forget_foreseen();
        let logits = self.model.extend(ids, Wanted::All)?;
        self.ids.extend_from_slice(ids);
        self.last = Some(logits.last().to_vec());
        Ok(logits)
    }

    /// Reads nodes of a tree behind the first `base` cached ids, as
    /// [`LanguageModel::extend_tree`] does. To be followed by [`Self::keep_path`].
    pub fn read_tree(
        &mut self,
        base: usize,
        ids: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Logits, ModelError> {
        self.forget_foreseen();
        let logits = self.model.extend_tree(base, ids, parents)?;
        self.ids.extend_from_slice(ids);
        self.last = None;
        Ok(logits)
    }

    /// Keeps, of the nodes read since the cache held `base` ids, those of `path`.
    pub fn keep_path(&mut self, base: usize, path: &[usize]) {
        self.forget_foreseen();
        self.model.keep_path(base, path);
        keep_ids(&mut self.ids, base, path);
        self.last = None;
    }

    /// Reads candidates and decides about them, where the model can: see [`LanguageModel::judge`].
    pub fn judge(&mut self, case: &Case<'_>) -> Option<Result<Verdict, ModelError>> {
        self.forget_foreseen();
        let verdict = self.model.judge(case)?;
        if let Ok(Verdict { path, .. }) = &verdict {
            self.ids.push(case.last);
            self.ids.extend(path.iter().map(|&node| case.candidates[node].token));
            self.last = None;
        }
        Some(verdict)
    }

    /// As [`Self::advance_window`], and where the model can draft in one go ([`LanguageModel::draft`])
    /// it draws on as `ahead` says: [`Self::push`] of the ids that it drew then costs nothing.
    pub fn advance_window_ahead(
        &mut self,
        ids: &[u32],
        head: usize,
        room: usize,
        ahead: Ahead<'_>,
    ) -> Result<&[f32], ModelError> {
        let window = self.window(ids, head, room);
        let ids = window.as_deref().unwrap_or(ids);
        let common = self.ids.iter().zip(ids).take_while(|(a, b)| a == b).count();
        self.truncate(common.min(ids.len().saturating_sub(1)));
        let unread = &ids[self.ids.len()..];
        if unread.is_empty() || ahead.keys.is_empty() || ahead.keys.len() > room {
            return self.advance_to(ids);
        }
        let Some(drafted) = self.model.draft(&Ahead { ids: unread, ..ahead }) else {
            return self.advance_to(ids);
        };
        let drafted = drafted?;
        self.ids.extend_from_slice(unread);
        self.last = Some(drafted.logits.row(0).to_vec());
        self.ahead = Some(Foreseen { base: self.ids.len(), drafted });
        Ok(self.last.as_deref().unwrap_or_default())
    }

    /// Takes an id that was drawn ahead; gives whether it was.
    fn take_foreseen(&mut self, id: u32) -> bool {
        let Some(Foreseen { base, drafted }) = &self.ahead else { return false };
        let step = self.ids.len() - base;
        if drafted.ids.get(step) != Some(&id) || step + 1 >= drafted.logits.rows() {
            return false;
        }
        self.last = Some(drafted.logits.row(step + 1).to_vec());
        self.ids.push(id);
        true
    }

    /// Forgets what was drawn ahead, in the model too.
    fn forget_foreseen(&mut self) {
        if self.ahead.take().is_some() {
            self.model.truncate(self.ids.len());
        }
    }

    fn read(&mut self, ids: &[u32]) -> Result<(), ModelError> {
        self.forget_foreseen();
        self.last = None;
        let logits = self.model.extend(ids, Wanted::Last)?;
        self.ids.extend_from_slice(ids);
        self.last = Some(logits.last().to_vec());
        Ok(())
    }
}
