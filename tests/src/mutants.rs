//! Rules with one error each, to show that the tests of losslessness find it.

use align::Context;
use draft::{Law, Purpose, Randomness};
use target::propose::Round;
use target::{
    Clock, Laws, Node, Origin, Proposal, Proposer, SpeculateError, Tally, Verdict, Verifier,
};

/// Draws from p itself where a candidate was rejected.
#[derive(Clone, Copy, Debug)]
pub struct NoResidual;

/// Accepts a candidate with its own probability under the draft.
#[derive(Clone, Copy, Debug)]
pub struct AcceptsByDraft;

fn broken(
    proposal: &Proposal,
    laws: &dyn Laws,
    randomness: Randomness,
    start: usize,
    rule: impl Fn(&Law, &Law, u32, f64) -> bool,
    next: impl Fn(&Law, &Law, usize) -> u32,
) -> Verdict {
    let mut path = Vec::new();
    for (index, Node { token, origin, .. }) in proposal.nodes().iter().enumerate() {
        let p = laws.after(index.checked_sub(1));
        let Origin::Sampled(q) = origin else { panic!("a law is needed") };
        let position = start + index;
        let uniform = randomness.key(position, Purpose::Accept(start)).uniform();
        if !rule(&p, q, *token, uniform) {
            return Verdict { path, next: next(&p, q, position) };
        }
        path.push(index);
    }
    let position = start + path.len();
    let p = laws.after(path.last().copied());
    Verdict { path, next: p.draw(randomness.key(position, Purpose::Target)) }
}

impl Verifier for NoResidual {
    fn verify(
        &self,
        proposal: &Proposal,
        laws: &dyn Laws,
        randomness: Randomness,
        start: usize,
    ) -> Result<Verdict, SpeculateError> {
        let rule = |p: &Law, q: &Law, token, uniform: f64| {
            uniform * q.probability(token) < p.probability(token)
        };
        let next =
            |p: &Law, _: &Law, position| p.draw(randomness.key(position, Purpose::Residual(start)));
        Ok(broken(proposal, laws, randomness, start, rule, next))
    }
}

impl Verifier for AcceptsByDraft {
    fn verify(
        &self,
        proposal: &Proposal,
        laws: &dyn Laws,
        randomness: Randomness,
        start: usize,
    ) -> Result<Verdict, SpeculateError> {
        let rule = |_: &Law, q: &Law, token, uniform: f64| uniform < q.probability(token);
        let next = |p: &Law, q: &Law, position| {
            let residual = target::verify::rejection::residual(p, q);
            let key = randomness.key(position, Purpose::Residual(start));
            key.draw(residual.map(|(id, mass)| (id, mass.ln()))).unwrap()
        };
        Ok(broken(proposal, laws, randomness, start, rule, next))
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
