//! A draft that follows the committed text: its context, its cache, and its counts of a prompt.
//! What every method with a draft model has in common; it chooses no candidates.

use align::{Context, DecodeState, Vocabulary};
use draft::language_model::Ahead;
use draft::{Key, Logits, Purpose};

use super::Round;
use super::likely::Likely;
use super::start::Start;
use crate::error::SpeculateError;
use crate::round::{Clock, Phase, Tally};
use crate::side::Side;

/// Ids at the end of the committed text that methods which think in bytes read again: a token of the draft
/// that the target's next tokens finish may have begun there.
pub(super) const AGAIN: usize = 2;

/// A draft with the text that it has been told of.
pub(super) struct Drafter {
    pub(super) side: Side,
    context: Context,
    /// Committed bytes that the context does not have yet: where nothing is asked, nothing is read.
    unread: Vec<u8>,
    drafted: u64,
    passes: u64,
    grown: Option<Grown>,
    /// How many of the context's last ids are part of the tree that is read.
    again: usize,
}

/// A tree of ids that is in the cache.
struct Grown {
    /// The ids of the text that it hangs behind.
    context: Vec<u32>,
    /// Ids in the cache before it.
    base: usize,
    ids: Vec<u32>,
    parents: Vec<Option<usize>>,
}

impl Grown {
    /// The nodes that the text has run through since.
    fn path(&self, ids: &[u32]) -> Vec<usize> {
        let Some(fresh) = ids.strip_prefix(&self.context[..]) else { return Vec::new() };
        let (mut path, mut at) = (Vec::new(), None);
        for id in fresh {
            let child =
                (0..self.ids.len()).find(|&node| self.parents[node] == at && self.ids[node] == *id);
            let Some(node) = child else { break };
            path.push(node);
            at = Some(node);
        }
        path
    }
}

impl Drafter {
    pub(super) fn new(side: Side) -> Self {
        let (context, unread) = (Context::default(), Vec::new());
        Self { side, context, unread, drafted: 0, passes: 0, grown: None, again: 0 }
    }

    pub(super) fn begin(&mut self, prompt: &Context, clock: &mut Clock) {
        clock.enter(Phase::Draft);
        self.side.session.reset();
        (self.drafted, self.passes, self.grown) = (0, 0, None);
        self.context = prompt.clone();
        self.unread.clear();
    }

    /// Takes in committed bytes.
    pub(super) fn commit(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Brings the context to the committed text: the text is the truth, and the ids are what it reads as.
    /// Gives the decoder state behind it.
    pub(super) fn catch_up(&mut self, clock: &mut Clock) -> Result<DecodeState, SpeculateError> {
        clock.enter(Phase::Align);
        if !self.unread.is_empty() {
            self.context.commit(&self.side.tokenizer, &std::mem::take(&mut self.unread))?;
        }
        Ok(self.state())
    }

    /// Takes in ids of the draft's own vocabulary.
    pub(super) fn commit_ids(&mut self, ids: &[u32]) {
        let mut state = self.state();
        for &id in ids {
            self.context.push(&self.side.tokenizer, &mut state, id);
        }
    }

    /// The decoder state behind the context.
    fn state(&self) -> DecodeState {
        self.side.tokenizer.vocabulary().state_after(self.context.ids())
    }

    /// Brings the cache to the text, with room for `room` more ids.
    pub(super) fn read(&mut self, room: usize, clock: &mut Clock) -> Result<(), SpeculateError> {
        let head = self.prepare(0, clock);
        self.side.session.advance_window(self.context.ids(), head, room)?;
        Ok(())
    }

    /// As [`Self::read`], for a round that draws its candidates in a row, from ids given as `(name,
    /// id)`: where the model can, it draws them all at once, and [`Self::push`] of each costs nothing.
    pub(super) fn read_ahead(
        &mut self,
        round: &Round<'_>,
        temperature: f64,
        allowed: impl Iterator<Item = (u32, u32)>,
        clock: &mut Clock,
    ) -> Result<(), SpeculateError> {
        if !self.side.session.model().can_draft() {
            return self.read(round.budget, clock);
        }
        let mut names = vec![None; self.side.session.model().rows()];
        for (name, id) in allowed {
            names[id as usize] = Some(name);
        }
        let start = round.position;
        let key = |step| round.randomness.key(start + step, Purpose::Draft(start));
        let keys: Vec<Key> = (0..round.budget).map(key).collect();
        let ahead = Ahead { ids: &[], keys: &keys, temperature, names: Some(&names) };
        let head = self.prepare(0, clock);
        let ids = self.context.ids();
        self.side.session.advance_window_ahead(ids, head, round.budget, ahead)?;
        Ok(())
    }

    /// As [`Self::read`], for a tree of texts that begins with the last ids of the text, `most` at most, with the
    /// draft's laws there: what has more than `floor` of the mass.
    pub(super) fn begin_tree(
        &mut self,
        most: usize,
        room: usize,
        (likely, floor): (&Likely, f64),
        clock: &mut Clock,
    ) -> Result<Start, SpeculateError> {
        let again = self.rereadable(most);
        let head = self.prepare(again, clock);
        let (ids, session) = (self.context.ids(), &mut self.side.session);
        let logits = session.advance_window_all(ids, head, room + again, again + 1)?;
        let (before, last) = ids.split_at(ids.len() - again);
        let state = self.side.tokenizer.vocabulary().state_after(before);
        let laws = likely.laws(&logits, last, floor);
        Ok(Start { state, ids: last.to_vec(), laws })
    }

    /// Keeps what the cache has of the text; gives how many of its ids a sliding window keeps.
    fn prepare(&mut self, again: usize, clock: &mut Clock) -> usize {
        clock.enter(Phase::Draft);
        if let Some(grown) = self.grown.take() {
            let path = grown.path(self.context.ids());
            self.side.session.keep_path(grown.base, &path);
        }
        self.passes += 1;
        self.again = again;
        self.side.head_of(self.context.ids())
    }

    /// How many of the text's last ids may be read again, `most` at most: none of those before the text,
    /// and only ids that spell what the text ends in.
    fn rereadable(&self, most: usize) -> usize {
        let (ids, vocabulary) = (self.context.ids(), self.side.tokenizer.vocabulary());
        let free = ids.len() - self.context.frozen().max(1).min(ids.len());
        (0..=most.min(free)).rev().find(|&count| self.tail_agrees(count, vocabulary)).unwrap_or(0)
    }

    fn tail_agrees(&self, count: usize, vocabulary: &Vocabulary) -> bool {
        let (before, last) = self.context.ids().split_at(self.context.ids().len() - count);
        let (mut state, mut bytes) = (vocabulary.state_after(before), Vec::new());
        for &id in last {
            if !vocabulary.is_token(id) {
                return false;
            }
            vocabulary.advance(&mut state, id, &mut bytes);
        }
        self.context.text().ends_with(&bytes)
    }

    /// Logits behind what has been read.
    pub(super) fn logits(&self) -> &[f32] {
        self.side.session.last_logits()
    }

    /// Reads the last `fresh` texts of a tree of ids, those before them being read, and gives the logits
    /// behind each of them.
    pub(super) fn read_tree(
        &mut self,
        (ids, parents): (Vec<u32>, Vec<Option<usize>>),
        fresh: usize,
    ) -> Result<Logits, SpeculateError> {
        let known = ids.len() - fresh;
        let session = &mut self.side.session;
        let base = session.ids().len() - known;
        let logits = session.read_tree(base, &ids[known..], &parents)?;
        self.passes += 1;
        let context = self.context.ids()[..self.context.ids().len() - self.again].to_vec();
        self.grown = Some(Grown { context, base, ids, parents });
        Ok(logits)
    }

    /// Counts ids that the draft chose.
    pub(super) fn count_drafted(&mut self, ids: usize) {
        self.drafted += ids as u64;
    }

    /// Reads an id that the draft chose.
    pub(super) fn push(&mut self, id: u32) -> Result<(), SpeculateError> {
        self.side.session.push(id)?;
        self.passes += 1;
        Ok(())
    }

    pub(super) fn count(&self, tally: &mut Tally) {
        tally.draft_model_tokens += self.drafted;
        tally.draft_model_passes += self.passes;
        tally.draft_window_slides += self.side.session.slides();
    }
}
