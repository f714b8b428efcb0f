//! The loop over a text that was recorded: a proposer proposes as it would with the target at hand, and its
//! candidates are followed along what the target emitted. What is drawn is told what comes
//! ([`Known`]); what is chosen needs no probabilities at all.

use align::Context;
use draft::Randomness;

use super::format::Text;
use crate::error::SpeculateError;
use crate::passes::PassTimes;
use crate::proposal::Proposal;
use crate::propose::{Known, Proposer};
use crate::reader::Reader;
use crate::speaker::Speaker;
use crate::speculate::{Finish, Generation, Limits, Prompt, follow};
use crate::verify::{Verdict, Verification};

/// How texts are replayed.
#[derive(Clone, Copy)]
pub struct Replay<'a> {
    /// How the target reads and writes.
    pub reader: Reader<'a>,
    /// How far to go, and how: the trace's own limits, with the number of candidates that is asked for.
    pub limits: Limits,
    /// How sampled candidates would be verified.
    pub verification: Verification,
    /// Seed of everything that is drawn.
    pub seed: u64,
}

impl Replay<'_> {
    /// Goes through one text behind its prompt.
    pub fn run(
        &self,
        proposer: &mut dyn Proposer,
        text: &Text,
        prompt: &Prompt,
    ) -> Result<Generation, SpeculateError> {
        let max_new = match text.finish {
            Finish::Length => text.ids.len(),
            Finish::Eos => self.limits.max_new.max(text.ids.len()),
        };
        let limits = Limits { max_new, ..self.limits };
        let turn = u64::from(text.turn) << 56;
        let key = text.prompt_index as u64 | u64::from(text.repeat) << 32 | turn;
        let randomness = Randomness { seed: self.seed, prompt: key };
        let Self { reader, verification, .. } = *self;
        let mut speaker = Recorded { reader, text, verification };
        let generation = follow(&mut speaker, proposer, prompt, &limits, randomness)?;
        // No pass of the target was made.
        Ok(Generation { passes: PassTimes::default(), ..generation })
    }
}

/// A text that speaks for the target that wrote it.
struct Recorded<'a> {
    reader: Reader<'a>,
    text: &'a Text,
    verification: Verification,
}

impl Speaker for Recorded<'_> {
    fn reader(&self) -> Reader<'_> {
        self.reader
    }

    fn begin(&mut self, _prompt: &Context) -> Result<u32, SpeculateError> {
        self.text.ids.first().copied().ok_or(SpeculateError::EmptyPrompt)
    }

    fn known(&self, position: usize) -> Option<Known<'_>> {
        let (ids, logs) = (&self.text.ids[position..], &self.text.logprobs[position..]);
        Some(Known { ids, logs, verification: self.verification })
    }

    fn verify(
        &mut self,
        proposal: &Proposal,
        _committed: &Context,
        position: usize,
    ) -> Result<Verdict, SpeculateError> {
        check(proposal)?;
        let comes = &self.text.ids[position..];
        let (mut path, mut at) = (Vec::new(), None);
        for &token in comes {
            let child = proposal.children(at).find(|&child| proposal.nodes()[child].token == token);
            let Some(child) = child else { break };
            path.push(child);
            at = Some(child);
        }
        // Behind the text's own end nothing is emitted, whatever stands here.
        let next = comes.get(path.len()).or(comes.last()).copied().unwrap_or_default();
        Ok(Verdict { path, next })
    }
}

/// Fails where a drawn candidate is not alone at its place.
fn check(proposal: &Proposal) -> Result<(), SpeculateError> {
    let drawn = proposal.nodes().iter().filter(|node| node.law().is_some());
    let mut alone = drawn.map(|node| proposal.children(node.parent).count() == 1);
    if alone.all(|alone| alone) { Ok(()) } else { Err(SpeculateError::SeveralDrawn) }
}
