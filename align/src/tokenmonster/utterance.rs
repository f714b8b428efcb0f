//! Ids to text, all at once: what each id adds to a text is put down beforehand.
//!
//! Knows what `decode` makes of a token behind nothing that waits, and behind a delete marker. Any
//! other state, and a token that leaves part of a character behind, is left to `decode` itself.
//!
//! It trades memory for speed, the bytes of all tokens once more, and copies 16 bytes for every id
//! whatever its length, because a copy of a length that is not known beforehand takes longer.

use super::decode::{DEL, DecodeState, advance, flush};
use super::format::Vocab;

/// Bytes that are copied at once.
const PIECE: usize = 16;
/// How much room is made at a time.
const ROOM: usize = 4096;

/// What an id adds to a text.
#[derive(Clone, Copy, Debug)]
struct Utterance {
    /// Where its bytes begin among all.
    start: u32,
    len: u8,
    /// The flags that it leaves.
    after: u8,
    /// Whether this is all so where no flag is set.
    is_plain: bool,
    /// Whether it is so, but for the first byte, where the next scalar is deleted.
    is_cut: bool,
}

/// What each id adds to a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Utterances {
    by_id: Vec<Utterance>,
    bytes: Vec<u8>,
}

impl Utterances {
    pub(super) fn new(vocab: &Vocab) -> Self {
        let mut utterances = Self::default();
        for id in 0..vocab.id_space {
            let utterance = utterances.of(vocab, vocab.token(id).unwrap_or_default());
            utterances.by_id.push(utterance);
        }
        utterances.bytes.resize(utterances.bytes.len() + PIECE + 1, 0);
        utterances
    }

    fn of(&mut self, vocab: &Vocab, token: &[u8]) -> Utterance {
        let start = self.bytes.len();
        let mut state = DecodeState::default();
        advance(vocab.capcode, &mut state, token, &mut self.bytes);
        let mut cut_state = DecodeState::of_flags(DEL);
        let mut cut = Vec::new();
        advance(vocab.capcode, &mut cut_state, token, &mut cut);
        let text = &self.bytes[start..];
        Utterance {
            start: start as u32,
            len: text.len() as u8,
            after: state.flags().unwrap_or_default(),
            is_plain: state.flags().is_some() && u8::try_from(text.len()).is_ok(),
            is_cut: cut_state == state && text.get(1..) == Some(&cut),
        }
    }
}

impl Vocab {
    /// The text of `ids`; ids without a token add nothing.
    pub fn decode(&self, ids: &[u32]) -> Vec<u8> {
        let Utterances { by_id, bytes } = &self.utterances;
        let mut out = Vec::with_capacity(ids.len() * 5 + ROOM);
        // How much of `out` is text.
        let mut end = 0;
        let mut state = DecodeState::default();
        let mut slow = Vec::new();
        for &id in ids {
            let Some(utterance) = by_id.get(id as usize) else { continue };
            let cut = match state.flags() {
                Some(0) if utterance.is_plain => 0,
                Some(DEL) if utterance.is_plain && utterance.is_cut => 1,
                _ => {
                    slow.clear();
                    advance(
                        self.capcode,
                        &mut state,
                        self.token(id).unwrap_or_default(),
                        &mut slow,
                    );
                    if out.len() < end + slow.len() {
                        out.resize(end + ROOM, 0);
                    }
                    out[end..end + slow.len()].copy_from_slice(&slow);
                    end += slow.len();
                    continue;
                }
            };
            let start = utterance.start as usize + cut;
            let len = usize::from(utterance.len) - cut;
            if out.len() < end + PIECE.max(len) {
                out.resize(end + ROOM, 0);
            }
            out[end..end + PIECE].copy_from_slice(&bytes[start..start + PIECE]);
            if len > PIECE {
                out[end..end + len].copy_from_slice(&bytes[start..start + len]);
            }
            end += len;
            state = DecodeState::of_flags(utterance.after);
        }
        out.truncate(end);
        flush(self.capcode, &mut state, &mut out);
        out
    }
}
