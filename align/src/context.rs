//! One side's view of the text that has been committed: its raw bytes, the ids that this side reads
//! them as, and the offset at which each id's span ends. Knows one tokenizer; the other side's ids
//! never come here, only bytes do.

use crate::error::AlignError;
use crate::tokenizer::{Encoding, Tokenizer};
use crate::vocabulary::DecodeState;

/// How many bytes before the end of the old text a resynchronisation re-reads at least.
const LOOK_BACK: usize = 64;

/// Text and ids of one side.
///
/// The frozen part (BOS, or a whole rendered chat prompt) is never encoded again. What follows is
/// text: it is encoded anew from a safe place whenever bytes are committed, and the ids before that
/// place are kept, found by byte offset.
#[derive(Clone, Debug, Default)]
pub struct Context {
    frozen: usize,
    ids: Vec<u32>,
    /// For the ids after the frozen ones.
    ends: Vec<usize>,
    text: Vec<u8>,
    continues: bool,
}

impl Context {
    /// A context that begins with a raw prompt behind the tokenizer's own prefix.
    pub fn of_text(tokenizer: &Tokenizer, prompt: &[u8]) -> Result<Self, AlignError> {
        Ok(Self::of_encoding(tokenizer, prompt, tokenizer.encode(prompt)?))
    }

    /// The same, from the prompt's encoding.
    pub fn of_encoding(tokenizer: &Tokenizer, prompt: &[u8], encoding: Encoding) -> Self {
        let mut context = Self::of_ids(tokenizer.prefix().to_vec());
        context.continues = false;
        context.text = prompt.to_vec();
        context.replace_from(0, 0, encoding);
        context
    }

    /// A context that begins with ids given from outside, such as a rendered chat prompt; only what
    /// is committed later is text.
    pub fn of_ids(ids: Vec<u32>) -> Self {
        Self { frozen: ids.len(), ids, continues: true, ..Self::default() }
    }

    /// All ids, the frozen ones included.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// How many ids at the beginning stand for no text that is ever encoded again.
    pub fn frozen(&self) -> usize {
        self.frozen
    }

    /// The text behind the frozen part, prompt included.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Offset into the text at which the id at `index` begins; 0 for frozen ids.
    pub fn start_of(&self, index: usize) -> usize {
        index.checked_sub(self.frozen + 1).map_or(0, |before| self.ends[before])
    }

    /// Commits bytes and brings the ids up to date: afterwards they are those of the whole text.
    /// Gives the number of ids that stayed as they were.
    pub fn commit(&mut self, tokenizer: &Tokenizer, bytes: &[u8]) -> Result<usize, AlignError> {
        let old = self.text.len();
        self.text.extend_from_slice(bytes);
        let (from, keep) = self.restart(tokenizer, old.saturating_sub(LOOK_BACK));
        let encoding = if from == 0 && !self.continues {
            tokenizer.encode(&self.text)?
        } else {
            tokenizer.encode_continuation(&self.text[from..])?
        };
        let before = self.ids[self.frozen + keep..].to_vec();
        self.replace_from(keep, from, encoding);
        let same = before.iter().zip(&self.ids[self.frozen + keep..]).take_while(|(a, b)| a == b);
        Ok(self.frozen + keep + same.count())
    }

    /// Appends an id that this side emitted itself, with the bytes that it adds: the ids are the
    /// truth then and are not encoded anew. Gives the bytes.
    pub fn push(&mut self, tokenizer: &Tokenizer, state: &mut DecodeState, id: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        tokenizer.vocabulary().advance(state, id, &mut bytes);
        self.text.extend_from_slice(&bytes);
        self.ids.push(id);
        self.ends.push(self.text.len());
        bytes
    }

    /// Ids that the tokenizer would read next if `bytes` followed the text, and for each the offset
    /// in `bytes` at which it ends. Where the whole text has a token's end at the boundary, these
    /// are the ids that it has there; where a token would run over the boundary, the bytes are
    /// encoded by themselves, which is legal though not canonical.
    pub fn continuation(
        &self,
        tokenizer: &Tokenizer,
        bytes: &[u8],
    ) -> Result<Encoding, AlignError> {
        let boundary = self.text.len();
        let from = self.window_start(tokenizer);
        let window = [&self.text[from..], bytes].concat();
        let encoding = if from == 0 && !self.continues {
            tokenizer.encode(&window)?
        } else {
            tokenizer.encode_continuation(&window)?
        };
        let cut = boundary - from;
        let begun = self.frozen + self.ends.partition_point(|&end| end <= from && from > 0);
        let committed = &self.ids[begun..];
        let (first, aligned) = if encoding.ids.starts_with(committed) {
            (committed.len(), true)
        } else {
            let first = encoding.ends.partition_point(|&end| end <= cut);
            (first, if first == 0 { cut == 0 } else { encoding.ends[first - 1] == cut })
        };
        if !aligned {
            return tokenizer.encode_continuation(bytes);
        }
        Ok(Encoding {
            ids: encoding.ids[first..].to_vec(),
            ends: encoding.ends[first..].iter().map(|end| end - cut).collect(),
            ..Encoding::default()
        })
    }

    /// Where a window on the end of the text begins: at a safe split, or at some id's beginning
    /// where the tokenizer has none.
    fn window_start(&self, tokenizer: &Tokenizer) -> usize {
        let limit = self.text.len().saturating_sub(1);
        let safe = tokenizer.safe_split(&self.text, limit);
        if safe > 0 {
            return safe;
        }
        let before = self.ends.partition_point(|&end| end + LOOK_BACK <= self.text.len());
        before.checked_sub(1).map_or(0, |last| self.ends[last])
    }

    /// Where to encode anew from: an offset, and how many text ids end at or before it.
    fn restart(&self, tokenizer: &Tokenizer, limit: usize) -> (usize, usize) {
        let mut limit = limit;
        loop {
            let from = tokenizer.safe_split(&self.text, limit);
            if from == 0 {
                return (0, 0);
            }
            let keep = self.ends.partition_point(|&end| end <= from);
            if keep > 0 && self.ends[keep - 1] == from {
                return (from, keep);
            }
            limit = from - 1;
        }
    }

    fn replace_from(&mut self, keep: usize, offset: usize, encoding: Encoding) {
        self.ids.truncate(self.frozen + keep);
        self.ends.truncate(keep);
        self.ids.extend(encoding.ids);
        self.ends.extend(encoding.ends.into_iter().map(|end| end + offset));
    }
}
