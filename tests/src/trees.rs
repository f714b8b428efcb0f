//! Trees of ids for models to read. Knows no model.

/// Ids and parents of nodes: each hangs below the root or an earlier node, as its second number says.
pub fn tree(nodes: &[(u32, usize)]) -> (Vec<u32>, Vec<Option<usize>>) {
    let ids = nodes.iter().map(|(id, _)| *id).collect();
    let below = |(index, (_, place)): (usize, &(u32, usize))| (place % (index + 1)).checked_sub(1);
    (ids, nodes.iter().enumerate().map(below).collect())
}

/// The nodes from the root down to one.
pub fn path_to(node: usize, parents: &[Option<usize>]) -> Vec<usize> {
    let mut path: Vec<usize> = std::iter::successors(Some(node), |&node| parents[node]).collect();
    path.reverse();
    path
}
