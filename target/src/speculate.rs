//! The draft–verify loop: propose, verify, commit, account. Plain decoding is the same loop with
//! nothing proposed. Knows which tokens end a text and how many may be emitted; knows no method.

use std::time::Duration;

use align::{Context, DecodeState};
use draft::{Randomness, Sampling};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::SpeculateError;
use crate::passes::PassTimes;
use crate::proposal::Proposal;
use crate::propose::{Proposer, Round};
use crate::round::{Clock, Phase, Seconds, Tally};
use crate::side::Side;
use crate::speaker::{Live, Speaker};
use crate::verify::{Verdict, Verifier};

/// A prompt as each side reads it.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The target's ids and text.
    pub target: Context,
    /// The draft's.
    pub draft: Context,
}

/// How far to go, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Candidates in a row, at most.
    pub gamma: usize,
    /// Tokens to emit, at most.
    pub max_new: usize,
    /// Whether an end of text is a token like any other.
    pub ignore_eos: bool,
    /// How the target's logits become its law.
    pub sampling: Sampling,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The target emitted an end of text.
    Eos,
    /// As many tokens as were asked for, or as fit into the context.
    Length,
}

/// What came of one prompt.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Emitted ids, an end of text included.
    pub ids: Vec<u32>,
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// Why it ended.
    pub finish: Finish,
    /// Counts.
    pub tally: Tally,
    /// Time.
    pub seconds: Seconds,
    /// Time of the target's passes behind the prefill.
    pub passes: PassTimes,
}

/// Generates behind a prompt.
pub fn speculate(
    target: &mut Side,
    proposer: &mut dyn Proposer,
    verifier: &dyn Verifier,
    prompt: &Prompt,
    limits: &Limits,
    randomness: Randomness,
) -> Result<Generation, SpeculateError> {
    let mut speaker = Live { target, verifier, sampling: limits.sampling, randomness };
    follow(&mut speaker, proposer, prompt, limits, randomness)
}

/// The loop, whoever speaks.
pub(crate) fn follow(
    speaker: &mut dyn Speaker,
    proposer: &mut dyn Proposer,
    prompt: &Prompt,
    limits: &Limits,
    randomness: Randomness,
) -> Result<Generation, SpeculateError> {
    let mut run = Run::begin(speaker, prompt, limits, randomness)?;
    run.clock.end_prefill();
    proposer.begin(&prompt.draft, &mut run.clock)?;
    let mut fresh = run.emitted.len();
    while run.finish.is_none() {
        let start = run.emitted.len() - fresh;
        let bytes = run.bytes_from(start);
        proposer.commit(&run.emitted[start..], &bytes, &mut run.clock)?;
        let proposal = run.propose(proposer)?;
        run.clock.enter(Phase::Verify);
        let verdict = run.speaker.verify(&proposal, &run.context, run.emitted.len())?;
        run.end_pass(proposal.len());
        fresh = run.emit(&proposal, &verdict);
    }
    proposer.count(&mut run.tally);
    Ok(run.end())
}

/// A generation on its way.
struct Run<'a> {
    speaker: &'a mut dyn Speaker,
    limits: &'a Limits,
    randomness: Randomness,
    context: Context,
    state: DecodeState,
    emitted: Vec<u32>,
    /// Length of the committed bytes before each emitted token, and after the last.
    offsets: Vec<usize>,
    finish: Option<Finish>,
    tally: Tally,
    clock: Clock,
    passes: PassTimes,
    /// What the passes so far have taken.
    verified: Duration,
}

impl<'a> Run<'a> {
    /// Reads the prompt and emits the first token, which is no step.
    fn begin(
        speaker: &'a mut dyn Speaker,
        prompt: &Prompt,
        limits: &'a Limits,
        randomness: Randomness,
    ) -> Result<Self, SpeculateError> {
        let mut clock = Clock::start();
        clock.enter(Phase::Verify);
        let context = prompt.target.clone();
        if context.ids().is_empty() {
            return Err(SpeculateError::EmptyPrompt);
        }
        let first = speaker.begin(&context)?;
        let state = speaker.reader().tokenizer.vocabulary().state_after(context.ids());
        let offsets = vec![context.text().len()];
        let mut run = Self {
            speaker,
            limits,
            randomness,
            context,
            state,
            emitted: Vec::new(),
            offsets,
            finish: None,
            tally: Tally::default(),
            clock,
            passes: PassTimes::default(),
            verified: Duration::ZERO,
        };
        run.push(first);
        run.tally.num_emitted_tokens = 1;
        Ok(run)
    }

    /// Candidates in a row, and in all: what is left of the tokens to emit minus one, and of the
    /// context.
    fn budget(&self) -> (usize, usize) {
        let left = self.limits.max_new.saturating_sub(self.emitted.len());
        let room = self.speaker.reader().context.saturating_sub(self.context.ids().len());
        (self.limits.gamma.min(left.saturating_sub(1)).min(room), room)
    }

    fn propose(&mut self, proposer: &mut dyn Proposer) -> Result<Proposal, SpeculateError> {
        let (budget, room) = self.budget();
        if budget == 0 {
            return Ok(Proposal::default());
        }
        let round = Round {
            target: self.speaker.reader(),
            committed: &self.context,
            budget,
            room,
            ignore_eos: self.limits.ignore_eos,
            position: self.emitted.len(),
            randomness: self.randomness,
            known: self.speaker.known(self.emitted.len()),
        };
        proposer.propose(&round, &mut self.clock)
    }

    /// Ends the pass of the target that verified so many candidates.
    fn end_pass(&mut self, candidates: usize) {
        self.clock.enter(Phase::Other);
        let verified = self.clock.spent(Phase::Verify);
        self.passes.add(candidates, verified.saturating_sub(self.verified).as_secs_f64());
        self.verified = verified;
    }

    /// Emits the accepted candidates and the token behind them, up to an end of text. Gives how
    /// many tokens were emitted.
    fn emit(&mut self, proposal: &Proposal, verdict: &Verdict) -> usize {
        let before = self.emitted.len();
        let accepted = verdict.path.iter().map(|&node| proposal.nodes()[node].token);
        for token in accepted.chain([verdict.next]) {
            if self.finish.is_none() {
                self.push(token);
            }
        }
        let emitted = self.emitted.len() - before;
        let accepted = verdict.path.len().min(emitted);
        let by_depth = proposal.by_depth();
        self.tally.count_pass(proposal.len() as u64, by_depth.len(), accepted, emitted);
        self.clock.enter(Phase::Apart);
        self.tally.observe(proposal, &verdict.path[..accepted]);
        self.clock.enter(Phase::Other);
        emitted
    }

    fn push(&mut self, token: u32) {
        let target = self.speaker.reader();
        self.context.push(target.tokenizer, &mut self.state, token);
        self.emitted.push(token);
        self.offsets.push(self.context.text().len());
        if target.is_end(token) && !self.limits.ignore_eos {
            self.finish = Some(Finish::Eos);
        } else if self.emitted.len() >= self.limits.max_new
            || self.context.ids().len() > target.context
        {
            self.finish = Some(Finish::Length);
        }
    }

    fn bytes_from(&self, start: usize) -> Vec<u8> {
        self.context.text()[self.offsets[start]..].to_vec()
    }

    fn end(self) -> Generation {
        let bytes = self.bytes_from(0);
        Generation {
            ids: self.emitted,
            bytes,
            finish: self.finish.unwrap_or(Finish::Length),
            tally: self.tally,
            seconds: self.clock.stop(),
            passes: self.passes,
        }
    }
}
