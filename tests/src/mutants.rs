//! Rules with one error each, to show that the tests of losslessness and of sampling find it.

use std::collections::BTreeMap;

use align::Context;
use draft::{Key, Law, Purpose, Randomness, Sampling};
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

/// A proposer whose proposals are changed before the verifier sees them.
pub struct Altered(pub Box<dyn Proposer>, pub fn(&Proposal) -> Proposal);

impl Proposer for Altered {
    fn name(&self) -> &'static str {
        "altered"
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
        Ok(self.1(&self.0.propose(round, clock)?))
    }

    fn count(&self, tally: &mut Tally) {
        self.0.count(tally);
    }
}

/// Laws whose probabilities are exchanged among their ids.
pub fn with_permuted_laws(honest: &Proposal) -> Proposal {
    let mut permuted = Proposal::default();
    for node in honest.nodes() {
        let Origin::Sampled(q) = &node.origin else { panic!("a law is needed") };
        let (ids, masses): (Vec<u32>, Vec<f64>) = q.entries().unzip();
        let turned = masses.iter().cycle().skip(1).map(|mass| mass.ln());
        let law = Law::sparse(ids.into_iter().zip(turned).collect());
        permuted.append(node.token, Origin::Sampled(law));
    }
    permuted
}

/// Laws that are mostly those of the place behind; the last place has mostly the first one's.
pub fn with_laws_of_the_next(honest: &Proposal) -> Proposal {
    let laws: Vec<&Law> = honest.nodes().iter().filter_map(Node::law).collect();
    let mut moved = Proposal::default();
    for (index, node) in honest.nodes().iter().enumerate() {
        let (own, next) = (laws[index], laws[(index + 1) % laws.len()]);
        let masses: BTreeMap<u32, f64> = own.entries().chain(next.entries()).collect();
        let mixed = |id: u32| 0.1 * own.probability(id) + 0.9 * next.probability(id);
        let law = Law::sparse(masses.into_keys().map(|id| (id, mixed(id).ln())).collect());
        moved.append(node.token, Origin::Sampled(law));
    }
    moved
}

/// Chosen candidates as if they had been drawn: each with a law that has most of its mass on it.
pub fn as_if_drawn(honest: &Proposal) -> Proposal {
    let mut claimed = Proposal::default();
    for node in honest.nodes() {
        let masses = (0..8).map(|id| (id, if id == node.token { 0.6f64 } else { 0.4 / 7.0 }));
        let law = Law::sparse(masses.map(|(id, mass)| (id, mass.ln())).collect());
        claimed.branch(node.parent, node.token, Origin::Sampled(law));
    }
    claimed
}

/// Sampling settings applied in an order that is not transformers'.
#[derive(Clone, Copy, Debug)]
pub enum MisorderedSampling {
    /// The nucleus is chosen before the temperature divides the logits.
    TopPBeforeTemperature,
    /// The nucleus is chosen among all tokens, and then cut to the most probable ones.
    TopPBeforeTopK,
    /// Tokens are cut away first, and those that are left penalised.
    PenaltyLast,
}

impl MisorderedSampling {
    /// All of them.
    pub const ALL: [Self; 3] =
        [Self::TopPBeforeTemperature, Self::TopPBeforeTopK, Self::PenaltyLast];

    /// The law that the wrong order gives.
    pub fn law(self, settings: &Sampling, logits: &[f32], context: &[u32]) -> Law {
        let hot = Sampling::at(settings.temperature);
        let (first, last) = match self {
            Self::TopPBeforeTemperature => (Sampling { temperature: 1.0, ..*settings }, hot),
            Self::TopPBeforeTopK => {
                (Sampling { top_k: None, ..*settings }, Sampling { top_k: settings.top_k, ..hot })
            }
            Self::PenaltyLast => (
                Sampling { repetition_penalty: 1.0, ..*settings },
                Sampling { repetition_penalty: settings.repetition_penalty, ..hot },
            ),
        };
        let kept = first.law(logits, &[context]);
        last.law(&left(&kept, logits, first.repetition_penalty, context), &[context])
    }
}

/// The logits that a law left, penalised as it had them, with the others out of reach.
fn left(law: &Law, logits: &[f32], penalty: f64, context: &[u32]) -> Vec<f32> {
    let mut scores = vec![f32::NEG_INFINITY; logits.len()];
    for (id, _) in law.entries().filter(|(_, probability)| *probability > 0.0) {
        let logit = logits[id as usize];
        let factor = if context.contains(&id) { penalty as f32 } else { 1.0 };
        scores[id as usize] = if logit < 0.0 { logit * factor } else { logit / factor };
    }
    scores
}
