//! The tokens of a vocabulary as a trie of bytes: which token is the longest that a stream of bytes
//! begins with, and whether a longer one is still possible. Knows bytes and ids only.

/// A place in the trie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node(u32);

/// All tokens of a vocabulary, byte by byte.
#[derive(Clone, Debug)]
pub struct ByteTrie {
    nodes: Vec<Branches>,
    edges: Vec<(u8, Node)>,
}

#[derive(Clone, Copy, Debug)]
struct Branches {
    first: u32,
    count: u16,
    token: Option<u32>,
}

/// What stands for no node or token.
const NONE: u32 = u32::MAX;

/// How far a stream of bytes has been followed. Small, for lists of thousands are kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    node: u32,
    token: u32,
    token_length: u32,
    length: u32,
}

impl Match {
    /// A match of nothing yet that goes on from a place.
    pub fn from_node(node: Node) -> Self {
        Self { node: node.0, token: NONE, token_length: 0, length: 0 }
    }

    /// A match that ended at its first byte, with which no token goes on.
    pub fn of_other_byte() -> Self {
        Self { node: NONE, token: NONE, token_length: 0, length: 1 }
    }

    /// Where it is; `None` where no token goes on like this, so that the match is settled.
    pub fn node(&self) -> Option<Node> {
        (self.node != NONE).then_some(Node(self.node))
    }

    /// The longest token so far, with its length in bytes.
    pub fn token(&self) -> Option<(u32, usize)> {
        (self.token != NONE).then_some((self.token, self.token_length as usize))
    }

    /// Bytes followed.
    pub fn length(&self) -> usize {
        self.length as usize
    }

    /// A match that goes on as `step`, which was followed from its place.
    #[must_use]
    pub fn then(self, step: Self) -> Self {
        let (token, token_length) = if step.token == NONE {
            (self.token, self.token_length)
        } else {
            (step.token, self.length + step.token_length)
        };
        Self { node: step.node, token, token_length, length: self.length + step.length }
    }
}

impl ByteTrie {
    /// Where every stream begins.
    pub const ROOT: Node = Node(0);

    /// A trie of tokens in the order of their bytes, as [`crate::Vocabulary::clean_tokens`] gives them;
    /// of several with the same bytes the first counts.
    pub fn new<'t>(tokens: impl Iterator<Item = (&'t [u8], u32)>) -> Self {
        let tokens: Vec<(&[u8], u32)> = tokens.collect();
        let empty = Branches { first: 0, count: 0, token: None };
        let mut trie = Self { nodes: vec![empty], edges: Vec::new() };
        let mut open = vec![(0..tokens.len(), 0, 0)];
        while let Some((range, depth, node)) = open.pop() {
            let tokens = &tokens[range.clone()];
            let ended = tokens.iter().take_while(|(bytes, _)| bytes.len() == depth).count();
            let first = trie.edges.len();
            let mut from = range.start + ended;
            for group in tokens[ended..].chunk_by(|(a, _), (b, _)| a[depth] == b[depth]) {
                let child = trie.nodes.len();
                trie.edges.push((group[0].0[depth], Node(child as u32)));
                trie.nodes.push(empty);
                open.push((from..from + group.len(), depth + 1, child));
                from += group.len();
            }
            trie.nodes[node] = Branches {
                first: first as u32,
                count: (trie.edges.len() - first) as u16,
                token: tokens[..ended].first().map(|&(_, id)| id),
            };
        }
        trie
    }

    /// The place one byte further.
    pub fn step(&self, node: Node, byte: u8) -> Option<Node> {
        let edges = self.edges(node);
        let found = edges.binary_search_by_key(&byte, |&(own, _)| own);
        found.ok().map(|index| edges[index].1)
    }

    /// The bytes that tokens go on with from there.
    pub fn next_bytes(&self, node: Node) -> impl Iterator<Item = u8> {
        self.edges(node).iter().map(|&(byte, _)| byte)
    }

    /// The token that ends there.
    pub fn token(&self, node: Node) -> Option<u32> {
        self.nodes[node.0 as usize].token
    }

    /// Whether no token goes on from there.
    pub fn is_leaf(&self, node: Node) -> bool {
        self.nodes[node.0 as usize].count == 0
    }

    fn edges(&self, node: Node) -> &[(u8, Node)] {
        let Branches { first, count, .. } = self.nodes[node.0 as usize];
        &self.edges[first as usize..][..count.into()]
    }

    /// A stream that nothing is known of yet.
    pub fn start() -> Match {
        Match::from_node(Self::ROOT)
    }

    /// Follows a stream further. A match that no longer token can replace is settled.
    #[must_use]
    pub fn follow(&self, mut at: Match, bytes: &[u8]) -> Match {
        let mut node = at.node();
        for &byte in bytes {
            let Some(from) = node else { break };
            node = self.step(from, byte);
            at.length += 1;
            if let Some(token) = node.and_then(|node| self.token(node)) {
                (at.token, at.token_length) = (token, at.length);
            }
        }
        at.node = node.filter(|&node| !self.is_leaf(node)).map_or(NONE, |node| node.0);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(tokens: &[Vec<u8>]) -> Vec<(Vec<u8>, u32)> {
        let mut named: Vec<(Vec<u8>, u32)> =
            tokens.iter().enumerate().map(|(id, bytes)| (bytes.clone(), id as u32)).collect();
        named.sort();
        named
    }

    proptest! {
        #[test]
        fn the_longest_token_is_found_however_the_stream_comes(
            tokens in prop::collection::vec(prop::collection::vec(0u8..3, 1..5), 1..20),
            stream in prop::collection::vec(0u8..3, 0..8),
            cut in 0usize..8,
        ) {
            let named = sorted(&tokens);
            let trie = ByteTrie::new(named.iter().map(|(bytes, id)| (&bytes[..], *id)));
            let (head, tail) = stream.split_at(cut.min(stream.len()));
            let found = trie.follow(trie.follow(ByteTrie::start(), head), tail);
            let longest = named
                .iter()
                .filter(|(bytes, _)| stream.starts_with(bytes))
                .max_by_key(|(bytes, id)| (bytes.len(), std::cmp::Reverse(*id)));
            prop_assert_eq!(found.token(), longest.map(|(bytes, id)| (*id, bytes.len())));
            let open = named.iter().any(|(bytes, _)| {
                bytes.len() > stream.len() && bytes.starts_with(&stream)
            });
            prop_assert_eq!(found.node().is_some(), open);
            let first = trie.follow(ByteTrie::start(), head);
            if let Some(node) = first.node() {
                let from = Match::from_node(node);
                prop_assert_eq!(first.then(trie.follow(from, tail)), found);
                let bytes: Vec<u8> = trie.next_bytes(node).collect();
                if let Some(byte) = tail.first().filter(|byte| !bytes.contains(byte)) {
                    let found = trie.follow(from, tail);
                    prop_assert_eq!(found, Match::of_other_byte(), "{}", byte);
                }
            }
        }
    }
}
