//! One vocabulary on both sides: the draft draws target tokens directly, and hands over the law it
//! drew them from (Leviathan et al., 2211.17192).

use align::Context;
use draft::Law;

use super::drafter::Drafter;
use super::known::Drawing;
use super::{Proposer, Round, Settings};
use crate::error::SpeculateError;
use crate::observed::Belief;
use crate::proposal::Proposal;
use crate::reader::Reader;
use crate::round::{Clock, Phase, Tally};
use crate::side::Side;

/// A draft with the target's own vocabulary.
pub struct Identity {
    drafter: Drafter,
    settings: Settings,
    /// Ids that may be proposed.
    allowed: Vec<u32>,
}

impl Identity {
    /// Fails where the vocabularies differ.
    pub fn new(
        draft: Side,
        target: Reader<'_>,
        settings: Settings,
    ) -> Result<Self, SpeculateError> {
        if !draft.tokenizer.vocabulary().same_as(target.tokenizer.vocabulary()) {
            return Err(SpeculateError::VocabulariesDiffer);
        }
        let allowed = draft.used().into_iter().filter(|&id| (id as usize) < target.rows).collect();
        Ok(Self { drafter: Drafter::new(draft), settings, allowed })
    }
}

/// The draft's law over allowed ids, given as `(name, index of the logit)` with names ascending;
/// `None` where nothing is allowed.
pub(super) fn draft_law(
    logits: &[f32],
    allowed: impl Iterator<Item = (u32, u32)>,
    temperature: f64,
) -> Option<Law> {
    if temperature == 0.0 {
        let mut best: Option<(u32, f32)> = None;
        for (name, index) in allowed {
            let logit = logits[index as usize];
            if best.is_none_or(|(_, top)| logit > top) {
                best = Some((name, logit));
            }
        }
        return best.map(|(name, _)| Law::Point(name));
    }
    let scale = 1.0 / temperature;
    let entries: Vec<(u32, f64)> =
        allowed.map(|(name, index)| (name, f64::from(logits[index as usize]) * scale)).collect();
    (!entries.is_empty()).then(|| Law::sparse(entries))
}

impl Proposer for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn begin(&mut self, prompt: &Context, clock: &mut Clock) -> Result<(), SpeculateError> {
        self.drafter.begin(prompt, clock);
        Ok(())
    }

    fn commit(
        &mut self,
        tokens: &[u32],
        _bytes: &[u8],
        _clock: &mut Clock,
    ) -> Result<(), SpeculateError> {
        self.drafter.commit_ids(tokens);
        Ok(())
    }

    fn propose(
        &mut self,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<Proposal, SpeculateError> {
        let names = self.allowed.iter().map(|&id| (id, id));
        self.drafter.read_ahead(round, self.settings.temperature, names, clock)?;
        let (mut proposal, mut at) = (Proposal::default(), None);
        let room = self.settings.room(round);
        for step in 0..round.budget {
            let names = self.allowed.iter().map(|&id| (id, id));
            let Some(law) = draft_law(self.drafter.logits(), names, self.settings.temperature)
            else {
                break;
            };
            let drawing = Drawing::of(round, step);
            let left = room - proposal.len();
            let main = self.settings.siblings.place(&mut proposal, (at, left), law, drawing);
            let token = proposal.nodes()[main].token;
            at = Some(main);
            if self.settings.temperature == 0.0 {
                clock.enter(Phase::Apart);
                let logits = self.drafter.logits();
                let all = self.allowed.iter().map(|&id| logits[id as usize]);
                proposal.believe(main, Belief::of_logits(all, logits[token as usize]));
                clock.enter(Phase::Draft);
            }
            self.drafter.count_drafted(1);
            if step + 1 == round.budget || proposal.len() >= room || round.ends_with(token) {
                break;
            }
            self.drafter.push(token)?;
        }
        Ok(proposal)
    }

    fn count(&self, tally: &mut Tally) {
        self.drafter.count(tally);
    }
}
