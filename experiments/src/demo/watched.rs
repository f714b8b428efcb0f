//! Speculative decoding as it is seen round by round: what was proposed, which of it was accepted, what the
//! target said instead, and where the tokens of both vocabularies end in the text so far. It looks on from
//! the verifier's place and changes nothing.

use std::cell::RefCell;

use align::{DecodeState, Entry, Tokenizer, Vocabulary};
use draft::Randomness;
use serde::Serialize;
use target::{Laws, Proposal, SpeculateError, Verdict, Verifier};

use super::split::{pieces, shown};
use crate::bench::figures::Estimate;
use crate::statistics::clopper_pearson;

/// Who hears of a decision.
pub(super) type Hear<'a> =
    dyn FnMut(&Proposal, &dyn Laws, &Verdict, usize) -> Result<(), SpeculateError> + 'a;

/// A verifier whose decisions are heard; an error there ends the generation.
pub(super) struct Watched<'a, 'b> {
    own: &'a dyn Verifier,
    hear: RefCell<&'a mut Hear<'b>>,
}

impl<'a, 'b> Watched<'a, 'b> {
    pub(super) fn new(own: &'a dyn Verifier, hear: &'a mut Hear<'b>) -> Self {
        Self { own, hear: RefCell::new(hear) }
    }
}

impl Verifier for Watched<'_, '_> {
    fn verify(
        &self,
        proposal: &Proposal,
        laws: &dyn Laws,
        randomness: Randomness,
        position: usize,
    ) -> Result<Verdict, SpeculateError> {
        let verdict = self.own.verify(proposal, laws, randomness, position)?;
        (self.hear.borrow_mut())(proposal, laws, &verdict, position)?;
        Ok(verdict)
    }
}

/// How an emitted token came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Made {
    /// With the prompt, which is no round.
    Prefill,
    /// The draft proposed it and the target took it.
    Accepted,
    /// The target's own, where it took none of the candidates.
    Correction,
    /// The target's own behind the last candidate.
    Bonus,
    /// The target's own; nothing was proposed.
    Plain,
}

/// An emitted token.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Token {
    id: u32,
    text: String,
    made: Made,
    /// The target's probability of it, as it draws.
    target: f64,
    /// The draft's, where it proposed it and said so.
    draft: Option<f64>,
}

/// A candidate.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Candidate {
    id: u32,
    text: String,
    /// The candidate before it.
    parent: Option<usize>,
    accepted: bool,
    draft: Option<f64>,
}

/// Counts up to and including a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Totals {
    /// Passes of the target behind the prompt.
    pub(super) passes: u64,
    /// Candidates verified.
    pub(super) proposed: u64,
    /// Candidates accepted.
    pub(super) accepted: u64,
    /// Places where the turn of a candidate came: all before it were accepted.
    pub(super) reached: u64,
    /// Tokens that passes emitted.
    pub(super) emitted: u64,
}

/// The figures of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Rates {
    /// Accepted / proposed.
    pub(super) acceptance_rate: Option<f64>,
    /// Tokens that passes emitted / passes.
    pub(super) tokens_per_pass: Option<f64>,
    /// Accepted / places reached, with the interval of Clopper and Pearson as if places were independent.
    pub(super) alpha: Estimate,
}

impl Totals {
    pub(super) fn rates(&self) -> Rates {
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        let limits = clopper_pearson(self.accepted, self.reached);
        Rates {
            acceptance_rate: share(self.accepted, self.proposed),
            tokens_per_pass: share(self.emitted, self.passes),
            alpha: Estimate {
                value: share(self.accepted, self.reached),
                low: limits.map(|own| own.low),
                high: limits.map(|own| own.high),
            },
        }
    }
}

/// One round, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Round {
    /// Its number, from 1; 0 is the prompt's own token.
    number: u64,
    candidates: Vec<Candidate>,
    tokens: Vec<Token>,
    /// The whole text so far, cut where the draft's tokens end.
    draft_pieces: Vec<String>,
    totals: Totals,
    rates: Rates,
}

/// A generation that is watched.
pub(super) struct Seen<'a> {
    vocabulary: Vocabulary,
    /// Ids that end it.
    eos: &'a [u32],
    draft: &'a Tokenizer,
    state: DecodeState,
    /// The prompt and what was emitted.
    text: Vec<u8>,
    prompt: usize,
    totals: Totals,
}

impl<'a> Seen<'a> {
    /// Behind a prompt, given as text and as the target's ids.
    pub(super) fn begin(
        (target, eos): (&Vocabulary, &'a [u32]),
        draft: &'a Tokenizer,
        prompt: &[u8],
        ids: &[u32],
    ) -> Self {
        Self {
            vocabulary: target.clone(),
            eos,
            draft,
            state: target.state_after(ids),
            text: prompt.to_vec(),
            prompt: prompt.len(),
            totals: Totals::default(),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Takes in a decision.
    pub(super) fn round(
        &mut self,
        proposal: &Proposal,
        laws: &dyn Laws,
        verdict: &Verdict,
        position: usize,
    ) -> Result<Round, SpeculateError> {
        let candidates = self.candidates(proposal, verdict);
        let tokens = self.emit(proposal, laws, verdict, position);
        if position > 0 {
            let accepted = tokens.iter().filter(|token| token.made == Made::Accepted).count();
            let totals = &mut self.totals;
            totals.passes += 1;
            totals.proposed += proposal.len() as u64;
            totals.accepted += accepted as u64;
            totals.reached += proposal.by_depth().len().min(accepted + 1) as u64;
            totals.emitted += tokens.len() as u64;
        }
        Ok(Round {
            number: self.totals.passes,
            candidates,
            tokens,
            draft_pieces: pieces(self.draft, &self.text, self.prompt)?,
            totals: self.totals,
            rates: self.totals.rates(),
        })
    }

    fn candidates(&self, proposal: &Proposal, verdict: &Verdict) -> Vec<Candidate> {
        let mut states: Vec<DecodeState> = Vec::new();
        let mut candidates = Vec::new();
        for (index, node) in proposal.nodes().iter().enumerate() {
            let mut state = node.parent.map_or(self.state, |parent| states[parent]);
            let mut bytes = Vec::new();
            self.vocabulary.advance(&mut state, node.token, &mut bytes);
            states.push(state);
            candidates.push(Candidate {
                id: node.token,
                text: self.spelled(node.token, &bytes),
                parent: node.parent,
                accepted: verdict.path.contains(&index),
                draft: probability(proposal, index),
            });
        }
        candidates
    }

    /// The tokens that the loop emits: the accepted ones and the next, up to an end of text.
    fn emit(
        &mut self,
        proposal: &Proposal,
        laws: &dyn Laws,
        verdict: &Verdict,
        position: usize,
    ) -> Vec<Token> {
        let last = verdict.path.last().copied();
        let own = match last {
            _ if position == 0 => Made::Prefill,
            _ if proposal.is_empty() => Made::Plain,
            _ if proposal.children(last).next().is_none() => Made::Bonus,
            _ => Made::Correction,
        };
        let mut before = None;
        let mut tokens = Vec::new();
        for node in verdict.path.iter().copied().map(Some).chain([None]) {
            let id = node.map_or(verdict.next, |node| proposal.nodes()[node].token);
            let mut bytes = Vec::new();
            self.vocabulary.advance(&mut self.state, id, &mut bytes);
            self.text.extend_from_slice(&bytes);
            tokens.push(Token {
                id,
                text: self.spelled(id, &bytes),
                made: if node.is_some() { Made::Accepted } else { own },
                target: laws.after(before).probability(id),
                draft: node.and_then(|node| probability(proposal, node)),
            });
            if self.eos.contains(&id) {
                break;
            }
            before = node;
        }
        tokens
    }

    fn spelled(&self, id: u32, bytes: &[u8]) -> String {
        match self.vocabulary.entry(id) {
            Entry::Special(name) => name.to_string(),
            _ => shown(bytes),
        }
    }
}

/// What the draft said of a candidate: the law that it was drawn from, or a belief beside.
fn probability(proposal: &Proposal, index: usize) -> Option<f64> {
    let node = &proposal.nodes()[index];
    let believed = node.belief.as_ref().map(|own| own.probability);
    believed.or_else(|| node.law().map(|law| law.probability(node.token)))
}
