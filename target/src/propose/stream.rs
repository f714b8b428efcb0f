//! What a draft's stream of bytes says about the next target token: the law of the longest target token
//! that the stream begins with, over the texts that have been read so far. A draft token whose bytes
//! reach beyond a target token goes on into the next one, one without bytes (a case marker) goes on into
//! the same one, and the pieces of a character are bytes like others. Knows probabilities, bytes and ids;
//! no model. (Byte marginals of a token model: Phan et al., 2410.09303; Vieira et al., 2412.03719.)

use std::cell::RefCell;

use align::byte_trie::Node;
use align::{ByteTrie, DecodeState, Match, Vocabulary};
use draft::{Law, Spare};

use super::start::{Start, Step};
use super::sums::log_sums;

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

/// How many decoder states' steps are kept.
const STATES: usize = 64;

/// What each draft id says in a state of the decoder.
#[derive(Debug)]
struct Spoken {
    text: Vec<u8>,
    /// Where each id's bytes end.
    ends: Vec<u32>,
    /// Where each leads from the beginning of a token.
    first: Vec<Match>,
    /// Whether each ends the text.
    is_end: Vec<bool>,
}

impl Spoken {
    fn new(state: DecodeState, draft: &Vocabulary, trie: &ByteTrie) -> Self {
        let (mut text, mut ends) = (Vec::new(), Vec::with_capacity(draft.rows()));
        let (mut first, mut start) = (Vec::with_capacity(draft.rows()), 0);
        for id in 0..draft.rows() as u32 {
            draft.advance(&mut state.clone(), id, &mut text);
            first.push(trie.follow(ByteTrie::start(), &text[start..]));
            start = text.len();
            ends.push(start as u32);
        }
        let is_end = (0..draft.rows() as u32).map(|id| !draft.is_token(id)).collect();
        Self { text, ends, first, is_end }
    }

    fn bytes(&self, id: u32) -> &[u8] {
        let start = (id as usize).checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[id as usize] as usize]
    }

    /// Where an id leads from a place in the target's trie.
    fn step(&self, place: &Place<'_>, id: u32) -> Match {
        if place.node == ByteTrie::ROOT {
            return self.first[id as usize];
        }
        let own = self.bytes(id);
        match own.first() {
            Some(&byte) if !place.goes_on[usize::from(byte)] => Match::of_other_byte(),
            _ => place.trie.follow(Match::from_node(place.node), own),
        }
    }
}

/// A place in the target's trie, and which bytes it goes on with: most ids end at their first one.
struct Place<'a> {
    trie: &'a ByteTrie,
    node: Node,
    goes_on: [bool; 256],
}

impl<'a> Place<'a> {
    fn new(trie: &'a ByteTrie, node: Node) -> Self {
        let mut goes_on = [false; 256];
        trie.next_bytes(node).for_each(|byte| goes_on[usize::from(byte)] = true);
        Self { trie, node, goes_on }
    }
}

/// What has been followed before, by the state of the draft's decoder.
#[derive(Debug, Default)]
pub(super) struct Steps {
    states: Vec<(DecodeState, Spoken)>,
}

impl Steps {
    fn at(&mut self, state: DecodeState, bytes: &Bytes<'_>) -> &Spoken {
        let index = self.states.iter().position(|(own, _)| *own == state).unwrap_or_else(|| {
            if self.states.len() >= STATES {
                self.states.clear();
            }
            self.states.push((state, Spoken::new(state, bytes.draft, bytes.trie)));
            self.states.len() - 1
        });
        &self.states[index].1
    }
}

/// A text that has been read: its last id, the text before it, and what it leaves the decoder in.
#[derive(Clone, Copy, Debug)]
struct Read {
    id: u32,
    before: Option<usize>,
    state: DecodeState,
}

/// What stands for no text.
const NONE: u32 = u32::MAX;

/// A text that has not been read. Small, for there are thousands of them a round, and after each pass of a
/// model they come from memory.
#[derive(Clone, Debug)]
struct Branch {
    id: u32,
    /// The text before it, or [`NONE`].
    before: u32,
    mass: f64,
    /// Its bytes before those of its last id: an index into the stream's prefixes.
    prefix: u32,
    /// How many of its bytes are committed or are those of tokens drawn so far.
    drawn: u32,
    /// What the others begin with.
    at: Match,
    /// Whether the text ends there.
    ended: bool,
}

impl Branch {
    /// The text before it.
    fn before(&self) -> Option<usize> {
        (self.before != NONE).then_some(self.before as usize)
    }

    /// How much of the law reading on is believed to change; `None` where nothing does.
    fn gain(&self) -> Option<f64> {
        self.at.node()?;
        let whole = self.at.token().is_some_and(|(_, length)| length == self.at.length());
        let gain = if whole { OPEN * self.mass } else { self.mass };
        (!self.ended && gain > 0.0).then_some(gain)
    }

    /// The token that it counts for.
    fn token(&self, bytes: &Bytes<'_>) -> Option<u32> {
        match self.at.token() {
            Some((token, _)) => Some(token),
            None if self.ended && self.at.length() == 0 => bytes.end,
            None => None,
        }
    }
}

/// A text to be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wanted {
    /// The front that it belongs to.
    pub(super) front: usize,
    branch: usize,
    /// Its probability, as a share of its front.
    pub(super) mass: f64,
    /// Its last id.
    pub(super) id: u32,
    /// The text before it, in the order of reading.
    pub(super) before: Option<usize>,
}

/// The texts that a draft may go on with behind the committed text and some drawn tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Front {
    branches: Vec<Branch>,
}

/// Lists of branches that a thread keeps for the next fronts.
const KEPT: usize = 16;

thread_local! {
    static SPARE: Spare<Branch> = const { Spare::new(KEPT) };
}

impl Drop for Front {
    fn drop(&mut self) {
        let mut branches = std::mem::take(&mut self.branches);
        branches.clear();
        Spare::keep(&SPARE, branches);
    }
}

/// The best texts to read next, at most `count`, of several fronts, each with its probability.
pub(super) fn wanted(fronts: &[(f64, &Front)], count: usize) -> Vec<Wanted> {
    let mut best: Vec<(f64, Wanted)> = Vec::with_capacity(count + 1);
    let mut least = 0.0;
    for (front, (weight, own)) in fronts.iter().enumerate() {
        for (branch, text) in own.branches.iter().enumerate() {
            let gain = weight * text.gain().unwrap_or(0.0);
            if gain > least {
                let (&Branch { mass, id, .. }, before) = (text, text.before());
                let place = best.partition_point(|(other, _)| *other >= gain);
                best.insert(place, (gain, Wanted { front, branch, mass, id, before }));
                best.truncate(count);
                least = if best.len() == count { best[count - 1].0 } else { 0.0 };
            }
        }
    }
    best.into_iter().map(|(_, wanted)| wanted).collect()
}

impl Front {
    /// How much of its law reading on is believed to change.
    pub(super) fn open(&self) -> f64 {
        self.branches.iter().filter_map(Branch::gain).sum()
    }

    /// The law of the next target token, ids ascending; `None` where nothing begins with a token. A text
    /// that could still begin with a longer token counts for the one that it begins with so far.
    pub(super) fn law(&self, bytes: &Bytes<'_>) -> Option<Law> {
        let with_mass = self.branches.iter().filter(|branch| branch.mass > 0.0);
        let masses = with_mass.filter_map(|own| Some((own.token(bytes)?, own.mass)));
        let entries = log_sums(masses);
        (!entries.is_empty()).then(|| Law::sparse(entries))
    }
}

/// All texts that have been read, and their bytes.
pub(super) struct Stream {
    state: DecodeState,
    read: Vec<Read>,
    prefixes: Vec<Vec<u8>>,
    /// Branches of no more mass, as a share of their front, are left out.
    floor: f64,
}

/// A text that is gone on from.
struct From<'a> {
    before: Option<usize>,
    mass: f64,
    law: &'a [(u32, f64)],
}

impl Stream {
    /// The continuations of the committed text. What has no more than `floor` of the mass is left out.
    pub(super) fn begin(start: &Start, floor: f64, bytes: &Bytes<'_>) -> (Self, Front) {
        let (read, prefixes) = (Vec::new(), Vec::new());
        let mut stream = Self { state: start.state, read, prefixes, floor };
        let mut front = Front { branches: Spare::take(&SPARE, 0) };
        for step in start.steps(bytes.draft) {
            let Step { before, state, mass, law, .. } = step;
            if let Some(last) = before {
                let (id, before) = (start.ids[last], last.checked_sub(1));
                stream.read.push(Read { id, before, state });
            }
            if step.known.is_some() {
                stream.go_over(&mut front, &step, bytes);
            } else {
                stream.go_on(&mut front, &From { before, mass, law }, Vec::new(), bytes);
            }
        }
        if !start.ids.is_empty() {
            let total: f64 = front.branches.iter().map(|branch| branch.mass).sum();
            front.branches.iter_mut().for_each(|branch| branch.mass /= total);
            front.branches.retain(|branch| branch.mass > floor);
        }
        (stream, front)
    }

    /// Ids and parents of all texts that have been read.
    pub(super) fn slots(&self) -> (Vec<u32>, Vec<Option<usize>>) {
        self.read.iter().map(|text| (text.id, text.before)).unzip()
    }

    /// Takes in that a text of a front has been read, with the draft's law behind it.
    pub(super) fn expand(
        &mut self,
        front: &mut Front,
        wanted: Wanted,
        law: &[(u32, f64)],
        bytes: &Bytes<'_>,
    ) {
        let branch = &mut front.branches[wanted.branch];
        let mass = std::mem::take(&mut branch.mass);
        let (mut own, before) = (Vec::new(), branch.before());
        self.bytes_of(branch, (&mut bytes.steps.borrow_mut(), bytes), &mut own);
        let mut state = self.state_after(before);
        bytes.draft.advance(&mut state, branch.id, &mut Vec::new());
        self.read.push(Read { id: branch.id, before, state });
        let before = Some(self.read.len() - 1);
        self.go_on(front, &From { before, mass, law }, own, bytes);
    }

    /// The front behind one of a front's tokens, with what began with it. At most `count` texts are kept.
    pub(super) fn behind(
        &self,
        front: &Front,
        token: u32,
        count: usize,
        bytes: &Bytes<'_>,
    ) -> Front {
        let with = |branch: &&Branch| branch.mass > 0.0 && branch.token(bytes) == Some(token);
        let mut kept: Vec<&Branch> = front.branches.iter().filter(with).collect();
        if kept.len() > count {
            kept.sort_by(|a, b| b.mass.total_cmp(&a.mass));
            kept.truncate(count);
        }
        let total: f64 = kept.iter().map(|branch| branch.mass).sum();
        let mut branches = Spare::take(&SPARE, 0);
        let (mut rest, mut steps) = (Vec::new(), bytes.steps.borrow_mut());
        for branch in kept {
            let Some((_, length)) = branch.at.token() else { continue };
            let mut branch = branch.clone();
            branch.drawn += length as u32;
            self.bytes_of(&branch, (&mut steps, bytes), &mut rest);
            branch.at = bytes.trie.follow(ByteTrie::start(), &rest);
            branch.mass /= total;
            branches.push(branch);
        }
        Front { branches }
    }

    /// Puts the bytes of a branch behind those that are drawn into `own`.
    fn bytes_of(
        &self,
        branch: &Branch,
        (steps, bytes): (&mut Steps, &Bytes<'_>),
        own: &mut Vec<u8>,
    ) {
        let spoken = steps.at(self.state_after(branch.before()), bytes);
        own.clear();
        own.extend_from_slice(&self.prefixes[branch.prefix as usize]);
        own.extend_from_slice(spoken.bytes(branch.id));
        own.drain(..branch.drawn as usize);
    }

    fn state_after(&self, text: Option<usize>) -> DecodeState {
        text.map_or(self.state, |text| self.read[text].state)
    }

    /// Adds the continuations of a text that has been read, whose bytes behind those that are drawn are
    /// `own`, to a front.
    fn go_on(&mut self, front: &mut Front, from: &From<'_>, own: Vec<u8>, bytes: &Bytes<'_>) {
        let &From { before, mass, law } = from;
        let at = bytes.trie.follow(ByteTrie::start(), &own);
        let state = self.state_after(before);
        let prefix = self.keep(own);
        let Some(node) = at.node() else { return };
        let before = before.map_or(NONE, |text| text as u32);
        let mut steps = bytes.steps.borrow_mut();
        let spoken = steps.at(state, bytes);
        let place = Place::new(bytes.trie, node);
        front.branches.reserve(law.len());
        for &(id, probability) in law {
            let mass = mass * probability;
            if mass > self.floor {
                let ended = spoken.is_end[id as usize];
                let at = at.then(spoken.step(&place, id));
                front.branches.push(Branch { id, before, mass, prefix, drawn: 0, at, ended });
            }
        }
    }

    /// Adds the continuations that go over the end of the committed text.
    fn go_over(&mut self, front: &mut Front, step: &Step<'_>, bytes: &Bytes<'_>) {
        let &Step { before, law, .. } = step;
        let (prefix, drawn) = (self.keep(Vec::new()), step.left.len() as u32);
        let before = before.map_or(NONE, |text| text as u32);
        let mut steps = bytes.steps.borrow_mut();
        let spoken = steps.at(step.state, bytes);
        for &(id, probability) in law {
            let mass = step.mass * probability;
            if mass <= self.floor || spoken.is_end[id as usize] {
                continue;
            }
            let Some(beyond) = step.beyond(id, spoken.bytes(id)) else { continue };
            let at = bytes.trie.follow(ByteTrie::start(), beyond);
            front.branches.push(Branch { id, before, mass, prefix, drawn, at, ended: false });
        }
    }

    fn keep(&mut self, prefix: Vec<u8>) -> u32 {
        self.prefixes.push(prefix);
        self.prefixes.len() as u32 - 1
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
