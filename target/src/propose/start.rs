//! Where drafting begins: behind the committed text, whose last ids may be read again, so that a token which
//! begins among them and goes on behind them counts as well. Knows ids, bytes and probabilities; no model.

use align::{DecodeState, Vocabulary};

/// The end of the committed text, and the draft's laws there.
pub(super) struct Start {
    /// What the ids before those that are read again leave the decoder in.
    pub(super) state: DecodeState,
    /// The ids that are read again; may be none.
    pub(super) ids: Vec<u32>,
    /// The laws before each of them and behind the last: one more than ids.
    pub(super) laws: Vec<Vec<(u32, f64)>>,
}

/// A place that texts go on from: before one of the ids that are read again, or behind the last.
pub(super) struct Step<'a> {
    /// The id before it, as an index into those that are read again.
    pub(super) before: Option<usize>,
    pub(super) state: DecodeState,
    /// How probable it is that the text comes so far, where the text as it is read today has mass 1, however
    /// improbable the draft holds it.
    pub(super) mass: f64,
    pub(super) law: &'a [(u32, f64)],
    /// The id that the text goes on with itself; `None` behind its end.
    pub(super) known: Option<u32>,
    /// The bytes that are left of the text.
    pub(super) left: Vec<u8>,
}

impl Start {
    /// All places, from the first id that is read again on.
    pub(super) fn steps(&self, vocabulary: &Vocabulary) -> Vec<Step<'_>> {
        let Self { mut state, ref ids, ref laws } = *self;
        let (mut tail, mut ends, mut states) = (Vec::new(), vec![0], vec![state]);
        for &id in ids {
            vocabulary.advance(&mut state, id, &mut tail);
            ends.push(tail.len());
            states.push(state);
        }
        let mut mass = ids.iter().zip(laws).fold(1.0, |mass, (&id, law)| mass / chance(law, id));
        let mut steps = Vec::with_capacity(laws.len());
        for (index, law) in laws.iter().enumerate() {
            let before = index.checked_sub(1);
            if let Some(last) = before {
                mass *= chance(&laws[last], ids[last]);
            }
            let (known, left) = (ids.get(index).copied(), tail[ends[index]..].to_vec());
            steps.push(Step { before, state: states[index], mass, law, known, left });
        }
        steps
    }
}

impl Step<'_> {
    /// Of an id's bytes, those behind the end of the text. `None` where it does not agree with what is left
    /// of the text, is what the text goes on with itself, or ends within it: how probable it is that the
    /// rest follows is not known then, and it is less probable the more ids it takes.
    pub(super) fn beyond<'b>(&self, id: u32, own: &'b [u8]) -> Option<&'b [u8]> {
        let beyond = own.strip_prefix(&self.left[..])?;
        (Some(id) != self.known).then_some(beyond)
    }
}

/// The probability of an id, never 0.
fn chance(law: &[(u32, f64)], id: u32) -> f64 {
    let found = law.iter().find(|(own, _)| *own == id);
    found.map_or(0.0, |(_, mass)| *mass).max(1e-12)
}
