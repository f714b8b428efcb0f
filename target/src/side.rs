//! One of the two models with its tokenizer and its ends of text. Knows nothing of the other side.

use align::{Entry, Tokenizer};
use draft::Session;

use crate::reader::Reader;

/// A model, its cache and its vocabulary.
pub struct Side {
    /// The tokenizer, padded to the model's rows.
    pub tokenizer: Tokenizer,
    /// The model and what it has read.
    pub session: Session,
    /// Ids that end a text. The first stands for "end of text" in the other vocabulary.
    pub eos: Vec<u32>,
}

impl Side {
    /// Puts a model and its tokenizer together.
    pub fn new(mut tokenizer: Tokenizer, session: Session, eos: Vec<u32>) -> Self {
        tokenizer.pad_to(session.model().rows());
        Self { tokenizer, session, eos }
    }

    /// The side without its model.
    pub fn reader(&self) -> Reader<'_> {
        let (rows, context) = (self.session.model().rows(), self.session.model().context());
        Reader { tokenizer: &self.tokenizer, eos: &self.eos, rows, context }
    }

    /// Whether `id` ends a text.
    pub fn is_end(&self, id: u32) -> bool {
        self.eos.contains(&id)
    }

    /// Ids that may be drafted: text and ends of text, but no padding and no other control tokens.
    pub fn draftable(&self) -> Vec<u32> {
        let vocabulary = self.tokenizer.vocabulary();
        (0..self.session.model().rows() as u32)
            .filter(|&id| vocabulary.is_token(id) || self.is_end(id))
            .collect()
    }

    /// Ids that are no padding.
    pub fn used(&self) -> Vec<u32> {
        let vocabulary = self.tokenizer.vocabulary();
        (0..self.session.model().rows() as u32)
            .filter(|&id| *vocabulary.entry(id) != Entry::Padding)
            .collect()
    }

    /// How many ids at the beginning of a sequence a sliding window keeps: the tokenizer's prefix.
    pub fn head_of(&self, ids: &[u32]) -> usize {
        let prefix = self.tokenizer.prefix();
        if ids.starts_with(prefix) { prefix.len() } else { 0 }
    }
}
