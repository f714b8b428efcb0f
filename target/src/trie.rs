//! Texts as target tokens, merged into a tree: which tokens may follow, and how probable each is.
//! Knows numbers and ids only, no model and no text.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::proposal::{Origin, Proposal};

/// A token at its place.
#[derive(Clone, Debug)]
struct Place {
    token: u32,
    parent: Option<usize>,
    mass: f64,
    children: Vec<usize>,
}

/// A tree of target tokens with the probability that the text runs through each.
#[derive(Clone, Debug, Default)]
pub struct Trie {
    places: Vec<Place>,
    roots: Vec<usize>,
}

/// A place that waits to be chosen: the most probable first, and among equals the one found first.
#[derive(PartialEq)]
struct Waiting {
    chance: f64,
    place: usize,
    depth: usize,
    /// Its rank among its siblings, and its share of what is behind the place before.
    belief: (usize, f64),
}

impl Eq for Waiting {}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.chance.total_cmp(&other.chance).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The places that were chosen.
#[derive(Debug, Default)]
pub struct Best {
    /// As candidates.
    pub proposal: Proposal,
    /// For each its rank among its siblings, and its share of the mass behind the place before.
    pub beliefs: Vec<(usize, f64)>,
    /// The chance of the last one, 0 where there are fewer than asked for.
    pub least: f64,
}

impl Trie {
    /// Adds a text of probability `mass`, of which the first `known` tokens have been credited by a
    /// shorter text that it goes on from.
    pub fn add(&mut self, tokens: &[u32], known: usize, mass: f64) {
        let mut at = None;
        for (depth, &token) in tokens.iter().enumerate() {
            let place = self.child(at, token);
            if depth >= known {
                self.places[place].mass += mass;
            }
            at = Some(place);
        }
    }

    /// Adds a text that something else than the texts so far speaks for: tokens, each with its probability
    /// behind the ones before it. Where both speak for a place, it fails only where both are wrong.
    pub fn support(&mut self, path: &[(u32, f64)]) {
        let (mut at, mut chance) = (None, 1.0);
        for &(token, probability) in path {
            let place = self.child(at, token);
            chance *= probability;
            let mass = &mut self.places[place].mass;
            *mass += (1.0 - mass.min(1.0)) * chance;
            at = Some(place);
        }
    }

    fn child(&mut self, parent: Option<usize>, token: u32) -> usize {
        let fresh = self.places.len();
        let siblings = match parent {
            Some(parent) => &self.places[parent].children,
            None => &self.roots,
        };
        let found = siblings.iter().copied().find(|&place| self.places[place].token == token);
        found.unwrap_or_else(|| {
            self.places.push(Place { token, parent, mass: 0.0, children: Vec::new() });
            match parent {
                Some(parent) => self.places[parent].children.push(fresh),
                None => self.roots.push(fresh),
            }
            fresh
        })
    }

    /// The places that the text most probably runs through, `count` of them and none deeper than `depth`
    /// tokens, each behind its parent. `chance` is the probability that it goes on through a place, by its
    /// rank among its siblings and its share of the mass.
    ///
    /// The mean number of accepted tokens is the sum of the probabilities that the text runs through
    /// each node, so the most probable ones are the best set.
    pub fn best(&self, count: usize, depth: usize, chance: impl Fn(usize, f64) -> f64) -> Best {
        let mut best = Best::default();
        let mut indices = vec![None; self.places.len()];
        let mut waiting = BinaryHeap::new();
        self.wait(&mut waiting, (&self.roots, 1.0), (1.0, 1), &chance);
        while best.proposal.len() < count {
            let Some(next) = waiting.pop() else {
                best.least = 0.0;
                return best;
            };
            if next.depth > depth {
                continue;
            }
            let Place { parent, token, ref children, mass } = self.places[next.place];
            let parent = parent.and_then(|parent| indices[parent]);
            indices[next.place] = Some(best.proposal.branch(parent, token, Origin::Deterministic));
            best.beliefs.push(next.belief);
            best.least = next.chance;
            self.wait(&mut waiting, (children, mass), (next.chance, next.depth + 1), &chance);
        }
        best
    }

    /// Lets the places behind one of some mass and chance wait.
    fn wait(
        &self,
        waiting: &mut BinaryHeap<Waiting>,
        (places, mass): (&[usize], f64),
        (before, depth): (f64, usize),
        chance: &impl Fn(usize, f64) -> f64,
    ) {
        let mut places = places.to_vec();
        places.sort_by(|&a, &b| self.places[b].mass.total_cmp(&self.places[a].mass));
        waiting.extend(places.into_iter().enumerate().map(|(rank, place)| {
            // A text cannot be less probable than what it runs through.
            let share = (self.places[place].mass / mass).min(1.0);
            Waiting { chance: before * chance(rank, share), place, depth, belief: (rank, share) }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_voices_for_a_place_fail_together() {
        let mut trie = Trie::default();
        trie.add(&[1, 2], 0, 0.5);
        trie.support(&[(1, 0.5), (3, 0.8)]);
        let masses: Vec<f64> = trie.places.iter().map(|place| place.mass).collect();
        assert_eq!(masses, [0.75, 0.5, 0.4]);
    }

    #[test]
    fn texts_share_their_beginnings() {
        let mut trie = Trie::default();
        trie.add(&[1], 0, 0.7);
        trie.add(&[1, 2], 1, 0.4);
        trie.add(&[1, 3], 1, 0.2);
        trie.add(&[4], 0, 0.25);
        let Best { proposal, beliefs, least } = trie.best(3, 5, |_, share| share);
        assert_eq!(beliefs.iter().map(|(rank, _)| *rank).collect::<Vec<_>>(), [0, 0, 1]);
        let found: Vec<(u32, Option<usize>)> =
            proposal.nodes().iter().map(|node| (node.token, node.parent)).collect();
        assert_eq!(found, [(1, None), (2, Some(0)), (4, None)]);
        assert!((least - 0.25).abs() < 1e-15);
        let shallow = trie.best(3, 1, |_, share| share);
        assert_eq!(shallow.proposal.len(), 2, "nothing else stands so near");
        assert_eq!(shallow.least, 0.0);
        // Where second ranks never come, the first ones are followed down.
        let chain = trie.best(2, 5, |rank, _| if rank == 0 { 0.9 } else { 0.1 });
        assert_eq!(chain.proposal.path_to(Some(1)), [1, 2]);
    }

    proptest! {
        /// No other set of as many nodes, closed under parents, has a larger sum.
        #[test]
        fn the_set_is_the_best(masses in prop::collection::vec(0.01f64..1.0, 7), count in 1usize..6) {
            // A full binary tree of depth 3, each mass a share of its parent's.
            let mut trie = Trie::default();
            let mut whole = [0.0; 7];
            let paths: [&[u32]; 7] = [&[0], &[1], &[0, 0], &[0, 1], &[1, 0], &[1, 1], &[0, 0, 0]];
            let parents = [None, None, Some(0), Some(0), Some(1), Some(1), Some(2)];
            for (place, path) in paths.iter().enumerate() {
                whole[place] = masses[place] * parents[place].map_or(1.0, |parent: usize| whole[parent]);
                trie.add(path, path.len() - 1, whole[place]);
            }
            let proposal = trie.best(count, 5, |_, share| share).proposal;
            let sum = |places: &[usize]| -> f64 { places.iter().map(|&place| whole[place]).sum() };
            let chosen: Vec<usize> = (0..proposal.len())
                .map(|node| {
                    let path = proposal.path_to(Some(node));
                    paths.iter().position(|own| *own == path).unwrap()
                })
                .collect();
            let best = (0u32..1 << 7)
                .filter(|set| set.count_ones() as usize == count)
                .map(|set| (0..7).filter(|place| set >> place & 1 == 1).collect::<Vec<usize>>())
                .filter(|set| {
                    set.iter().all(|&place| parents[place].is_none_or(|parent| set.contains(&parent)))
                })
                .map(|set| sum(&set))
                .fold(0.0, f64::max);
            prop_assert!((sum(&chosen) - best).abs() < 1e-12);
        }
    }
}
