//! The real loop over toy models, run many times: counts of what it emits, and the target's own law of
//! that, enumerated.

use std::collections::HashMap;

use align::Context;
use draft::{Randomness, Sampling};
use target::propose::siblings::Siblings;
use target::propose::tree::Size;
use target::propose::{Nothing, Settings};
use target::{Generation, Limits, Method, Proposer, Side, SpeculateError, Verifier, speculate};

use crate::toy::Table;
use crate::toy_pairs::{DRAFT_SEED, Pair, TARGET_SEED, draft_tokenizer, side, target_tokenizer};

/// A p-value under which a law is another one.
pub const FEWEST_P: f64 = 1e-6;
/// Tokens whose law is compared; the loop emits more, so that full rounds occur.
const COMPARED: usize = 3;
const EMITTED: usize = 6;
const PROMPT: &str = "ab";

/// Everything that a run needs.
pub struct Bench {
    pub target: Side,
    pub proposer: Box<dyn Proposer>,
    pub prompt: target::Prompt,
    pub limits: Limits,
}

impl Bench {
    pub fn new(pair: Pair, method: Option<Method>, sampling: Sampling, gamma: usize) -> Self {
        Self::with(pair, method, (sampling, Siblings::default()), gamma)
    }

    pub fn with(
        pair: Pair,
        method: Option<Method>,
        (sampling, siblings): (Sampling, Siblings),
        gamma: usize,
    ) -> Self {
        let target = side(target_tokenizer(pair), TARGET_SEED);
        let draft = side(draft_tokenizer(pair), DRAFT_SEED);
        let context = |side: &Side| Context::of_text(&side.tokenizer, PROMPT.as_bytes()).unwrap();
        let prompt = target::Prompt { target: context(&target), draft: context(&draft) };
        let proposer: Box<dyn Proposer> = match method {
            Some(method) => {
                let size = Size { nodes: 6, beam: 3 };
                let settings = Settings { temperature: sampling.temperature, size, siblings };
                method.proposer(draft, &target, settings).unwrap()
            }
            None => Box::new(Nothing),
        };
        let limits = Limits { gamma, max_new: EMITTED, ignore_eos: false, sampling };
        Self { target, proposer, prompt, limits }
    }

    pub fn run(
        &mut self,
        verifier: &dyn Verifier,
        prompt: u64,
    ) -> Result<Generation, SpeculateError> {
        let randomness = Randomness { seed: 5, prompt };
        let proposer = self.proposer.as_mut();
        speculate(&mut self.target, proposer, verifier, &self.prompt, &self.limits, randomness)
    }

    /// Counts of the first tokens over many draws, and how many candidates were accepted in all.
    pub fn sample(&mut self, verifier: &dyn Verifier, draws: u64) -> (HashMap<Vec<u32>, u64>, u64) {
        let mut counts = HashMap::new();
        let accepted = self.sample_more(verifier, 0..draws, &mut counts);
        (counts, accepted)
    }

    /// Adds the counts of some draws. Gives how many candidates were accepted in them.
    pub fn sample_more(
        &mut self,
        verifier: &dyn Verifier,
        draws: std::ops::Range<u64>,
        counts: &mut HashMap<Vec<u32>, u64>,
    ) -> u64 {
        let mut accepted = 0;
        for draw in draws {
            let generation = self.run(verifier, draw).unwrap();
            let first = generation.ids[..generation.ids.len().min(COMPARED)].to_vec();
            *counts.entry(first).or_insert(0) += 1;
            accepted += generation.tally.num_accepted_draft_tokens;
        }
        accepted
    }

    /// The target's own law of the first tokens.
    pub fn law(&self) -> HashMap<Vec<u32>, f64> {
        let mut table = Table::new(self.target.session.model().rows(), TARGET_SEED);
        let mut law = HashMap::new();
        let mut open = vec![(Vec::new(), 1.0)];
        while let Some((text, mass)) = open.pop() {
            let prefix = [self.prompt.target.ids(), &text].concat();
            let next = self.limits.sampling.law(&table.logits(&prefix), &[&prefix]);
            for (id, p) in next.entries().filter(|(_, p)| *p > 0.0) {
                let longer = [&text[..], &[id]].concat();
                if longer.len() == COMPARED || self.target.is_end(id) {
                    law.insert(longer, mass * p);
                } else {
                    open.push((longer, mass * p));
                }
            }
        }
        law
    }
}
