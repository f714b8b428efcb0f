//! Who speaks on the target's side of the loop: a model, whose laws verify candidates, or a text that a model
//! wrote before. Counts nothing and emits nothing.

use align::Context;
use draft::{Candidate, Case, Law, Randomness, Sampling};

use crate::error::SpeculateError;
use crate::proposal::Proposal;
use crate::propose::Known;
use crate::reader::Reader;
use crate::side::Side;
use crate::verify::{Laws, Verdict, Verifier};

/// What the loop asks of the target's side.
pub(crate) trait Speaker {
    /// How it reads and writes.
    fn reader(&self) -> Reader<'_>;

    /// Reads a prompt and gives the first token behind it.
    fn begin(&mut self, prompt: &Context) -> Result<u32, SpeculateError>;

    /// What a proposer is told of the text to come, behind so many emitted tokens.
    fn known(&self, position: usize) -> Option<Known<'_>>;

    /// Verifies candidates behind the committed text, of which so many tokens were emitted.
    fn verify(
        &mut self,
        proposal: &Proposal,
        committed: &Context,
        position: usize,
    ) -> Result<Verdict, SpeculateError>;
}

/// A model.
pub(crate) struct Live<'a> {
    pub(crate) target: &'a mut Side,
    pub(crate) verifier: &'a dyn Verifier,
    pub(crate) sampling: Sampling,
    pub(crate) randomness: Randomness,
}

/// The target's laws behind the nodes of a proposal, computed when they are asked for.
struct PassLaws<'a> {
    /// The first stands behind the committed text, the one at i + 1 behind node i.
    rows: Vec<&'a [f32]>,
    proposal: &'a Proposal,
    committed: &'a [u32],
    sampling: Sampling,
}

impl Laws for PassLaws<'_> {
    fn after(&self, node: Option<usize>) -> Law {
        let row = self.rows[node.map_or(0, |node| node + 1)];
        self.sampling.law(row, &[self.committed, &self.proposal.path_to(node)])
    }
}

impl Live<'_> {
    /// What the model itself decides, where it can and the rule is its own.
    fn judged(
        &mut self,
        proposal: &Proposal,
        last: u32,
        start: usize,
    ) -> Option<Result<Verdict, SpeculateError>> {
        let Self { sampling, randomness, .. } = *self;
        if !self.verifier.is_by_token() || !sampling.has_temperature_only() {
            return None;
        }
        let candidates: Vec<Candidate<'_>> = proposal
            .nodes()
            .iter()
            .map(|node| Candidate { token: node.token, parent: node.parent, law: node.law() })
            .collect();
        let temperature = sampling.temperature;
        let case = Case { last, candidates: &candidates, temperature, randomness, start };
        Some(self.target.session.judge(&case)?.map_err(SpeculateError::from))
    }
}

impl Speaker for Live<'_> {
    fn reader(&self) -> Reader<'_> {
        self.target.reader()
    }

    fn begin(&mut self, prompt: &Context) -> Result<u32, SpeculateError> {
        let Self { sampling, randomness, .. } = *self;
        self.target.session.reset();
        let rows = vec![self.target.session.advance_to(prompt.ids())?];
        let proposal = &Proposal::default();
        let laws = PassLaws { rows, proposal, committed: prompt.ids(), sampling };
        Ok(self.verifier.verify(proposal, &laws, randomness, 0)?.next)
    }

    fn known(&self, _position: usize) -> Option<Known<'_>> {
        None
    }

    /// One pass over the last emitted token and the candidates behind it; the cache keeps those that are
    /// accepted.
    fn verify(
        &mut self,
        proposal: &Proposal,
        committed: &Context,
        position: usize,
    ) -> Result<Verdict, SpeculateError> {
        let Self { sampling, randomness, .. } = *self;
        let committed = committed.ids();
        let last = committed[committed.len() - 1];
        if let Some(verdict) = self.judged(proposal, last, position) {
            return verdict;
        }
        let mut ids = vec![last];
        ids.extend(proposal.nodes().iter().map(|node| node.token));
        let session = &mut self.target.session;
        let base = session.ids().len() + 1;
        let logits = if proposal.is_chain() {
            session.read_all(&ids)?
        } else {
            let mut parents = vec![None];
            let below = |parent: Option<usize>| Some(parent.map_or(0, |parent| parent + 1));
            parents.extend(proposal.nodes().iter().map(|node| below(node.parent)));
            session.read_tree(session.ids().len(), &ids, &parents)?
        };
        let laws = PassLaws { rows: logits.iter().collect(), proposal, committed, sampling };
        let verdict = self.verifier.verify(proposal, &laws, randomness, position)?;
        session.keep_path(base, &verdict.path);
        Ok(verdict)
    }
}
