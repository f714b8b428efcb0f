//! The texts that a draft holds most probable, grown level by level: of all continuations by one more
//! id the best `width` are read in one pass. Knows the draft's vocabulary and no target.

use align::{DecodeState, Vocabulary};

use super::start::Start;

/// A text behind the committed one.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// The text without its last id.
    pub(super) before: Option<usize>,
    /// Its probability under the draft, as a logarithm.
    pub(super) log_mass: f64,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Whether it ends there.
    pub(super) ended: bool,
    state: DecodeState,
    /// Its place among those that were read.
    slot: Option<usize>,
}

/// All texts so far, shorter ones first.
#[derive(Debug)]
pub(super) struct Beams {
    texts: Vec<Text>,
    /// The texts that go on, in the order in which they are read.
    live: Vec<usize>,
    /// Ids and parents, in slots, of all that were read; first come the committed ids that are read again.
    slots: Vec<(u32, Option<usize>)>,
    width: usize,
}

/// A text that may be added.
struct Candidate {
    /// The text without its last id, its slot, and what it leaves the decoder in.
    before: Option<usize>,
    slot: Option<usize>,
    state: DecodeState,
    id: u32,
    log_mass: f64,
    /// How many bytes of the id are committed already.
    committed: usize,
}

impl Beams {
    /// The texts of one id behind the committed text, among them those that begin within its end.
    pub(super) fn begin(start: &Start, width: usize, vocabulary: &Vocabulary) -> Self {
        let slots = start.ids.iter().enumerate().map(|(slot, &id)| (id, slot.checked_sub(1)));
        let slots = slots.collect();
        let mut candidates = Vec::new();
        for step in start.steps(vocabulary) {
            let of = |&(id, share): &(u32, f64)| Candidate {
                before: None,
                slot: step.before,
                state: step.state,
                id,
                log_mass: (step.mass * share).ln(),
                committed: step.left.len(),
            };
            let goes_on = |id| {
                let own = || vocabulary.bytes_after(step.state, id);
                step.known.is_none()
                    || own().is_some_and(|(own, _)| step.beyond(id, &own).is_some())
            };
            candidates.extend(step.law.iter().filter(|(id, _)| goes_on(*id)).map(of));
        }
        let total: f64 = candidates.iter().map(|candidate| candidate.log_mass.exp()).sum();
        for candidate in &mut candidates {
            candidate.log_mass -= total.ln();
        }
        let mut beams = Self { texts: Vec::new(), live: Vec::new(), slots, width };
        beams.add_best(candidates, vocabulary);
        beams
    }

    /// All texts.
    pub(super) fn texts(&self) -> &[Text] {
        &self.texts
    }

    /// The texts that go on, as indices.
    pub(super) fn live(&self) -> &[usize] {
        &self.live
    }

    /// The largest probability of a text that goes on, as a logarithm.
    pub(super) fn likeliest(&self) -> f64 {
        let masses = self.live.iter().map(|&text| self.texts[text].log_mass);
        masses.fold(f64::NEG_INFINITY, f64::max)
    }

    /// Ids and parents, in slots, of all that has been read or is to be read next.
    pub(super) fn slots(&self) -> (Vec<u32>, Vec<Option<usize>>) {
        self.slots.iter().copied().unzip()
    }

    /// Goes on by one id from each live text, by the laws behind them in their order. Gives the first of
    /// the new texts.
    pub(super) fn grow(&mut self, laws: &[Vec<(u32, f64)>], vocabulary: &Vocabulary) -> usize {
        let mut candidates = Vec::new();
        for (&before, law) in self.live.iter().zip(laws) {
            let Text { slot, state, log_mass, .. } = self.texts[before];
            candidates.extend(law.iter().map(|&(id, share)| Candidate {
                before: Some(before),
                slot,
                state,
                id,
                log_mass: log_mass + share.ln(),
                committed: 0,
            }));
        }
        let first = self.texts.len();
        self.add_best(candidates, vocabulary);
        first
    }

    /// Lets the best of some texts live.
    fn add_best(&mut self, mut candidates: Vec<Candidate>, vocabulary: &Vocabulary) {
        let by_mass = |a: &Candidate, b: &Candidate| b.log_mass.total_cmp(&a.log_mass);
        candidates.sort_by(by_mass);
        candidates.truncate(self.width);
        self.live.clear();
        for candidate in candidates {
            self.add(&candidate, vocabulary);
        }
    }

    fn add(&mut self, candidate: &Candidate, vocabulary: &Vocabulary) {
        let &Candidate { before, slot, mut state, id, log_mass, committed } = candidate;
        let mut bytes = before.map_or_else(Vec::new, |text| self.texts[text].bytes.clone());
        let ended = !vocabulary.is_token(id);
        let mut own = None;
        if !ended {
            vocabulary.advance(&mut state, id, &mut bytes);
            bytes.drain(..committed);
            own = Some(self.slots.len());
            self.slots.push((id, slot));
            self.live.push(self.texts.len());
        }
        self.texts.push(Text { before, log_mass, bytes, ended, state, slot: own });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use align::Entry;

    fn vocabulary() -> Vocabulary {
        let token = |byte: u8| Entry::Token(Box::from([byte]));
        Vocabulary::plain(vec![token(b'a'), token(b'b'), Entry::Special("</s>".into())])
    }

    fn live_ids(beams: &Beams) -> Vec<u32> {
        let slots = beams.live().iter().map(|&text| beams.texts()[text].slot.unwrap());
        slots.map(|slot| beams.slots[slot].0).collect()
    }

    fn law(masses: [f64; 3]) -> Vec<(u32, f64)> {
        masses.into_iter().zip(0..).map(|(mass, id)| (id, mass)).collect()
    }

    fn begin(laws: &[Vec<(u32, f64)>], ids: &[u32], vocabulary: &Vocabulary) -> Beams {
        let (ids, laws) = (ids.to_vec(), laws.to_vec());
        Beams::begin(&Start { state: DecodeState::default(), ids, laws }, 2, vocabulary)
    }

    #[test]
    fn the_best_texts_of_each_length_are_kept() {
        let vocabulary = vocabulary();
        let mut beams = begin(&[law([0.6, 0.3, 0.1])], &[], &vocabulary);
        assert_eq!(live_ids(&beams), [0, 1]);
        // Behind a, then behind b: ab has 0.3, a and its end 0.24, ba 0.27.
        let laws = [law([0.1, 0.5, 0.4]), law([0.9, 0.05, 0.05])];
        assert_eq!(beams.grow(&laws, &vocabulary), 2);
        let found: Vec<(&[u8], bool)> =
            beams.texts()[2..].iter().map(|text| (&text.bytes[..], text.ended)).collect();
        assert_eq!(found, [(&b"ab"[..], false), (&b"ba"[..], false)]);
        assert!((beams.texts()[2].log_mass - 0.3f64.ln()).abs() < 1e-6);
        assert_eq!(beams.slots(), (vec![0, 1, 1, 0], vec![None, None, Some(0), Some(1)]));
    }

    #[test]
    fn a_text_that_ends_is_not_read() {
        let beams = begin(&[law([0.2, 0.1, 0.7])], &[], &vocabulary());
        assert!(beams.texts()[0].ended);
        assert_eq!(live_ids(&beams), [0]);
    }

    /// Behind a committed `a` that is read again, `ab` is a text as well, whose new bytes are `b`.
    #[test]
    fn a_token_that_begins_in_the_committed_text_is_a_text() {
        let token = |text: &str| Entry::Token(text.as_bytes().into());
        let vocabulary = Vocabulary::plain(vec![token("a"), token("b"), token("ab")]);
        let beams = begin(&[law([0.2, 0.5, 0.3]), law([0.75, 0.25, 0.0])], &[0], &vocabulary);
        assert_eq!(live_ids(&beams), [2, 0]);
        let (a, b, ab) = (0.2 * 0.75, 0.2 * 0.25, 0.3f64);
        let text = &beams.texts()[0];
        assert_eq!((&text.bytes[..], text.before), (&b"b"[..], None));
        assert!((text.log_mass - (ab / (a + b + ab)).ln()).abs() < 1e-12);
        assert_eq!(beams.slots(), (vec![0, 2, 0], vec![None, None, Some(0)]));
    }
}
