//! What a draft's stream of bytes says about the next target token: the law of the longest target token
//! that the stream begins with, over the texts that have been read so far. A draft token whose bytes
//! reach beyond a target token goes on into the next one, one without bytes (a case marker) goes on into
//! the same one, and the pieces of a character are bytes like others. Knows probabilities, bytes and ids;
//! no model. (Byte marginals of a token model: Phan et al., 2410.09303; Vieira et al., 2412.03719.)

use std::cell::RefCell;
use std::collections::HashMap;

use align::byte_trie::Node;
use align::{ByteTrie, DecodeState, Match, Vocabulary};
use draft::Law;

/// How much of a text's mass reading on is believed to move where its bytes are a whole token that a
/// longer one could replace.
const OPEN: f64 = 0.25;

/// Both vocabularies as the stream needs them.
pub(super) struct Bytes<'a> {
    /// The draft's.
    pub(super) draft: &'a Vocabulary,
    /// The target's tokens.
    pub(super) trie: &'a ByteTrie,
    /// The target's end of text.
    pub(super) end: Option<u32>,
    /// What has been followed before.
    pub(super) steps: &'a RefCell<Steps>,
}

/// How many places' steps are kept.
const PLACES: usize = 256;

/// Where each draft id leads from a place in the target's trie, filled in as it is asked for.
#[derive(Debug, Default)]
pub(super) struct Steps {
    places: HashMap<(Node, DecodeState), Vec<Option<Match>>>,
}

impl Steps {
    fn at(&mut self, node: Node, state: DecodeState, rows: usize) -> &mut [Option<Match>] {
        if self.places.len() >= PLACES {
            self.places.clear();
        }
        self.places.entry((node, state)).or_insert_with(|| vec![None; rows])
    }
}

/// A text that has been read: its last id, the text before it, and what it leaves the decoder in.
#[derive(Clone, Copy, Debug)]
struct Read {
    id: u32,
    before: Option<usize>,
    state: DecodeState,
}

/// A text that has not been read.
#[derive(Clone, Debug)]
struct Branch {
    id: u32,
    before: Option<usize>,
    mass: f64,
    /// Its bytes before those of its last id: an index into the stream's prefixes.
    prefix: usize,
    /// How many of its bytes the tokens drawn so far have.
    drawn: usize,
    /// What the others begin with.
    at: Match,
    /// Whether the text ends there.
    ended: bool,
}

impl Branch {
    /// How much of the law reading on is believed to change; `None` where nothing does.
    fn gain(&self) -> Option<f64> {
        self.at.node?;
        let whole = self.at.token.is_some_and(|(_, length)| length == self.at.length);
        let gain = if whole { OPEN * self.mass } else { self.mass };
        (!self.ended && gain > 0.0).then_some(gain)
    }

    /// The token that it counts for.
    fn token(&self, bytes: &Bytes<'_>) -> Option<u32> {
        match self.at.token {
            Some((token, _)) => Some(token),
            None if self.ended && self.at.length == 0 => bytes.end,
            None => None,
        }
    }
}

/// A text to be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wanted {
    branch: usize,
    /// Its last id.
    pub(super) id: u32,
    /// The text before it, in the order of reading.
    pub(super) before: Option<usize>,
}

/// The texts that a draft may go on with, and the target tokens that they begin with.
pub(super) struct Stream {
    state: DecodeState,
    read: Vec<Read>,
    branches: Vec<Branch>,
    prefixes: Vec<Vec<u8>>,
    /// Branches of no more mass are left out.
    floor: f64,
}

impl Stream {
    /// The continuations of a text that leaves the draft's decoder in `state`, by the draft's law behind
    /// it. What has no more than `floor` of the mass is left out.
    pub(super) fn new(
        state: DecodeState,
        law: &[(u32, f64)],
        floor: f64,
        bytes: &Bytes<'_>,
    ) -> Self {
        let (read, branches, prefixes) = (Vec::new(), Vec::new(), Vec::new());
        let mut stream = Self { state, read, branches, prefixes, floor };
        stream.go_on((None, 1.0), Vec::new(), law, bytes);
        stream
    }

    /// The best texts to read next, at most `count`.
    pub(super) fn wanted(&self, count: usize) -> Vec<Wanted> {
        let gains = self.branches.iter().enumerate();
        let mut found: Vec<(f64, usize)> =
            gains.filter_map(|(branch, own)| Some((own.gain()?, branch))).collect();
        let by_gain = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if found.len() > count {
            found.select_nth_unstable_by(count, by_gain);
            found.truncate(count);
        }
        found.sort_by(by_gain);
        let named = |(_, branch): (f64, usize)| {
            let Branch { id, before, .. } = self.branches[branch];
            Wanted { branch, id, before }
        };
        found.into_iter().map(named).collect()
    }

    /// Ids and parents of all texts that have been read.
    pub(super) fn slots(&self) -> (Vec<u32>, Vec<Option<usize>>) {
        self.read.iter().map(|text| (text.id, text.before)).unzip()
    }

    /// Takes in that a text has been read, with the draft's law behind it.
    pub(super) fn expand(&mut self, wanted: Wanted, law: &[(u32, f64)], bytes: &Bytes<'_>) {
        let (own, state) = self.bytes_of(&self.branches[wanted.branch], bytes);
        let Branch { id, before, ref mut mass, .. } = self.branches[wanted.branch];
        let mass = std::mem::take(mass);
        self.read.push(Read { id, before, state });
        self.go_on((Some(self.read.len() - 1), mass), own, law, bytes);
    }

    /// The bytes of a branch behind the tokens drawn so far, and what it leaves the decoder in.
    fn bytes_of(&self, branch: &Branch, bytes: &Bytes<'_>) -> (Vec<u8>, DecodeState) {
        let mut state = self.state_after(branch.before);
        let mut own = self.prefixes[branch.prefix].clone();
        if !branch.ended {
            bytes.draft.advance(&mut state, branch.id, &mut own);
        }
        own.drain(..branch.drawn);
        (own, state)
    }

    fn state_after(&self, text: Option<usize>) -> DecodeState {
        text.map_or(self.state, |text| self.read[text].state)
    }

    /// Adds the continuations of a text of probability `mass` that has been read.
    fn go_on(
        &mut self,
        (before, mass): (Option<usize>, f64),
        prefix: Vec<u8>,
        law: &[(u32, f64)],
        bytes: &Bytes<'_>,
    ) {
        let from = bytes.trie.follow(ByteTrie::start(), &prefix);
        let state = self.state_after(before);
        self.prefixes.push(prefix);
        let (prefix, mut own) = (self.prefixes.len() - 1, Vec::new());
        let Some(node) = from.node else { return };
        let mut steps = bytes.steps.borrow_mut();
        let steps = steps.at(node, state, bytes.draft.rows());
        for &(id, probability) in law {
            let mass = mass * probability;
            if mass <= self.floor {
                continue;
            }
            let ended = !bytes.draft.is_token(id);
            let step = *steps[id as usize].get_or_insert_with(|| {
                own.clear();
                if !ended {
                    bytes.draft.advance(&mut state.clone(), id, &mut own);
                }
                bytes.trie.follow(Match { node: Some(node), token: None, length: 0 }, &own)
            });
            let at = from.then(step);
            self.branches.push(Branch { id, before, mass, prefix, drawn: 0, at, ended });
        }
    }

    /// The law of the next target token, ids ascending; `None` where nothing begins with a token. A text
    /// that could still begin with a longer token counts for the one that it begins with so far.
    pub(super) fn law(&self, bytes: &Bytes<'_>) -> Option<Law> {
        let masses = self.branches.iter().filter(|branch| branch.mass > 0.0);
        let mut masses: Vec<(u32, f64)> =
            masses.filter_map(|branch| Some((branch.token(bytes)?, branch.mass))).collect();
        masses.sort_by_key(|&(token, _)| token);
        let sum = |group: &[(u32, f64)]| -> f64 { group.iter().map(|(_, mass)| mass).sum() };
        let groups = masses.chunk_by(|(a, _), (b, _)| a == b);
        let entries: Vec<(u32, f64)> = groups.map(|group| (group[0].0, sum(group).ln())).collect();
        (!entries.is_empty()).then(|| Law::sparse(entries))
    }

    /// Goes on behind `token`, with what began with it. At most `count` texts are kept.
    pub(super) fn advance(&mut self, token: u32, count: usize, bytes: &Bytes<'_>) {
        let mut kept = std::mem::take(&mut self.branches);
        kept.retain(|branch| branch.mass > 0.0 && branch.token(bytes) == Some(token));
        kept.sort_by(|a, b| b.mass.total_cmp(&a.mass));
        kept.truncate(count);
        let total: f64 = kept.iter().map(|branch| branch.mass).sum();
        for mut branch in kept {
            let Some((_, length)) = branch.at.token else { continue };
            branch.drawn += length;
            let (rest, _) = self.bytes_of(&branch, bytes);
            branch.at = bytes.trie.follow(ByteTrie::start(), &rest);
            branch.mass /= total;
            self.branches.push(branch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use align::Entry;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const DRAFT: [&str; 5] = ["a", "b", "ab", "ba", "bb"];
    const END: u32 = 9;

    fn draft() -> Vocabulary {
        let token = |text: &&str| Entry::Token(text.as_bytes().into());
        let end = [Entry::Special("</s>".into())];
        Vocabulary::plain(DRAFT.iter().map(token).chain(end).collect())
    }

    fn trie(tokens: &[&'static str]) -> ByteTrie {
        let mut named: Vec<(&[u8], u32)> =
            tokens.iter().zip(0..).map(|(text, id)| (text.as_bytes(), id)).collect();
        named.sort_unstable();
        ByteTrie::new(named.into_iter())
    }

    /// A law that the last id decides.
    fn law(weights: &[f64], last: Option<u32>) -> Vec<(u32, f64)> {
        let row = last.map_or(0, |id| id as usize + 1);
        let own: Vec<f64> = (0..6).map(|id| weights[(7 * row + id) % weights.len()]).collect();
        let total: f64 = own.iter().sum();
        own.into_iter().enumerate().map(|(id, weight)| (id as u32, weight / total)).collect()
    }

    /// The law of the first `count` longest matches, by all texts of the draft.
    fn enumerated(
        weights: &[f64],
        trie: &ByteTrie,
        (text, last, mass): (&str, Option<u32>, f64),
        drawn: &[u32],
        law_of_next: &mut BTreeMap<u32, f64>,
    ) {
        for (id, probability) in law(weights, last) {
            let ended = id as usize == DRAFT.len();
            let longer = if ended { text.to_owned() } else { [text, DRAFT[id as usize]].concat() };
            let (mut rest, mut found) = (longer.as_bytes(), Vec::new());
            let mut settled = true;
            while found.len() <= drawn.len() && settled {
                let at = trie.follow(ByteTrie::start(), rest);
                settled = at.node.is_none() || ended;
                match at.token {
                    Some((token, length)) if settled => {
                        found.push(token);
                        rest = &rest[length..];
                    }
                    None if ended && rest.is_empty() => {
                        found.push(END);
                        break;
                    }
                    _ => break,
                }
            }
            let shared = found.len().min(drawn.len());
            if found[..shared] != drawn[..shared] {
                continue;
            }
            if found.len() > drawn.len() {
                *law_of_next.entry(found[drawn.len()]).or_default() += mass * probability;
            } else if !ended {
                let next = (&longer[..], Some(id), mass * probability);
                enumerated(weights, trie, next, drawn, law_of_next);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_whole_law_is_that_of_the_longest_match(
            weights in prop::collection::vec(0.05f64..1.0, 11),
            second in 0usize..3,
        ) {
            let vocabulary = draft();
            let trie = trie(&["a", "b", "ab", "aab", "bb", "bab"]);
            let steps = RefCell::default();
            let bytes = Bytes { draft: &vocabulary, trie: &trie, end: Some(END), steps: &steps };
            let mut stream = Stream::new(DecodeState::default(), &law(&weights, None), 0.0, &bytes);
            let mut drawn = Vec::new();
            for _ in 0..2 {
                loop {
                    let wanted = stream.wanted(4);
                    if wanted.is_empty() {
                        break;
                    }
                    for text in wanted {
                        stream.expand(text, &law(&weights, Some(text.id)), &bytes);
                    }
                }
                let mut expected = BTreeMap::new();
                enumerated(&weights, &trie, ("", None, 1.0), &drawn, &mut expected);
                let total: f64 = expected.values().sum();
                let found = stream.law(&bytes).unwrap();
                for token in (0..6).chain([END]) {
                    let mass = expected.get(&token).copied().unwrap_or_default() / total;
                    prop_assert!((found.probability(token) - mass).abs() < 1e-9, "{token}");
                }
                let token = found.entries().nth(second).unwrap().0;
                drawn.push(token);
                stream.advance(token, usize::MAX, &bytes);
            }
        }
    }

    #[test]
    fn a_marker_without_bytes_goes_on_into_the_same_token() {
        use align::tokenmonster::Capcode;
        let entries = ["a", "C", " "].map(|text| Entry::Token(text.as_bytes().into()));
        let vocabulary = Vocabulary::new(entries.to_vec(), Capcode::Full);
        let trie = trie(&["a", "A", " "]);
        let steps = RefCell::default();
        let bytes = Bytes { draft: &vocabulary, trie: &trie, end: None, steps: &steps };
        let first = [(0, 0.5), (1, 0.5)];
        let mut stream = Stream::new(DecodeState::default(), &first, 0.0, &bytes);
        let marker = stream.wanted(1)[0];
        assert_eq!(marker.id, 1);
        stream.expand(marker, &[(0, 1.0)], &bytes);
        let law = stream.law(&bytes).unwrap();
        assert_eq!((law.probability(0), law.probability(1)), (0.5, 0.5));
    }

    #[test]
    fn what_a_draft_token_holds_beyond_the_target_token_stays() {
        let vocabulary = draft();
        let trie = trie(&["a", "b"]);
        let steps = RefCell::default();
        let bytes = Bytes { draft: &vocabulary, trie: &trie, end: None, steps: &steps };
        let mut stream = Stream::new(DecodeState::default(), &[(2, 1.0)], 0.0, &bytes);
        assert_eq!(stream.law(&bytes).unwrap().probability(0), 1.0);
        stream.advance(0, 9, &bytes);
        assert_eq!(stream.law(&bytes).unwrap().probability(1), 1.0);
        assert!(stream.wanted(1).is_empty(), "nothing had to be read");
        stream.advance(1, 9, &bytes);
        assert!(stream.law(&bytes).is_none());
        assert_eq!(stream.wanted(9).len(), 1);
    }
}
