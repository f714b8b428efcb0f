//! Rules with one error each, to show that the tests of losslessness and of sampling find it.

use draft::{Key, Law, Purpose, Randomness, Sampling};
use target::verify::block::Block;
use target::verify::rejection::{residual, scaled};
use target::verify::siblings::Choice;
use target::{Laws, Node, Proposal, SpeculateError, Verdict, Verifier};

/// How far a candidate that was chosen is believed in by [`Mutant::AcceptsByBelief`].
const BELIEF: f64 = 0.6;

/// Verification place by place, written down plainly, with at most one rule changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Nothing is changed.
    Honest,
    /// Draws from p itself where the candidates that were drawn are rejected.
    NoResidual,
    /// Tests each candidate against p itself, whatever those before it have taken of p.
    EachAgainstTarget,
    /// Accepts a candidate that was drawn with its own probability under the draft.
    AcceptsByDraft,
    /// Accepts a candidate that was chosen as often as it is believed in, and not where the target draws it.
    AcceptsByBelief,
}

/// The random numbers of a place.
struct Keys {
    target: Key,
    accept: Key,
    residual: Key,
}

/// The law that is proportional to some masses; `None` without any.
fn law_of(masses: impl Iterator<Item = (u32, f64)>) -> Option<Law> {
    let logs: Vec<(u32, f64)> = masses.map(|(id, mass)| (id, mass.ln())).collect();
    (!logs.is_empty()).then(|| Law::sparse(logs))
}

impl Mutant {
    /// What is done with the candidates of a place.
    fn choose(self, candidates: &[&Node], p: &Law, keys: &Keys) -> Choice {
        let drawn = candidates.iter().position(|node| node.law().is_some());
        let (chosen, drawn) = candidates.split_at(drawn.unwrap_or(candidates.len()));
        let tokens: Vec<u32> = chosen.iter().map(|node| node.token).collect();
        let own = p.draw(keys.target);
        let follows = |(index, token): (usize, &u32)| match self {
            Self::AcceptsByBelief => keys.accept.uniform_of(index) < BELIEF,
            _ => *token == own,
        };
        if let Some(index) = tokens.iter().enumerate().position(follows) {
            return Choice::Accept(index);
        }
        if drawn.is_empty() {
            return Choice::Emit(own);
        }
        match self.choose_drawn(drawn, (p, p.without(&tokens)), keys) {
            Choice::Accept(index) => Choice::Accept(tokens.len() + index),
            emit @ Choice::Emit(_) => emit,
        }
    }

    /// What is done with candidates that were drawn, if those before them have left `rest` of p.
    fn choose_drawn(self, drawn: &[&Node], (p, mut rest): (&Law, Law), keys: &Keys) -> Choice {
        let before = rest.clone();
        for (index, node) in drawn.iter().enumerate() {
            let Some(q) = node.law() else { panic!("a law is needed") };
            let (token, proposed) = (node.token, q.probability(node.token));
            let accepted = match self {
                Self::AcceptsByDraft => proposed,
                Self::EachAgainstTarget => p.probability(token) / proposed,
                _ => rest.probability(token) / proposed,
            };
            if keys.accept.uniform_of(index) < accepted {
                return Choice::Accept(index);
            }
            let Some(left) = law_of(residual(&rest, q)) else { return Choice::Accept(index) };
            rest = left;
        }
        let law = if self == Self::NoResidual { before } else { rest };
        Choice::Emit(law.draw(keys.residual))
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
        let mut path: Vec<usize> = Vec::new();
        loop {
            let (at, position) = (path.last().copied(), start + path.len());
            let children: Vec<usize> = proposal.children(at).collect();
            let nodes: Vec<&Node> =
                children.iter().map(|&child| &proposal.nodes()[child]).collect();
            let keys = Keys {
                target: randomness.key(position, Purpose::Target),
                accept: randomness.key(position, Purpose::Accept(start)),
                residual: randomness.key(position, Purpose::Residual(start)),
            };
            match self.choose(&nodes, &laws.after(at), &keys) {
                Choice::Accept(index) => path.push(children[index]),
                Choice::Emit(next) => return Ok(Verdict { path, next }),
            }
        }
    }
}

/// Verification of a chain as a block, with at most one rule changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockMutant {
    /// Nothing is changed.
    Honest,
    /// Draws from p itself where the chain is cut.
    NoResidual,
    /// Draws from (p − q)⁺ there, as if what was accepted had all its weight.
    WeightForgotten,
    /// Cuts the chain at the first part whose turn does not come, and not behind the last whose turn comes.
    StopsAtFirstFailure,
    /// Accepts a part with its last candidate's probability under the draft.
    AcceptsByDraft,
}

impl BlockMutant {
    fn accepted(
        self,
        block: &Block,
        drawn: &[(u32, &Law)],
        uniform: impl Fn(usize) -> f64,
    ) -> usize {
        let parts = 1..=drawn.len();
        let by_draft = |&count: &usize| {
            let (token, q) = drawn[count - 1];
            uniform(count) <= q.probability(token)
        };
        match self {
            Self::StopsAtFirstFailure => {
                parts.take_while(|&count| uniform(count) <= block.accepts[count - 1]).count()
            }
            Self::AcceptsByDraft => parts.rev().find(by_draft).unwrap_or(0),
            _ => block.accepted(uniform),
        }
    }

    fn next(self, weight: f64, p: &Law, q: &Law, key: Key) -> u32 {
        let law = match self {
            Self::NoResidual => None,
            Self::WeightForgotten => law_of(scaled(1.0, p, q)),
            _ => law_of(scaled(weight, p, q)),
        };
        law.as_ref().unwrap_or(p).draw(key)
    }
}

impl Verifier for BlockMutant {
    fn verify(
        &self,
        proposal: &Proposal,
        laws: &dyn Laws,
        randomness: Randomness,
        start: usize,
    ) -> Result<Verdict, SpeculateError> {
        let drawn: Vec<(u32, &Law)> =
            proposal.nodes().iter().filter_map(|node| Some((node.token, node.law()?))).collect();
        let (tokens, q): (Vec<u32>, Vec<&Law>) = drawn.iter().copied().unzip();
        let p: Vec<Law> =
            (0..=tokens.len()).map(|count| laws.after(count.checked_sub(1))).collect();
        let block = Block::new(&p, &q, &tokens)?;
        let key = |count: usize, purpose| randomness.key(start + count, purpose);
        let accepted =
            self.accepted(&block, &drawn, |count| key(count - 1, Purpose::Accept(start)).uniform());
        let next = match q.get(accepted) {
            Some(q) => {
                let key = key(accepted, Purpose::Residual(start));
                self.next(block.weights[accepted], &p[accepted], q, key)
            }
            None => p[accepted].draw(key(accepted, Purpose::Target)),
        };
        Ok(Verdict { path: (0..accepted).collect(), next })
    }
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
