//! String-level exact match (Timor et al., 2502.05202): the draft writes text greedily, the text is
//! encoded for the target, and the target's own draws are followed as long as they match. Needs no
//! proposal law and is lossless at every temperature.

use std::ops::Range;

use align::{Context, Encoding};

use super::drafter::Drafter;
use super::reading::{complete, read};
use super::{Proposer, Round};
use crate::error::SpeculateError;
use crate::observed::{Belief, Entropy};
use crate::proposal::Proposal;
use crate::round::{Clock, Phase, Tally};
use crate::side::Side;

/// The rule for the end of the drafted text, for reports.
pub const TAIL_POLICY: &str = "the last target token is dropped while a longer token could still \
     form (some token of the vocabulary is longer and begins with it), unless it is the only one";

/// A draft that is understood by its text.
pub struct Slem {
    drafter: Drafter,
    /// Ids that may be drafted.
    draftable: Vec<u32>,
}

/// What has been drafted in a round.
#[derive(Default)]
struct Drafted {
    bytes: Vec<u8>,
    ended: bool,
    /// Where each id begins in the bytes, and what the draft said of it.
    beliefs: Vec<(usize, Belief)>,
}

impl Drafted {
    /// What the draft said of the target token in these bytes: the probability of the ids that begin in
    /// it, and how uncertain it was at the first of them.
    fn belief(&self, span: Range<usize>) -> Belief {
        let own = |(begin, _): &&(usize, Belief)| span.contains(begin);
        let mut own = self.beliefs.iter().filter(own).map(|(_, belief)| belief);
        // What an id that begins before it has settled is certain.
        let Some(first) = own.next() else {
            return Belief { probability: 1.0, entropy: Entropy::Nats(0.0) };
        };
        let rest: f64 = own.map(|belief| belief.probability).product();
        Belief { probability: first.probability * rest, ..first.clone() }
    }
}

impl Slem {
    /// A method around a draft.
    pub fn new(draft: Side) -> Self {
        let draftable = draft.draftable();
        Self { drafter: Drafter::new(draft), draftable }
    }

    /// What the draft says of an id.
    fn belief(&self, id: u32) -> Belief {
        let logits = self.drafter.logits();
        let all = self.draftable.iter().map(|&own| logits[own as usize]);
        Belief::of_logits(all, logits[id as usize])
    }

    /// The draft's most probable id.
    fn choose(&self) -> Option<u32> {
        let logits = self.drafter.logits();
        let mut best: Option<u32> = None;
        for &id in &self.draftable {
            if best.is_none_or(|best| logits[id as usize] > logits[best as usize]) {
                best = Some(id);
            }
        }
        best
    }
}

impl Proposer for Slem {
    fn name(&self) -> &'static str {
        "slem"
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
        // A draft of single characters needs many ids for one target token.
        let context = self.drafter.side.session.model().context();
        let limit = (16 + 16 * round.budget).min(context / 4).max(1);
        let mut state = self.drafter.catch_up(clock)?;
        self.drafter.read(limit, clock)?;
        let mut drafted = Drafted::default();
        let mut encoding = Encoding::default();
        for step in 0..limit {
            let Some(id) = self.choose() else { break };
            self.drafter.count_drafted(1);
            clock.enter(Phase::Apart);
            drafted.beliefs.push((drafted.bytes.len(), self.belief(id)));
            clock.enter(Phase::Draft);
            let vocabulary = self.drafter.side.tokenizer.vocabulary();
            if !vocabulary.is_token(id) {
                drafted.ended = !round.ignore_eos;
                break;
            }
            clock.enter(Phase::Align);
            vocabulary.advance(&mut state, id, &mut drafted.bytes);
            encoding = read(round, &self.drafter.side.tokenizer, &drafted.bytes)?;
            clock.enter(Phase::Draft);
            if complete(&encoding, false, round) >= round.budget || step + 1 == limit {
                break;
            }
            self.drafter.push(id)?;
        }
        clock.enter(Phase::Align);
        let kept = complete(&encoding, drafted.ended, round).max(1);
        let mut tokens = encoding.ids.clone();
        tokens.truncate(kept);
        if drafted.ended {
            tokens.extend(round.target.eos.first());
        }
        tokens.truncate(round.budget);
        let mut proposal = Proposal::chain(tokens);
        clock.enter(Phase::Apart);
        let mut start = 0;
        for index in 0..proposal.len() {
            // An end of text has no bytes and stands behind all of them.
            let end = encoding.ends.get(index).filter(|_| index < kept);
            let end = end.copied().unwrap_or(drafted.bytes.len() + 1);
            proposal.believe(index, drafted.belief(start..end));
            start = end;
        }
        clock.enter(Phase::Align);
        Ok(proposal)
    }

    fn count(&self, tally: &mut Tally) {
        self.drafter.count(tally);
    }
}
