//! A model that is lent to several sessions, one after the other: the draft is read in plain modes and by a
//! proposer, and is in memory once. Whoever takes it empties its cache first and leaves it empty behind.

use std::cell::RefCell;
use std::rc::Rc;

use draft::language_model::{Ahead, Drafted, LanguageModel, Logits, Wanted};
use draft::{ModelError, Session};

/// A model with several hands on it.
#[derive(Clone)]
pub(super) struct Lent(Rc<RefCell<Box<dyn LanguageModel>>>);

impl Lent {
    /// Lends a session's model.
    pub(super) fn new(session: Session) -> Self {
        let mut model = session.into_model();
        model.truncate(0);
        Self(Rc::new(RefCell::new(model)))
    }

    /// A session of its own; others must not be read until [`Self::clear`].
    pub(super) fn session(&self) -> Session {
        self.clear();
        Session::new(Box::new(self.clone()))
    }

    /// Empties the cache.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().truncate(0);
    }
}

impl LanguageModel for Lent {
    fn rows(&self) -> usize {
        self.0.borrow().rows()
    }

    fn context(&self) -> usize {
        self.0.borrow().context()
    }

    fn length(&self) -> usize {
        self.0.borrow().length()
    }

    fn extend(&mut self, ids: &[u32], wanted: Wanted) -> Result<Logits, ModelError> {
        self.0.borrow_mut().extend(ids, wanted)
    }

    fn extend_tree(
        &mut self,
        base: usize,
        ids: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Logits, ModelError> {
        self.0.borrow_mut().extend_tree(base, ids, parents)
    }

    fn keep_path(&mut self, base: usize, path: &[usize]) {
        self.0.borrow_mut().keep_path(base, path);
    }

    fn truncate(&mut self, length: usize) {
        self.0.borrow_mut().truncate(length);
    }

    fn can_draft(&self) -> bool {
        self.0.borrow().can_draft()
    }

    fn draft(&mut self, ahead: &Ahead<'_>) -> Option<Result<Drafted, ModelError>> {
        self.0.borrow_mut().draft(ahead)
    }
}
