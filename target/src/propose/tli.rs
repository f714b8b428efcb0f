//! Token-level intersection (Timor et al., 2502.05202): the draft draws among the ids whose bytes
//! are also a target token, from its law renormalised on them. The law handed to the verifier is
//! that renormalised one, mapped to target ids, in the test and in the residual alike.

use std::collections::HashMap;
use std::rc::Rc;

use align::{Context, DecodeState, Overlap};

use super::drafter::Drafter;
use super::identity::draft_law;
use super::known::Drawing;
use super::{Proposer, Round, Settings};
use crate::error::SpeculateError;
use crate::observed::Belief;
use crate::proposal::Proposal;
use crate::reader::Reader;
use crate::round::{Clock, Phase, Tally};
use crate::side::Side;

/// Pairs `(target id, draft id)`, target ids ascending.
type TokenMap = Rc<Vec<(u32, u32)>>;

/// A draft that speaks in the tokens that both vocabularies have.
pub struct Tli {
    drafter: Drafter,
    settings: Settings,
    /// What the draft's tokens mean depends on the state that the text before them leaves.
    maps: HashMap<DecodeState, TokenMap>,
}

impl Tli {
    /// Computes the intersection in the clean state; others follow when they occur.
    pub fn new(draft: Side, target: Reader<'_>, settings: Settings) -> Self {
        let mut method = Self { drafter: Drafter::new(draft), settings, maps: HashMap::new() };
        method.map(DecodeState::default(), target);
        method
    }

    fn map(&mut self, state: DecodeState, target: Reader<'_>) -> TokenMap {
        let draft = &self.drafter.side;
        let map = self.maps.entry(state).or_insert_with(|| {
            let mut overlap =
                Overlap::after(state, draft.tokenizer.vocabulary(), target.tokenizer.vocabulary());
            if let (Some(&ours), Some(&theirs)) = (draft.eos.first(), target.eos.first()) {
                overlap = overlap.with_pair(ours, theirs);
            }
            let mut pairs: Vec<(u32, u32)> = overlap
                .pairs
                .into_iter()
                .map(|(draft_id, target_id)| (target_id, draft_id))
                .filter(|&(target_id, _)| (target_id as usize) < target.rows)
                .collect();
            pairs.sort_unstable();
            Rc::new(pairs)
        });
        Rc::clone(map)
    }
}

impl Proposer for Tli {
    fn name(&self) -> &'static str {
        "tli"
    }

    fn begin(&mut self, prompt: &Context, clock: &mut Clock) -> Result<(), SpeculateError> {
        self.drafter.begin(prompt, clock);
        Ok(())
    }

    fn commit(
        &mut self,
        _tokens: &[u32],
        bytes: &[u8],
        _clock: &mut Clock,
    ) -> Result<(), SpeculateError> {
        self.drafter.commit(bytes);
        Ok(())
    }

    fn propose(
        &mut self,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<Proposal, SpeculateError> {
        let mut state = self.drafter.catch_up(clock)?;
        let mut map = self.map(state, round.target);
        let temperature = self.settings.temperature;
        self.drafter.read_ahead(round, temperature, map.iter().copied(), clock)?;
        let (mut proposal, mut at) = (Proposal::default(), None);
        let room = self.settings.room(round);
        for step in 0..round.budget {
            let pairs = map.iter().copied();
            let Some(law) = draft_law(self.drafter.logits(), pairs, self.settings.temperature)
            else {
                break;
            };
            let drawing = Drawing::of(round, step);
            let left = room - proposal.len();
            let main = self.settings.siblings.place(&mut proposal, (at, left), law, drawing);
            let token = proposal.nodes()[main].token;
            at = Some(main);
            self.drafter.count_drafted(1);
            let pair = map.binary_search_by_key(&token, |&(target_id, _)| target_id);
            let Ok(index) = pair else { break };
            if self.settings.temperature == 0.0 {
                clock.enter(Phase::Apart);
                let logit = |&(_, id): &(u32, u32)| self.drafter.logits()[id as usize];
                let belief = Belief::of_logits(map.iter().map(logit), logit(&map[index]));
                proposal.believe(main, belief);
                clock.enter(Phase::Draft);
            }
            if round.ends_with(token) {
                break;
            }
            if step + 1 == round.budget || proposal.len() >= room {
                break;
            }
            let (_, draft_id) = map[index];
            let before = state;
            let vocabulary = self.drafter.side.tokenizer.vocabulary();
            vocabulary.advance(&mut state, draft_id, &mut Vec::new());
            if state != before {
                map = self.map(state, round.target);
            }
            self.drafter.push(draft_id)?;
        }
        Ok(proposal)
    }

    fn count(&self, tally: &mut Tally) {
        self.drafter.count(tally);
    }
}
