//! What a draft proposes: target tokens, each with its parent, and for each either the exact law it
//! was drawn from or the statement that it was not drawn. Knows neither models nor text.

use draft::Law;

use crate::observed::Belief;

/// How a candidate came about. A verifier may believe it: that is what losslessness rests on.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// Chosen without randomness that depends on the law; verified by drawing from the target.
    Deterministic,
    /// Drawn from this law over target ids, and from no other.
    Sampled(Law),
}

/// A candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The target id.
    pub token: u32,
    /// The node before it, earlier in the proposal; `None` right behind the committed text.
    pub parent: Option<usize>,
    /// How it came about.
    pub origin: Origin,
    /// What the draft said of it, where no law says it; reports read it, verifiers do not.
    pub belief: Option<Belief>,
}

impl Node {
    /// The law that it was drawn from, where it was drawn.
    pub fn law(&self) -> Option<&Law> {
        match &self.origin {
            Origin::Sampled(law) => Some(law),
            Origin::Deterministic => None,
        }
    }
}

/// Candidates of one round, parents before children.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposal {
    nodes: Vec<Node>,
}

impl Proposal {
    /// Deterministic candidates one behind the other.
    pub fn chain(tokens: impl IntoIterator<Item = u32>) -> Self {
        let mut proposal = Self::default();
        for token in tokens {
            proposal.append(token, Origin::Deterministic);
        }
        proposal
    }

    /// Adds a candidate behind the last one.
    pub fn append(&mut self, token: u32, origin: Origin) {
        let parent = self.nodes.len().checked_sub(1);
        self.nodes.push(Node { token, parent, origin, belief: None });
    }

    /// Adds a candidate behind `parent` and gives its index.
    ///
    /// # Panics
    /// If the parent is not in the proposal yet.
    pub fn branch(&mut self, parent: Option<usize>, token: u32, origin: Origin) -> usize {
        assert!(parent.is_none_or(|parent| parent < self.nodes.len()), "parents come first");
        self.nodes.push(Node { token, parent, origin, belief: None });
        self.nodes.len() - 1
    }

    /// Notes what the draft said of a candidate.
    ///
    /// # Panics
    /// If there is no such candidate.
    pub fn believe(&mut self, index: usize, belief: Belief) {
        self.nodes[index].belief = Some(belief);
    }

    /// The candidates.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Number of candidates.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing is proposed.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether each candidate stands behind the one before it.
    pub fn is_chain(&self) -> bool {
        self.nodes.iter().enumerate().all(|(index, node)| node.parent == index.checked_sub(1))
    }

    /// Indices of the candidates right behind `parent`.
    pub fn children(&self, parent: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        self.nodes
            .iter()
            .enumerate()
            .filter(move |(_, node)| node.parent == parent)
            .map(|(index, _)| index)
    }

    /// Tokens from the root down to and including `node`.
    pub fn path_to(&self, node: Option<usize>) -> Vec<u32> {
        let (mut path, mut at) = (Vec::new(), node);
        while let Some(index) = at {
            path.push(self.nodes[index].token);
            at = self.nodes[index].parent;
        }
        path.reverse();
        path
    }

    /// Number of candidates at each depth, from 1 on. Depth 1 is right behind the committed text.
    pub fn by_depth(&self) -> Vec<u64> {
        let mut depths: Vec<usize> = Vec::with_capacity(self.nodes.len());
        let mut counts = Vec::new();
        for node in &self.nodes {
            let depth = node.parent.map_or(0, |parent| depths[parent] + 1);
            depths.push(depth);
            if counts.len() <= depth {
                counts.resize(depth + 1, 0);
            }
            counts[depth] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_knows_its_paths() {
        let mut tree = Proposal::default();
        let a = tree.branch(None, 10, Origin::Deterministic);
        let b = tree.branch(None, 11, Origin::Deterministic);
        let c = tree.branch(Some(a), 12, Origin::Deterministic);
        assert!(!tree.is_chain());
        assert_eq!(tree.children(None).collect::<Vec<_>>(), [a, b]);
        assert_eq!(tree.path_to(Some(c)), [10, 12]);
        assert_eq!(tree.by_depth(), [2, 1]);
        assert!(Proposal::chain([1, 2]).is_chain());
    }
}
