//! Rules with one error each, to show that the tests of losslessness find it.

use align::Context;
use draft::{Key, Law, Purpose, Randomness};
use target::propose::Round;
use target::verify::rejection::residual;
use target::{
    Clock, Laws, Node, Origin, Proposal, Proposer, SpeculateError, Tally, Verdict, Verifier,
};

/// Verification by rejection with one rule changed.
#[derive(Clone, Copy, Debug)]
pub enum Mutant {
    /// Draws from p itself where a candidate was rejected.
    NoResidual,
    /// Accepts a candidate with its own probability under the draft.
    AcceptsByDraft,
}

impl Mutant {
    fn accepts(self, p: &Law, q: &Law, token: u32, uniform: f64) -> bool {
        match self {
            Self::NoResidual => uniform * q.probability(token) < p.probability(token),
            Self::AcceptsByDraft => uniform < q.probability(token),
        }
    }

    fn correction(self, p: &Law, q: &Law, key: Key) -> u32 {
        match self {
            Self::NoResidual => p.draw(key),
            Self::AcceptsByDraft => {
                key.draw(residual(p, q).map(|(id, mass)| (id, mass.ln()))).unwrap()
            }
        }
    }
}

impl Verifier for Mutant {
    fn verify(
        &self,
        proposal: &Proposal,
        laws: &dyn Laws,
        randomness: Randomness,
        start: usize,
    ) -> Result<Verdict, SpeculateError> {
        let mut path = Vec::new();
        for (index, Node { token, origin, .. }) in proposal.nodes().iter().enumerate() {
            let p = laws.after(index.checked_sub(1));
            let Origin::Sampled(q) = origin else { panic!("a law is needed") };
            let position = start + index;
            let uniform = randomness.key(position, Purpose::Accept(start)).uniform();
            if !self.accepts(&p, q, *token, uniform) {
                let key = randomness.key(position, Purpose::Residual(start));
                return Ok(Verdict { path, next: self.correction(&p, q, key) });
            }
            path.push(index);
        }
        let key = randomness.key(start + path.len(), Purpose::Target);
        let next = laws.after(path.last().copied()).draw(key);
        Ok(Verdict { path, next })
    }
}

/// Hands over a law whose probabilities are exchanged among its ids.
pub struct PermutesLaw(pub Box<dyn Proposer>);

impl Proposer for PermutesLaw {
    fn name(&self) -> &'static str {
        "permuted"
    }

    fn begin(&mut self, prompt: &Context, clock: &mut Clock) -> Result<(), SpeculateError> {
        self.0.begin(prompt, clock)
    }

    fn commit(
        &mut self,
        tokens: &[u32],
        bytes: &[u8],
        clock: &mut Clock,
    ) -> Result<(), SpeculateError> {
        self.0.commit(tokens, bytes, clock)
    }

    fn propose(
        &mut self,
        round: &Round<'_>,
        clock: &mut Clock,
    ) -> Result<Proposal, SpeculateError> {
        let honest = self.0.propose(round, clock)?;
        let mut permuted = Proposal::default();
        for node in honest.nodes() {
            let Origin::Sampled(q) = &node.origin else { panic!("a law is needed") };
            let (ids, masses): (Vec<u32>, Vec<f64>) = q.entries().unzip();
            let turned = masses.iter().cycle().skip(1).map(|mass| mass.ln());
            let law = Law::sparse(ids.into_iter().zip(turned).collect());
            permuted.append(node.token, Origin::Sampled(law));
        }
        Ok(permuted)
    }

    fn count(&self, tally: &mut Tally) {
        self.0.count(tally);
    }
}
