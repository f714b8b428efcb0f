//! The texts that a draft holds most probable, grown level by level: of all continuations by one more
//! id the best `width` are read in one pass. Knows the draft's vocabulary and no target.

use align::{DecodeState, Vocabulary};

/// A text behind the committed one.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// Its last id.
    pub(super) id: u32,
    /// The text without that.
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
    /// Parents, in slots, of all that were read.
    parents: Vec<Option<usize>>,
    state: DecodeState,
    width: usize,
    temperature: f64,
}

/// A text that may be added.
struct Candidate {
    before: Option<usize>,
    id: u32,
    log_mass: f64,
}

impl Beams {
    /// Nothing yet, behind a text that leaves `state`. The draft's law is that of `temperature`.
    pub(super) fn new(state: DecodeState, width: usize, temperature: f64) -> Self {
        let (texts, live, parents) = (Vec::new(), Vec::new(), Vec::new());
        Self { texts, live, parents, state, width, temperature }
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
        let mut ids = vec![0; self.parents.len()];
        for text in &self.texts {
            if let Some(slot) = text.slot {
                ids[slot] = text.id;
            }
        }
        (ids, self.parents.clone())
    }

    /// Goes on by one id from each live text, whose logits are `rows` in their order, or from the
    /// beginning with one row. Gives the first of the new texts.
    pub(super) fn grow<'r>(
        &mut self,
        rows: impl Iterator<Item = &'r [f32]>,
        draftable: &[u32],
        vocabulary: &Vocabulary,
    ) -> usize {
        let roots = [None];
        let live: Vec<Option<usize>> = self.live.iter().map(|&text| Some(text)).collect();
        let from = if self.texts.is_empty() { &roots[..] } else { &live };
        let mut candidates = Vec::new();
        for (&before, row) in from.iter().zip(rows) {
            let log_mass = before.map_or(0.0, |text| self.texts[text].log_mass);
            let best = best(row, draftable, self.width, self.temperature);
            candidates.extend(best.into_iter().map(|(id, log)| Candidate {
                before,
                id,
                log_mass: log_mass + log,
            }));
        }
        candidates.sort_by(|a, b| b.log_mass.total_cmp(&a.log_mass));
        candidates.truncate(self.width);
        let first = self.texts.len();
        self.live.clear();
        for candidate in candidates {
            self.add(&candidate, vocabulary);
        }
        first
    }

    fn add(&mut self, candidate: &Candidate, vocabulary: &Vocabulary) {
        let &Candidate { before, id, log_mass } = candidate;
        let (mut bytes, mut state) = match before {
            Some(text) => (self.texts[text].bytes.clone(), self.texts[text].state),
            None => (Vec::new(), self.state),
        };
        let ended = !vocabulary.is_token(id);
        let mut slot = None;
        if !ended {
            vocabulary.advance(&mut state, id, &mut bytes);
            slot = Some(self.parents.len());
            self.parents.push(before.and_then(|text| self.texts[text].slot));
            self.live.push(self.texts.len());
        }
        self.texts.push(Text { id, before, log_mass, bytes, ended, state, slot });
    }
}

/// The `count` most probable of the ids, with the logarithms of their probabilities among them all.
fn best(logits: &[f32], ids: &[u32], count: usize, temperature: f64) -> Vec<(u32, f64)> {
    let top = ids.iter().map(|&id| logits[id as usize]).fold(f32::NEG_INFINITY, f32::max);
    let scaled = |id: u32| f64::from(logits[id as usize] - top) / temperature;
    let log_total = ids.iter().map(|&id| scaled(id).exp()).sum::<f64>().ln();
    let mut found: Vec<(u32, f32)> = ids.iter().map(|&id| (id, logits[id as usize])).collect();
    let by_logit = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if found.len() > count {
        found.select_nth_unstable_by(count, by_logit);
        found.truncate(count);
    }
    found.sort_by(by_logit);
    found.into_iter().map(|(id, _)| (id, scaled(id) - log_total)).collect()
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
        beams.live().iter().map(|&text| beams.texts()[text].id).collect()
    }

    #[test]
    fn the_best_texts_of_each_length_are_kept() {
        let vocabulary = vocabulary();
        let ids = [0, 1, 2];
        let row = |masses: [f64; 3]| masses.map(|mass| mass.ln() as f32).to_vec();
        let mut beams = Beams::new(DecodeState::default(), 2, 1.0);
        let first = row([0.6, 0.3, 0.1]);
        assert_eq!(beams.grow(std::iter::once(&first[..]), &ids, &vocabulary), 0);
        assert_eq!(live_ids(&beams), [0, 1]);
        // Behind a, then behind b: ab has 0.3, a and its end 0.24, ba 0.27.
        let rows = [row([0.1, 0.5, 0.4]), row([0.9, 0.05, 0.05])];
        assert_eq!(beams.grow(rows.iter().map(Vec::as_slice), &ids, &vocabulary), 2);
        let found: Vec<(&[u8], bool)> =
            beams.texts()[2..].iter().map(|text| (&text.bytes[..], text.ended)).collect();
        assert_eq!(found, [(&b"ab"[..], false), (&b"ba"[..], false)]);
        assert!((beams.texts()[2].log_mass - 0.3f64.ln()).abs() < 1e-6);
        assert_eq!(beams.slots(), (vec![0, 1, 1, 0], vec![None, None, Some(0), Some(1)]));
    }

    #[test]
    fn a_text_that_ends_is_not_read() {
        let mut beams = Beams::new(DecodeState::default(), 2, 1.0);
        let row: Vec<f32> = [0.2f32, 0.1, 0.7].map(f32::ln).to_vec();
        beams.grow(std::iter::once(&row[..]), &[0, 1, 2], &vocabulary());
        assert!(beams.texts()[0].ended);
        assert_eq!(live_ids(&beams), [0]);
    }
}
