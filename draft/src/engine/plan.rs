//! Where the ids of a pass stand, and which cached positions each of them sees: those before it, a window
//! of them, or in a tree its ancestors. Knows no weights.

use crate::language_model::depths;

/// What one id of a pass sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its place in the text.
    pub(super) position: usize,
    /// Cached places `first .. until`.
    pub(super) first: usize,
    /// See `first`.
    pub(super) until: usize,
    /// Cached places of its ancestors and of itself, ascending, where it is of a tree.
    pub(super) nodes: Vec<usize>,
}

impl Seen {
    /// Behind the last place that it sees.
    pub(super) fn end(&self) -> usize {
        self.nodes.last().map_or(self.until, |node| node + 1)
    }
}

/// Of `count` ids in a row behind `past` cached ones. `window`: how many places back an id sees,
/// itself included.
pub(super) fn row(past: usize, count: usize, window: Option<usize>) -> Vec<Seen> {
    let seen = |position: usize| Seen {
        position,
        first: window.map_or(0, |window| (position + 1).saturating_sub(window)),
        until: position + 1,
        nodes: Vec::new(),
    };
    (past..past + count).map(seen).collect()
}

/// Of the last `count` nodes of a tree behind the first `base` cached ids.
pub(super) fn tree(
    base: usize,
    count: usize,
    parents: &[Option<usize>],
    window: Option<usize>,
) -> Vec<Seen> {
    let depths = depths(parents);
    let seen = |node: usize| {
        let position = base + depths[node];
        let (mut at, mut left) = (Some(node), window.unwrap_or(usize::MAX));
        let mut nodes = Vec::with_capacity(depths[node] + 1);
        while let Some(index) = at.filter(|_| left > 0) {
            nodes.push(base + index);
            (at, left) = (parents[index], left - 1);
        }
        nodes.reverse();
        let first = window.map_or(0, |window| (position + 1).saturating_sub(window)).min(base);
        Seen { position, first, until: base, nodes }
    };
    (parents.len() - count..parents.len()).map(seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(seen: &Seen) -> Vec<usize> {
        (seen.first..seen.until).chain(seen.nodes.iter().copied()).collect()
    }

    #[test]
    fn rows_see_what_is_before_them() {
        let seen = row(3, 2, None);
        assert_eq!(
            seen.iter().map(places).collect::<Vec<_>>(),
            [vec![0, 1, 2, 3], vec![0, 1, 2, 3, 4]]
        );
        let narrow = row(3, 2, Some(2));
        assert_eq!(narrow.iter().map(places).collect::<Vec<_>>(), [vec![2, 3], vec![3, 4]]);
    }

    #[test]
    fn nodes_see_the_base_and_their_ancestors() {
        let parents = [None, Some(0), Some(0), Some(2)];
        let seen = tree(5, 3, &parents, None);
        assert_eq!(seen.iter().map(|seen| seen.position).collect::<Vec<_>>(), [6, 6, 7]);
        assert_eq!(places(&seen[0]), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(places(&seen[1]), [0, 1, 2, 3, 4, 5, 7]);
        assert_eq!(places(&seen[2]), [0, 1, 2, 3, 4, 5, 7, 8]);
        let narrow = tree(5, 1, &parents, Some(2));
        assert_eq!(places(&narrow[0]), [7, 8]);
        assert_eq!(places(&tree(5, 1, &parents, Some(4))[0]), [4, 5, 7, 8]);
    }
}
