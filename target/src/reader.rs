//! What a target reads and writes text with, without its model: all that a draft may know of it, and all
//! that is needed where the target is a text that it once wrote.

use align::Tokenizer;

use crate::side::Side;

/// A target's vocabulary and its limits.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The tokenizer, padded to the model's rows.
    pub tokenizer: &'a Tokenizer,
    /// Ids that end a text. The first stands for "end of text" in the other vocabulary.
    pub eos: &'a [u32],
    /// Ids that the model has logits for.
    pub rows: usize,
    /// Ids that the model can read.
    pub context: usize,
}

impl Reader<'_> {
    /// Whether `id` ends a text.
    pub fn is_end(&self, id: u32) -> bool {
        self.eos.contains(&id)
    }
}

impl<'a> From<&'a Side> for Reader<'a> {
    fn from(side: &'a Side) -> Self {
        side.reader()
    }
}
