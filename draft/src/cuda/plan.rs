//! Where the ids of one pass stand in the cache, and what each of them sees. Knows numbers only.

use super::CudaError;
use super::arguments::{MASK_WORDS, Token};
use crate::language_model::depths;

/// Nodes of a tree, at most.
pub(super) const MOST_NODES: usize = 32 * MASK_WORDS;

/// The ids of a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) tokens: Vec<Token>,
    pub(super) masks: Vec<[u32; MASK_WORDS]>,
}

impl Plan {
    /// Ids in a row behind `past` cached ones of a prefix.
    pub(super) fn chain(prefix: usize, past: usize, ids: &[u32]) -> Self {
        let token = |(index, &id): (usize, &u32)| {
            let slot = (past + index) as u32;
            Token {
                id,
                prefix: prefix as u32,
                slot,
                position: slot,
                limit: slot + 1,
                end: slot + 1,
                ..Token::default()
            }
        };
        let tokens: Vec<Token> = ids.iter().enumerate().map(token).collect();
        Self { masks: vec![[0; MASK_WORDS]; tokens.len()], tokens }
    }

    /// Nodes of a tree behind the first `base` cached ids of the first prefix: the last ones of
    /// `parents`, the others cached.
    pub(super) fn tree(
        base: usize,
        ids: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Self, CudaError> {
        if parents.len() > MOST_NODES {
            let reason = format!("a tree of {} nodes; {MOST_NODES} are the most", parents.len());
            return Err(CudaError::Unsupported(reason));
        }
        let depths = depths(parents);
        let known = parents.len() - ids.len();
        let mut plan = Self::default();
        for (index, &id) in ids.iter().enumerate() {
            let node = known + index;
            plan.tokens.push(Token {
                id,
                slot: (base + node) as u32,
                position: (base + depths[node]) as u32,
                limit: base as u32,
                end: (base + node + 1) as u32,
                ..Token::default()
            });
            plan.masks.push(line(node, parents));
        }
        Ok(plan)
    }

    /// The tokens, then the masks.
    pub(super) fn words(&self) -> Vec<u32> {
        let tokens = self.tokens.iter().flat_map(|token| token.words());
        tokens.chain(self.masks.iter().flatten().copied()).collect()
    }
}

/// A node and its ancestors.
fn line(node: usize, parents: &[Option<usize>]) -> [u32; MASK_WORDS] {
    let (mut mask, mut at) = ([0; MASK_WORDS], Some(node));
    while let Some(index) = at {
        mask[index / 32] |= 1 << (index % 32);
        at = parents[index];
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_a_row_see_what_is_before_them() {
        let plan = Plan::chain(3, 5, &[7, 8]);
        let [first, second] = plan.tokens[..] else { panic!() };
        assert_eq!((first.prefix, first.slot, first.position, first.limit), (3, 5, 5, 6));
        assert_eq!((second.slot, second.limit, second.end), (6, 7, 7));
    }

    #[test]
    fn nodes_see_their_ancestors() {
        // Behind four ids: 0 and 1 were read before, 2 hangs below 0, 3 below 2.
        let parents = [None, None, Some(0), Some(2)];
        let plan = Plan::tree(4, &[9, 9], &parents).unwrap();
        assert_eq!(plan.tokens[0].slot, 6);
        assert_eq!(plan.tokens[1].position, 4 + 2);
        assert_eq!(plan.masks[1][0], 0b1101);
        assert_eq!(plan.words().len(), 2 * (8 + MASK_WORDS));
        assert!(Plan::tree(0, &[0], &[None; MOST_NODES + 1]).is_err());
    }
}
