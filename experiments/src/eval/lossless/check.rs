//! The checks of a draft–verify loop against the target alone: ids at temperature 0, ids of the same
//! seed, the law of the first token that a round decides. They take any proposer and any verifier, so
//! that a broken one is found by the same code. Knows no files and no report.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use draft::{Law, Purpose, Randomness, Sampling};
use serde::Serialize;
use target::propose::Nothing;
use target::{
    Generation, Limits, Proposer, Side, SpeculateError, TokenVerifier, Verifier, speculate,
};

use super::rounds::{FirstRound, Watched};
use crate::bench::fit::Fitted;
use crate::bench::greedy::{TIE_MARGIN, compare, first_difference};
use crate::bench::record::GreedyCheck;
use crate::statistics::{ChiSquare, FEWEST_EXPECTED, chi_square};

/// A law is not the target's where counts like these have a smaller probability under it.
pub const FEWEST_P: f64 = 1e-6;

/// Seeds that are tried for each draw that is wanted, at most.
const TRIES: u64 = 64;

/// A loop to be checked.
pub struct Subject<'a> {
    /// The target, which also decodes alone.
    pub target: &'a mut Side,
    /// What proposes.
    pub proposer: &'a mut dyn Proposer,
    /// What verifies.
    pub verifier: &'a dyn Verifier,
}

/// Where a loop's ids first differ from those of the target alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The prompt's name.
    pub prompt: String,
    /// Emitted tokens before it.
    pub at: usize,
    /// Of the two logits, at temperature 0.
    pub margin: Option<f64>,
}

/// How many prompts' ids are those of the target alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Identity {
    /// Prompts compared.
    pub prompts: usize,
    /// Those of which all ids are equal.
    pub identical: usize,
    /// First differences between two ids that are nearly tied, which rounding decides.
    pub ties: Vec<Difference>,
    /// First differences of any other kind.
    pub differences: Vec<Difference>,
    /// Tokens that the loop emitted.
    pub tokens: u64,
    /// Candidates that it proposed.
    pub proposed: u64,
    /// Candidates that it accepted.
    pub accepted: u64,
}

impl Identity {
    /// Whether nothing but ties differs.
    pub fn holds(&self) -> bool {
        self.differences.is_empty()
    }

    fn add(&mut self, prompt: &Fitted, found: &GreedyCheck, own: &Generation) {
        self.prompts += 1;
        self.tokens += own.tally.num_emitted_tokens;
        self.proposed += own.tally.num_draft_tokens;
        self.accepted += own.tally.num_accepted_draft_tokens;
        let Some(at) = found.first_difference else {
            self.identical += 1;
            return;
        };
        let difference = Difference { prompt: prompt.prompt.id.clone(), at, margin: found.margin };
        if found.tie {
            self.ties.push(difference);
        } else {
            self.differences.push(difference);
        }
    }
}

/// The law of the first token that a round decides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FirstToken {
    /// The prompt's name.
    pub prompt: String,
    /// The token that the prefill emits in all of these draws, its most probable one.
    pub behind: u32,
    /// Draws that were counted.
    pub draws: u64,
    /// Seeds that were tried for them: with the others the prefill emits another token.
    pub seeds: u64,
    /// Candidates that the first rounds proposed.
    pub proposed: u64,
    /// Candidates that they accepted.
    pub accepted: u64,
    /// How the counts fit the target's law.
    #[serde(flatten)]
    pub fit: ChiSquare,
    /// Wall time.
    pub seconds: f64,
}

impl FirstToken {
    /// Whether the counts may be those of the target's law.
    pub fn holds(&self) -> bool {
        self.fit.p_value >= FEWEST_P
    }
}

impl Subject<'_> {
    fn alone(
        &mut self,
        prompt: &Fitted,
        limits: &Limits,
        randomness: Randomness,
    ) -> Result<Generation> {
        let (target, pair) = (&mut *self.target, prompt.pair());
        Ok(speculate(target, &mut Nothing, &TokenVerifier, pair, limits, randomness)?)
    }

    /// Whether greedy ids are those of the target alone; `advance` hears of each prompt.
    pub fn greedy(
        &mut self,
        prompts: &[Fitted],
        limits: &Limits,
        advance: &mut dyn FnMut(),
    ) -> Result<Identity> {
        let limits = Limits { sampling: Sampling::GREEDY, ..*limits };
        let mut identity = Identity::default();
        for prompt in prompts {
            let randomness = Randomness { seed: 0, prompt: prompt.prompt.index as u64 };
            let plain = self.alone(prompt, &limits, randomness)?;
            let (proposer, pair) = (&mut *self.proposer, prompt.pair());
            let own = speculate(self.target, proposer, self.verifier, pair, &limits, randomness)?;
            let found = compare(self.target, pair.target.ids(), &plain.ids, &own.ids)?;
            identity.add(prompt, &found, &own);
            advance();
        }
        Ok(identity)
    }

    /// Whether ids drawn with a seed are those that the target alone draws with it. `None` for methods
    /// that draw candidates: these are accepted and corrected with random numbers of their own.
    pub fn same_seed(
        &mut self,
        prompts: &[Fitted],
        limits: &Limits,
        seed: u64,
        advance: &mut dyn FnMut(),
    ) -> Result<Option<Identity>> {
        let mut identity = Identity::default();
        for prompt in prompts {
            let randomness = Randomness { seed, prompt: prompt.prompt.index as u64 };
            let mut watched = Watched::new(&mut *self.proposer);
            let pair = prompt.pair();
            let own =
                speculate(self.target, &mut watched, self.verifier, pair, limits, randomness)?;
            if watched.has_drawn() {
                return Ok(None);
            }
            let plain = self.alone(prompt, limits, randomness)?;
            let ids = (&plain.ids[..], &own.ids[..]);
            let found = self.compare_draws(pair.target.ids(), ids, limits.sampling, randomness)?;
            identity.add(prompt, &found, &own);
            advance();
        }
        Ok(Some(identity))
    }

    /// Compares ids of one seed. A first difference is a tie where each of the two ids would win the
    /// draw if its logit were larger by the margin.
    fn compare_draws(
        &mut self,
        prompt: &[u32],
        (plain, own): (&[u32], &[u32]),
        sampling: Sampling,
        randomness: Randomness,
    ) -> Result<GreedyCheck> {
        let at = first_difference(plain, own);
        let mut tie = false;
        if let Some(at) = at
            && let (Some(&one), Some(&other)) = (plain.get(at), own.get(at))
        {
            let law = self.law_behind(&[prompt, &plain[..at]].concat(), sampling)?;
            let key = randomness.key(at, Purpose::Target);
            let log = |id: u32| law.probability(id).ln();
            let wins = |id: u32, other: u32| {
                let pair = [(id, log(id) + TIE_MARGIN), (other, log(other))];
                key.draw(pair.into_iter()) == Some(id)
            };
            tie = wins(one, other) && wins(other, one);
        }
        Ok(GreedyCheck { identical: at.is_none(), first_difference: at, margin: None, tie })
    }

    /// The target's law of the next token, by a pass of its own.
    fn law_behind(&mut self, ids: &[u32], sampling: Sampling) -> Result<Law> {
        self.target.session.reset();
        Ok(sampling.law(self.target.session.advance_to(ids)?, &[ids]))
    }

    /// Whether the first token behind the prefill's, which is the first that a round decides, has the
    /// target's law. Of the seeds those are taken with which the prefill emits its most probable token:
    /// a seed's numbers at different positions are independent, so that the law behind it is p.
    pub fn first_token(
        &mut self,
        prompt: &Fitted,
        limits: &Limits,
        (seed, draws): (u64, u64),
        advance: &mut dyn FnMut(),
    ) -> Result<FirstToken> {
        let started = std::time::Instant::now();
        let Place { prefill, behind, law } = self.place(prompt, limits)?;
        let (mut counts, mut seeds) = (HashMap::new(), 0);
        let (mut counted, mut proposed, mut accepted) = (0, 0, 0);
        while counted < draws && seeds < draws * TRIES {
            let key = prompt.prompt.index as u64 | seeds << 32;
            let randomness = Randomness { seed, prompt: key };
            seeds += 1;
            if prefill.draw(randomness.key(0, Purpose::Target)) != behind {
                continue;
            }
            // Rounding may have decided otherwise of two ids that are nearly tied.
            if let Some(round) = self.first_round(prompt, limits, randomness)?
                && round.prefill == behind
            {
                *counts.entry(round.decided).or_insert(0) += 1;
                counted += 1;
                proposed += round.proposed;
                accepted += round.accepted;
                advance();
            }
        }
        if counted == 0 {
            bail!("no seed of {seeds} gives the prompt's most probable token; name other prompts");
        }
        Ok(FirstToken {
            prompt: prompt.prompt.id.clone(),
            behind,
            draws: counted,
            seeds,
            proposed,
            accepted,
            fit: chi_square(&counts, law.entries()),
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// What `draws` draws of the first token can show behind a prompt: whether the first greedy round
    /// accepts a candidate, and how many tokens would be compared. No random number has a part in it.
    pub fn promise(
        &mut self,
        prompt: &Fitted,
        limits: &Limits,
        draws: u64,
    ) -> Result<(bool, usize)> {
        let law = self.place(prompt, limits)?.law;
        let is_compared = |&(_, p): &(u32, f64)| p * draws as f64 >= FEWEST_EXPECTED;
        let compared = law.entries().filter(is_compared).count();
        let greedy = Limits { sampling: Sampling::GREEDY, ..*limits };
        let randomness = Randomness { seed: 0, prompt: prompt.prompt.index as u64 };
        let round = self.first_round(prompt, &greedy, randomness)?;
        Ok((round.is_some_and(|round| round.accepted > 0), compared))
    }

    /// The place of the first token that a round decides.
    fn place(&mut self, prompt: &Fitted, limits: &Limits) -> Result<Place> {
        let ids = prompt.pair().target.ids();
        let prefill = self.law_behind(ids, limits.sampling)?;
        let goes_on = |&(id, _): &(u32, f64)| limits.ignore_eos || !self.target.is_end(id);
        let behind = prefill.entries().filter(goes_on).max_by(|a, b| a.1.total_cmp(&b.1));
        let (behind, _) = behind.context("the target's law has no token that goes on")?;
        let law = self.law_behind(&[ids, &[behind]].concat(), limits.sampling)?;
        Ok(Place { prefill, behind, law })
    }

    /// Runs the loop up to the end of its first round; `None` where the prefill ends the text.
    fn first_round(
        &mut self,
        prompt: &Fitted,
        limits: &Limits,
        randomness: Randomness,
    ) -> Result<Option<Round>> {
        let mut proposer = FirstRound::new(&mut *self.proposer);
        let pair = prompt.pair();
        let ended = speculate(self.target, &mut proposer, self.verifier, pair, limits, randomness);
        let proposed = proposer.proposed();
        let emitted = match ended {
            Err(SpeculateError::Stopped) => proposer.emitted().to_vec(),
            other => other?.ids,
        };
        let [prefill, decided, ..] = emitted[..] else { return Ok(None) };
        Ok(Some(Round { prefill, decided, proposed, accepted: emitted.len() as u64 - 2 }))
    }
}

/// Where the first round begins.
struct Place {
    /// The target's law of the prefill's token.
    prefill: Law,
    /// Its most probable token that goes on.
    behind: u32,
    /// The law behind that.
    law: Law,
}

/// What a first round came to.
struct Round {
    /// The token before it.
    prefill: u32,
    /// The first token of it.
    decided: u32,
    proposed: u64,
    accepted: u64,
}
