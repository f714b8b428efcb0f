//! One vocabulary on both sides: the draft draws target tokens directly, and hands over the law it
//! drew them from (Leviathan et al., 2211.17192).

use align::Context;
use draft::{Law, Purpose};

use super::{Proposer, Round};
use crate::error::SpeculateError;
use crate::proposal::{Origin, Proposal};
use crate::round::{Clock, Phase, Tally};
use crate::side::Side;

/// A draft with the target's own vocabulary.
pub struct Identity {
    draft: Side,
    temperature: f64,
    ids: Vec<u32>,
    /// Ids that may be proposed.
    allowed: Vec<u32>,
    drafted: u64,
}

impl Identity {
    /// Fails where the vocabularies differ.
    pub fn new(draft: Side, target: &Side, temperature: f64) -> Result<Self, SpeculateError> {
        if !draft.tokenizer.vocabulary().same_as(target.tokenizer.vocabulary()) {
            return Err(SpeculateError::VocabulariesDiffer);
        }
        let rows = target.session.model().rows();
        let allowed = draft.used().into_iter().filter(|&id| (id as usize) < rows).collect();
        Ok(Self { draft, temperature, ids: Vec::new(), allowed, drafted: 0 })
    }
}

/// The law of the draft over the `allowed` ids, which are ascending, as `(name, logit index)`.
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
        clock.enter(Phase::Draft);
        self.draft.session.reset();
        self.drafted = 0;
        self.ids = prompt.ids().to_vec();
        Ok(())
    }

    fn commit(
        &mut self,
        tokens: &[u32],
        _bytes: &[u8],
        _clock: &mut Clock,
    ) -> Result<(), SpeculateError> {
        self.ids.extend_from_slice(tokens);
        Ok(())
    }

    fn propose(
        &mut self,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<Proposal, SpeculateError> {
        clock.enter(Phase::Draft);
        let head = self.draft.head_of(&self.ids);
        let mut logits = self.draft.session.advance_window(&self.ids, head, round.budget)?;
        let mut proposal = Proposal::default();
        for step in 0..round.budget {
            let names = self.allowed.iter().map(|&id| (id, id));
            let Some(law) = draft_law(logits, names, self.temperature) else { break };
            let key = round.randomness.key(round.position + step, Purpose::Draft(round.position));
            let token = law.draw(key);
            proposal.append(token, Origin::Sampled(law));
            self.drafted += 1;
            if step + 1 == round.budget || (round.target.is_end(token) && !round.ignore_eos) {
                break;
            }
            logits = self.draft.session.push(token)?;
        }
        Ok(proposal)
    }

    fn count(&self, tally: &mut Tally) {
        tally.draft_model_tokens += self.drafted;
        tally.draft_window_slides += self.draft.session.slides();
    }
}
