//! A text that the target wrote before, told to a proposer. A candidate that would be drawn is the token that
//! came as often as a verifier would have accepted it where that token came, and otherwise another one of the
//! same law; so the candidates that the text runs through have the law that they have with the target at hand.
//! The law of a candidate is there before the token that came is looked at. Knows ids and numbers only.
//!
//! A candidate x of law q is accepted with probability min(1, p(x)/q(x)) and every token that is emitted has
//! law p, so that where x was emitted it was an accepted candidate with probability min(1, q(x)/p(x)).
//! By blocks the first k of a chain were with the least of 1 and the products of the first j ≤ k of q/p.

use draft::{Key, Law, Purpose};

use super::Round;
use crate::proposal::Proposal;
use crate::verify::Verification;

/// A text from the place on at which candidates are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The ids that come.
    pub ids: &'a [u32],
    /// The logarithm of the target's probability of each.
    pub logs: &'a [f64],
    /// How sampled candidates are verified.
    pub verification: Verification,
}

/// The numbers that one step of a round is drawn with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawing<'a> {
    key: Key,
    /// What comes, and the number that decides whether the candidate is what comes.
    known: Option<(Known<'a>, f64)>,
}

impl<'a> Drawing<'a> {
    /// The numbers of the `step`th candidate in a row.
    pub(super) fn of(round: &Round<'a>, step: usize) -> Self {
        let (start, at) = (round.position, round.position + step);
        let decide = |known: Known<'a>| {
            let place = match known.verification {
                Verification::Token => at,
                Verification::Block => start,
            };
            (known, round.randomness.key(place, Purpose::Accept(start)).uniform())
        };
        let key = round.randomness.key(at, Purpose::Draft(start));
        Self { key, known: round.known.map(decide) }
    }

    /// A draw by a key alone.
    #[cfg(test)]
    pub(super) fn by(key: Key) -> Self {
        Self { key, known: None }
    }

    /// The numbers of the place at `index` among those of the same step.
    pub(super) fn place(self, index: usize) -> Self {
        Self { key: self.key.place(index), ..self }
    }

    /// Draws `count` different candidates behind `parent`, or fewer where fewer have mass. Only one alone is
    /// drawn by what is known.
    pub(super) fn draws(
        self,
        law: &Law,
        (proposal, parent): (&Proposal, Option<usize>),
        count: usize,
    ) -> Vec<u32> {
        let Some((known, uniform)) = self.known.filter(|_| count == 1) else {
            return law.draws(self.key, count);
        };
        let path = path(proposal, parent);
        let came = path.iter().zip(known.ids).all(|((token, _), id)| token == id);
        let Some(&next) = known.ids.get(path.len()).filter(|_| came) else {
            return law.draws(self.key, 1);
        };
        if uniform.ln() < known.chance(&path, law.probability(next)) {
            return vec![next];
        }
        let other = law.without(&[next]).draws(self.key, 1);
        // Rounding may leave a law that has all of its mass on the token without any.
        if other.is_empty() { vec![next] } else { other }
    }
}

impl Known<'_> {
    /// The logarithm of the probability that the next candidate is what comes, which its law gives `mass`,
    /// if those on `path` were; by blocks, that all of them are.
    fn chance(&self, path: &[(u32, f64)], mass: f64) -> f64 {
        let at = path.len();
        let log = mass.ln() - self.logs[at];
        match self.verification {
            Verification::Token => log.min(0.0),
            Verification::Block => {
                let earlier = path.iter().zip(self.logs).map(|((_, mass), log)| mass.ln() - log);
                let mut product = 0.0;
                earlier.chain([log]).fold(0.0, |least: f64, log| {
                    product += log;
                    least.min(product)
                })
            }
        }
    }
}

/// Tokens down to `node`, each with what its law gives it; a token that was not drawn counts as certain.
fn path(proposal: &Proposal, node: Option<usize>) -> Vec<(u32, f64)> {
    let (mut path, mut at) = (Vec::new(), node);
    while let Some(index) = at {
        let node = &proposal.nodes()[index];
        path.push((node.token, node.law().map_or(1.0, |law| law.probability(node.token))));
        at = node.parent;
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proposal::Origin;
    use crate::verify::block::Block;
    use draft::Randomness;

    fn law(masses: [f64; 3]) -> Law {
        Law::dense(masses.map(f64::ln).to_vec())
    }

    fn drawing(known: Known<'_>, seed: u64, step: usize) -> Drawing<'_> {
        let randomness = Randomness { seed, prompt: 0 };
        let place = if known.verification == Verification::Token { step } else { 0 };
        let uniform = randomness.key(place, Purpose::Accept(0)).uniform();
        Drawing { key: randomness.key(step, Purpose::Draft(0)), known: Some((known, uniform)) }
    }

    /// How many of 20,000 chains of candidates with these laws run along the text so far.
    fn along(q: &[Law], known: Known<'_>) -> Vec<f64> {
        let draws = 20_000;
        let mut counts = vec![0.0; q.len()];
        for seed in 0..draws {
            let mut proposal = Proposal::default();
            for (step, law) in q.iter().enumerate() {
                let parent = step.checked_sub(1);
                let drawn = drawing(known, seed, step).draws(law, (&proposal, parent), 1);
                proposal.append(drawn[0], Origin::Sampled(law.clone()));
                if proposal.path_to(Some(step)) != known.ids[..=step] {
                    break;
                }
                counts[step] += 1.0 / draws as f64;
            }
        }
        counts
    }

    const Q: [[f64; 3]; 3] = [[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1]];
    const P: [[f64; 3]; 3] = [[0.4, 0.4, 0.2], [0.1, 0.2, 0.7], [0.5, 0.2, 0.3]];

    /// A text's probability, and what each rule says of the share of it whose first candidates were accepted,
    /// by what the verifiers do: for each text, candidates are summed over.
    #[test]
    fn a_text_was_accepted_as_often_as_the_verifiers_accept_it() {
        let (q, p) = (Q.map(law), P.map(law));
        for text in [[0, 0, 0], [0, 2, 1], [1, 0, 0], [2, 2, 2]] {
            let logs: Vec<f64> = (0..3).map(|at| p[at].probability(text[at]).ln()).collect();
            let known = |verification| Known { ids: &text, logs: &logs, verification };
            // Token by token: all of the first k are the text and accepted, by q · min(1, p / q).
            let found = along(&q, known(Verification::Token));
            let mut share = 1.0;
            for (at, &token) in text.iter().enumerate() {
                let (q, p) = (q[at].probability(token), p[at].probability(token));
                share *= q * (p / q).min(1.0) / p;
                assert!((found[at] - share).abs() < 0.02, "{text:?} {at}: {} {share}", found[at]);
            }
            // By blocks: P_k of the paper is the share of the candidates' mass that is accepted so far.
            let found = along(&q, known(Verification::Block));
            let laws: Vec<Law> = p.iter().cloned().chain([law([1.0, 1.0, 1.0])]).collect();
            let block = Block::new(&laws, &q.iter().collect::<Vec<_>>(), &text).unwrap();
            let mut ratio = 1.0;
            for (at, &token) in text.iter().enumerate() {
                ratio *= q[at].probability(token) / p[at].probability(token);
                let share = block.weights[at + 1] * ratio;
                assert!((found[at] - share).abs() < 0.02, "{text:?} {at}: {} {share}", found[at]);
            }
        }
    }

    #[test]
    fn what_its_law_excludes_is_never_a_candidate() {
        let logs = [0.5f64.ln()];
        let known = Known { ids: &[1], logs: &logs, verification: Verification::Token };
        let none = Proposal::default();
        for seed in 0..200 {
            let draw = |law: &Law| drawing(known, seed, 0).draws(law, (&none, None), 1);
            assert_eq!(draw(&Law::Point(0)), [0]);
            assert_eq!(draw(&Law::Point(1)), [1]);
            assert_ne!(draw(&law([0.5, 0.0, 0.5])), [1]);
        }
    }

    #[test]
    fn behind_another_token_the_draft_draws_for_itself() {
        let logs = [0.5f64.ln(); 2];
        let known = Known { ids: &[1, 1], logs: &logs, verification: Verification::Token };
        let mut proposal = Proposal::default();
        proposal.append(0, Origin::Sampled(law([0.5, 0.25, 0.25])));
        for seed in 0..50 {
            let own = drawing(known, seed, 1);
            let drawn = own.draws(&law(Q[0]), (&proposal, Some(0)), 1);
            assert_eq!(drawn, law(Q[0]).draws(own.key, 1));
        }
    }
}
