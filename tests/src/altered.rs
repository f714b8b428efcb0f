//! Proposals that say of their candidates what is not so, to show that the tests of losslessness find it.

use std::collections::BTreeMap;

use align::Context;
use draft::Law;
use target::propose::Round;
use target::{Clock, Node, Origin, Proposal, Proposer, SpeculateError, Tally};

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

/// The same candidates, each with an origin made of its index, its node and the law that it was drawn from;
/// those that were chosen stay so.
fn with_laws(honest: &Proposal, change: impl Fn(usize, &Node, &Law) -> Law) -> Proposal {
    let mut changed = Proposal::default();
    for (index, node) in honest.nodes().iter().enumerate() {
        let origin = match node.law() {
            Some(q) => Origin::Sampled(change(index, node, q)),
            None => Origin::Deterministic,
        };
        changed.branch(node.parent, node.token, origin);
    }
    changed
}

/// The candidates that were placed at the place of `node` before it.
fn elder<'a>(honest: &'a Proposal, index: usize, node: &Node) -> Vec<&'a Node> {
    let elder = honest.children(node.parent).take_while(|&child| child < index);
    elder.map(|child| &honest.nodes()[child]).collect()
}

/// Laws whose probabilities are exchanged among their ids.
pub fn with_permuted_laws(honest: &Proposal) -> Proposal {
    with_laws(honest, |_, _, q| {
        let (ids, masses): (Vec<u32>, Vec<f64>) = q.entries().unzip();
        let turned = masses.iter().cycle().skip(1).map(|mass| mass.ln());
        Law::sparse(ids.into_iter().zip(turned).collect())
    })
}

/// Laws that are mostly those of the next place that has one; the last place has mostly the first one's.
pub fn with_laws_of_the_next(honest: &Proposal) -> Proposal {
    with_laws(honest, |index, node, own| {
        let nodes = honest.nodes();
        let others = nodes[index..].iter().chain(&nodes[..index]);
        let mut others = others.filter(|other| other.parent != node.parent);
        let Some(next) = others.find_map(Node::law) else { return own.clone() };
        let masses: BTreeMap<u32, f64> = own.entries().chain(next.entries()).collect();
        let mixed = |id: u32| 0.1 * own.probability(id) + 0.9 * next.probability(id);
        Law::sparse(masses.into_keys().map(|id| (id, mixed(id).ln())).collect())
    })
}

/// Laws that still have the candidates placed before at the same place: of those that were drawn, the law of
/// the first; and those that were chosen as probable as all that is left.
pub fn with_laws_of_the_first(honest: &Proposal) -> Proposal {
    with_laws(honest, |index, node, own| {
        let elder = elder(honest, index, node);
        let mut masses: BTreeMap<u32, f64> =
            elder.iter().find_map(|elder| elder.law()).unwrap_or(own).entries().collect();
        let chosen = elder.iter().filter(|elder| elder.law().is_none());
        masses.extend(chosen.map(|elder| (elder.token, 1.0)));
        Law::sparse(masses.into_iter().map(|(id, mass)| (id, mass.ln())).collect())
    })
}

/// Chosen candidates as if they had been drawn: each with a law that has most of its mass on it.
pub fn as_if_drawn(honest: &Proposal) -> Proposal {
    let mut claimed = Proposal::default();
    for node in honest.nodes() {
        let masses = (0..8).map(|id| (id, if id == node.token { 0.6f64 } else { 0.4 / 7.0 }));
        let law = Law::sparse(masses.map(|(id, mass)| (id, mass.ln())).collect());
        let law = node.law().cloned().unwrap_or(law);
        claimed.branch(node.parent, node.token, Origin::Sampled(law));
    }
    claimed
}
