//! A tree of candidates that grows level by level: what is placed at each place, given the law of the token
//! there, and which places behind them may expect candidates of their own. How many candidates a place gets
//! hangs on what was placed before it, never on what is drawn at it: that is lossless. Knows laws and ids;
//! no model and no text.

use std::rc::Rc;

use draft::Law;

use super::growth::share;
use super::known::Drawing;
use super::siblings::Siblings;
use super::worth::{Belief, Worth};
use crate::observed::{self, Entropy};
use crate::proposal::{Node, Origin, Proposal};

/// Candidates, and what was believed of each.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) proposal: Proposal,
    beliefs: Vec<Option<Belief>>,
}

/// A place with what is known of the token there.
pub(super) struct Place {
    /// The candidate before it; `None` right behind the committed text.
    pub(super) node: Option<usize>,
    /// The probability that the text reaches it.
    pub(super) reached: f64,
    /// The law of its candidates.
    pub(super) law: Option<Law>,
    /// What stood there when the text was the same before, and how probable that is to come again.
    pub(super) echo: Option<(u32, f64)>,
}

/// A candidate that has been placed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed {
    /// The place, in the order given.
    pub(super) place: usize,
    pub(super) node: usize,
    pub(super) reached: f64,
}

/// A candidate that may be chosen: its token, what the law says of it, and the probability that it is
/// accepted.
type Choice = (u32, Option<Belief>, f64);

/// Places candidates, and learns what they were worth.
pub(super) struct Grower {
    pub(super) worth: Worth,
    siblings: Siblings,
    /// Whether candidates are drawn, and not chosen.
    draws: bool,
    /// Candidates of one place, at most.
    most: usize,
}

impl Grower {
    pub(super) fn new(siblings: Siblings, draws: bool, most: usize) -> Self {
        Self { worth: Worth::default(), siblings, draws, most }
    }

    /// Whether each candidate goes on, and not the first of its place alone.
    fn branches(&self) -> bool {
        self.siblings.count.is_none()
    }

    /// Whether what came before may be chosen.
    pub(super) fn uses_echoes(&self) -> bool {
        !self.draws && self.branches()
    }

    /// Adds candidates at places, at most `room` of them, where `depth` in a row are left. Gives those that
    /// may be gone on from.
    pub(super) fn grow(
        &self,
        tree: &mut Tree,
        places: Vec<Place>,
        (room, depth): (usize, usize),
        drawing: Drawing<'_>,
    ) -> Vec<Placed> {
        let choices: Vec<Vec<Choice>> = places.iter().map(|place| self.choices(place)).collect();
        let counts = self.counts((&places, &choices), room, depth);
        let mut placed = Vec::new();
        for (at, (place, count)) in places.into_iter().zip(counts).enumerate() {
            let chances = self.place(tree, (&place, &choices[at]), count, drawing.place(at));
            let goes_on = if self.branches() { chances.len() } else { chances.len().min(1) };
            let first = tree.proposal.len() - chances.len();
            let reached = chances.into_iter().map(|chance| place.reached * chance);
            let own = (first..).zip(reached).take(goes_on);
            placed.extend(own.map(|(node, reached)| Placed { place: at, node, reached }));
        }
        placed
    }

    /// Which of some places may expect candidates, each with the probability that the text reaches it and
    /// with what stood there before, if `room` are left, and `depth` in a row.
    pub(super) fn expect(
        &self,
        places: &[(f64, Option<(u32, f64)>)],
        room: usize,
        depth: usize,
    ) -> Vec<bool> {
        if room == 0 || depth == 0 || !self.branches() {
            return vec![room > 0 && depth > 0; places.len()];
        }
        let later = self.worth.of_ranks();
        let chances: Vec<Vec<f64>> = places
            .iter()
            .map(|(_, echo)| {
                let echo = echo.map(|(_, chance)| chance).filter(|_| self.uses_echoes());
                let first = echo.unwrap_or(0.0).max(later[0]);
                std::iter::once(first).chain(later[1..].iter().copied()).collect()
            })
            .collect();
        let offers: Vec<(f64, &[f64])> =
            places.iter().zip(&chances).map(|((own, _), chances)| (*own, &chances[..])).collect();
        share(&offers, later, room, depth).into_iter().map(|count| count > 0).collect()
    }

    fn counts(
        &self,
        (places, choices): (&[Place], &[Vec<Choice>]),
        room: usize,
        depth: usize,
    ) -> Vec<usize> {
        if !self.branches() {
            return vec![self.siblings.count.unwrap_or(1).min(room); places.len()];
        }
        let later = self.worth.of_ranks();
        let chances: Vec<Vec<f64>> = places
            .iter()
            .zip(choices)
            .map(|(place, choices)| match &place.law {
                Some(_) if self.draws => later.to_vec(),
                _ => choices.iter().map(|(_, _, chance)| *chance).collect(),
            })
            .collect();
        let reached = places.iter().map(|place| place.reached);
        let offers: Vec<(f64, &[f64])> = reached.zip(chances.iter().map(Vec::as_slice)).collect();
        share(&offers, later, room, depth)
    }

    /// What may be chosen at a place where nothing is drawn, the most probably accepted first.
    fn choices(&self, place: &Place) -> Vec<Choice> {
        if self.draws {
            return Vec::new();
        }
        let mut choices: Vec<Choice> = Vec::new();
        if let Some(law) = &place.law {
            let best = most_probable(law, self.most).into_iter().enumerate();
            choices.extend(best.map(|(rank, (token, mass))| {
                let belief = Belief { rank, mass };
                (token, Some(belief), self.worth.of_chosen(belief))
            }));
        }
        if let (Some((token, again)), true) = (place.echo, self.uses_echoes()) {
            match choices.iter_mut().find(|(own, _, _)| *own == token) {
                Some((_, _, chance)) => *chance += (1.0 - *chance) * again,
                None => choices.push((token, None, again)),
            }
        }
        choices.sort_by(|a, b| b.2.total_cmp(&a.2));
        choices
    }

    /// Adds the candidates of a place. Gives how probably each is accepted where the place is reached.
    fn place(
        &self,
        tree: &mut Tree,
        (place, choices): (&Place, &[Choice]),
        count: usize,
        drawing: Drawing<'_>,
    ) -> Vec<f64> {
        if count == 0 {
            return Vec::new();
        }
        if !self.draws {
            let chosen = &choices[..count.min(choices.len())];
            let law = place.law.clone().map(Rc::new);
            for &(token, belief, _) in chosen {
                let node = tree.proposal.branch(place.node, token, Origin::Deterministic);
                if let (Some(Belief { mass, .. }), Some(law)) = (belief, &law) {
                    let entropy = Entropy::Of(Rc::clone(law));
                    tree.proposal.believe(node, observed::Belief { probability: mass, entropy });
                }
                tree.beliefs.push(belief);
            }
            return chosen.iter().map(|(_, _, chance)| *chance).collect();
        }
        let Some(law) = &place.law else { return Vec::new() };
        let first = tree.proposal.len();
        self.siblings.rule.place(&mut tree.proposal, (place.node, count), law.clone(), drawing);
        let (mut chosen, mut drawn) = (0.., 0..);
        let believe = |node: &Node| {
            let ranks = if node.law().is_some() { &mut drawn } else { &mut chosen };
            let mass = node.law().unwrap_or(law).probability(node.token);
            ranks.next().map(|rank| Belief { rank, mass })
        };
        tree.beliefs.extend(tree.proposal.nodes()[first..].iter().map(believe));
        self.worth.of(&tree.proposal.nodes()[first..], &tree.beliefs[first..])
    }

    /// Takes note of a round's candidates, whose fate is heard next.
    pub(super) fn end(&mut self, tree: Tree) -> Proposal {
        self.worth.note(&tree.proposal, tree.beliefs);
        tree.proposal
    }
}

/// The most probable tokens with their probabilities, the smaller id first among equals.
fn most_probable(law: &Law, count: usize) -> Vec<(u32, f64)> {
    let mut entries: Vec<(u32, f64)> = law.entries().collect();
    let by_mass = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if entries.len() > count {
        entries.select_nth_unstable_by(count, by_mass);
        entries.truncate(count);
    }
    entries.sort_by(by_mass);
    entries
}

#[cfg(test)]
mod tests {
    use super::super::siblings::Rule;
    use super::*;
    use draft::Key;

    fn law(masses: &[f64]) -> Law {
        Law::dense(masses.iter().map(|mass| mass.ln()).collect())
    }

    fn place(law: Law, echo: Option<(u32, f64)>) -> Place {
        Place { node: None, reached: 1.0, law: Some(law), echo }
    }

    fn tokens(tree: &Tree) -> Vec<u32> {
        tree.proposal.nodes().iter().map(|node| node.token).collect()
    }

    #[test]
    fn what_is_chosen_is_the_most_probable_and_what_came_before() {
        let grower = Grower::new(Siblings { count: None, rule: Rule::Drawn }, false, 16);
        let mut tree = Tree::default();
        let places = vec![place(law(&[0.1, 0.6, 0.3]), Some((7, 0.5)))];
        let placed = grower.grow(&mut tree, places, (3, 1), Drawing::by(Key(1)));
        assert_eq!(tokens(&tree), [1, 7, 2]);
        assert_eq!(placed.len(), 3);
        assert!(tree.proposal.nodes().iter().all(|node| node.law().is_none()));
        // Where both speak for a token, it fails only where both are wrong.
        let mut tree = Tree::default();
        let places = vec![place(law(&[0.1, 0.6, 0.3]), Some((1, 0.5)))];
        let placed = grower.grow(&mut tree, places, (1, 1), Drawing::by(Key(1)));
        assert!((placed[0].reached - 0.8).abs() < 0.01);
        // Nothing is known but what came before.
        let mut tree = Tree::default();
        let places = vec![Place { law: None, ..place(law(&[1.0]), Some((7, 0.5))) }];
        grower.grow(&mut tree, places, (3, 1), Drawing::by(Key(1)));
        assert_eq!(tokens(&tree), [7]);
    }

    #[test]
    fn what_is_drawn_is_given_with_its_law() {
        let whole = law(&[0.1, 0.6, 0.3]);
        for rule in [Rule::Drawn, Rule::Greedy] {
            let grower = Grower::new(Siblings { count: None, rule }, true, 16);
            let mut tree = Tree::default();
            let placed = grower.grow(
                &mut tree,
                vec![place(whole.clone(), None)],
                (3, 1),
                Drawing::by(Key(4)),
            );
            assert_eq!(placed.len(), 3);
            let drawn: Vec<&Node> =
                tree.proposal.nodes().iter().filter(|node| node.law().is_some()).collect();
            assert_eq!(drawn.len(), if rule == Rule::Drawn { 3 } else { 1 });
            assert!(placed.windows(2).all(|pair| pair[0].reached >= pair[1].reached));
        }
    }

    #[test]
    fn one_candidate_a_place_is_a_chain() {
        let grower = Grower::new(Siblings::default(), true, 16);
        let mut tree = Tree::default();
        let placed = grower.grow(
            &mut tree,
            vec![place(law(&[0.5, 0.5]), None)],
            (9, 9),
            Drawing::by(Key(4)),
        );
        assert_eq!((placed.len(), tree.proposal.len()), (1, 1));
        assert_eq!(grower.expect(&[(1.0, None)], 8, 8), [true]);
        assert_eq!(grower.expect(&[(1.0, None)], 0, 8), [false]);
    }

    /// How many candidates a place has, and which places are gone on from, does not hang on what is drawn
    /// there.
    #[test]
    fn counts_come_before_draws() {
        let grower = Grower::new(Siblings { count: None, rule: Rule::Drawn }, true, 16);
        let counts = |key: u64| {
            let mut tree = Tree::default();
            grower.grow(
                &mut tree,
                vec![place(law(&[0.9, 0.05, 0.03, 0.02]), None)],
                (9, 3),
                Drawing::by(Key(key)),
            );
            tree.proposal.len()
        };
        assert!((0..50).all(|key| counts(key) == counts(0)));
    }
}
