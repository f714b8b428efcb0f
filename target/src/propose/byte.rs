//! Byte by byte: a law over the target's own tokens from what the draft says of the bytes that come. The
//! law is cut off where reading on costs more than it tells, and made whole again by its own mass; what is
//! proposed is drawn from exactly that law, and that law is handed over, so that cutting costs acceptance
//! and never the target's law (the law of the longest match: Phan et al., 2410.09303).
//!
//! `slrs` is the same without any cut, the string-level rejection of Timor et al., 2502.05202, where a
//! proposal is the longest match; it proposes as far as that takes no more than 512 readings of the draft,
//! and gives up where not even the first token's law can be had for that.

use std::cell::RefCell;

use align::{ByteTrie, Context, DecodeState};
use draft::{Law, Purpose};

use super::drafter::Drafter;
use super::stream::{Bytes, Steps, Stream};
use super::{Proposer, Round, Settings};
use crate::error::SpeculateError;
use crate::proposal::Proposal;
use crate::round::{Clock, Phase, Tally};
use crate::side::Side;

/// Mass below which a text is left out of a law that is cut off.
const FLOOR: f64 = 1e-6;

/// Texts that are kept behind a drawn token.
const KEPT: usize = 512;

/// Texts that an uncut law may read.
const READINGS: usize = 512;

/// How far the draft reads on for one law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The best texts once.
    Once,
    /// All that could change the law.
    Whole,
}

/// A draft that proposes target tokens by their bytes.
pub struct Byte {
    drafter: Drafter,
    draftable: Vec<u32>,
    trie: ByteTrie,
    steps: RefCell<Steps>,
    reach: Reach,
    settings: Settings,
}

impl Byte {
    /// The method with a law that is cut off.
    pub fn new(draft: Side, target: &Side, settings: Settings) -> Self {
        Self::reaching(Reach::Once, draft, target, settings)
    }

    /// The method with the whole law.
    pub fn whole(draft: Side, target: &Side, settings: Settings) -> Self {
        Self::reaching(Reach::Whole, draft, target, settings)
    }

    fn reaching(reach: Reach, draft: Side, target: &Side, settings: Settings) -> Self {
        let rows = target.session.model().rows();
        let tokens = target.tokenizer.vocabulary().clean_tokens().iter();
        let tokens = tokens.map(|(bytes, id)| (&**bytes, *id));
        let trie = ByteTrie::new(tokens.filter(|&(_, id)| (id as usize) < rows));
        let draftable = draft.draftable();
        let steps = RefCell::default();
        Self { drafter: Drafter::new(draft), draftable, trie, steps, reach, settings }
    }

    /// The draft's probabilities of the ids that it may draft; at temperature 0 those of its own law.
    fn probabilities(&self, logits: &[f32]) -> Vec<(u32, f64)> {
        let temperature = self.settings.temperature;
        let scale = if temperature > 0.0 { 1.0 / temperature } else { 1.0 };
        let ids = self.draftable.iter().copied();
        let top = ids.clone().map(|id| logits[id as usize]).fold(f32::NEG_INFINITY, f32::max);
        let weight = |id: u32| (f64::from(logits[id as usize] - top) * scale).exp();
        let mut law: Vec<(u32, f64)> = ids.map(|id| (id, weight(id))).collect();
        let total: f64 = law.iter().map(|(_, weight)| weight).sum();
        for (_, weight) in &mut law {
            *weight /= total;
        }
        law
    }

    fn begin_stream(&self, state: DecodeState, round: &Round<'_>) -> Stream {
        let floor = if self.reach == Reach::Whole { 0.0 } else { FLOOR };
        let law = self.probabilities(self.drafter.logits());
        Stream::new(state, &law, floor, &self.bytes(round))
    }

    fn bytes<'a>(&'a self, round: &Round<'_>) -> Bytes<'a> {
        let draft = self.drafter.side.tokenizer.vocabulary();
        let end = round.target.eos.first().copied();
        Bytes { draft, trie: &self.trie, end, steps: &self.steps }
    }

    /// Reads on for the law of the next token. Gives whether the law is as whole as it is to be.
    fn read_on(
        &mut self,
        stream: &mut Stream,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<bool, SpeculateError> {
        loop {
            clock.enter(Phase::Align);
            let wanted = stream.wanted(self.settings.size.beam);
            if wanted.is_empty() {
                return Ok(true);
            }
            let (mut ids, mut parents) = stream.slots();
            if self.reach == Reach::Whole && ids.len() >= self.readings() {
                return Ok(false);
            }
            ids.extend(wanted.iter().map(|text| text.id));
            parents.extend(wanted.iter().map(|text| text.before));
            clock.enter(Phase::Draft);
            let logits = self.drafter.read_tree((ids, parents), wanted.len())?;
            self.drafter.count_drafted(wanted.len());
            clock.enter(Phase::Align);
            for (text, row) in wanted.into_iter().zip(logits.iter()) {
                let law = self.probabilities(row);
                stream.expand(text, &law, &self.bytes(round));
            }
            if self.reach == Reach::Once {
                return Ok(true);
            }
        }
    }

    /// Texts that a round may read.
    fn readings(&self) -> usize {
        READINGS.min(self.drafter.side.session.model().context() / 2)
    }

    /// Tokens in a row that a round has room for.
    fn steps(&self, round: &Round<'_>) -> usize {
        match self.reach {
            Reach::Once => round.budget.min(self.readings() / self.settings.size.beam).max(1),
            Reach::Whole => round.budget,
        }
    }
}

/// The most probable token, the smaller id among equals.
fn most_probable(law: &Law) -> Law {
    let by_mass = |a: &(u32, f64), b: &(u32, f64)| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0));
    law.entries().max_by(by_mass).map_or_else(|| law.clone(), |(token, _)| Law::Point(token))
}

impl Proposer for Byte {
    fn name(&self) -> &'static str {
        match self.reach {
            Reach::Once => "byte",
            Reach::Whole => "slrs",
        }
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
        let (steps, room) = (self.steps(round), self.settings.room(round));
        let slots = match self.reach {
            Reach::Once => steps * self.settings.size.beam,
            Reach::Whole => self.readings() + self.settings.size.beam,
        };
        let state = self.drafter.catch_up(clock)?;
        self.drafter.read(slots, clock)?;
        self.drafter.count_drafted(1);
        clock.enter(Phase::Align);
        let mut stream = self.begin_stream(state, round);
        let (mut proposal, mut at) = (Proposal::default(), None);
        for step in 0..steps {
            // How long a proposal is hangs on the tokens before, whose laws are known: that is lossless.
            if !self.read_on(&mut stream, round, clock)? {
                if step == 0 {
                    return Err(SpeculateError::TooManyTexts { readings: self.readings() });
                }
                break;
            }
            let Some(law) = stream.law(&self.bytes(round)) else { break };
            let law = if self.settings.temperature > 0.0 { law } else { most_probable(&law) };
            let key = round.randomness.key(round.position + step, Purpose::Draft(round.position));
            let left = room - proposal.len();
            let main = self.settings.siblings.place(&mut proposal, (at, left), law, key);
            let token = proposal.nodes()[main].token;
            at = Some(main);
            if step + 1 == steps || proposal.len() >= room || round.ends_with(token) {
                break;
            }
            stream.advance(token, KEPT, &self.bytes(round));
        }
        Ok(proposal)
    }

    fn count(&self, tally: &mut Tally) {
        self.drafter.count(tally);
    }
}
