//! The byte strings that could be tokens, with how often they stand in the text: parts of atoms, and
//! sequences of whole atoms as far as the mode allows them.

use std::collections::HashSet;

use super::super::format::LONGEST;
use super::super::scalar::{self, First};
use super::atoms::{AtomKind, Atoms};
use super::corpus::Corpus;
use super::fast_hash::FastMap;
use super::{Build, Mode};

/// The most atoms of a sequence.
const LONGEST_SEQUENCE: usize = 10;
/// Of an atom that is longer, such as a line of hyphens, only so much gives candidates.
const LONGEST_ATOM: usize = 128;
/// A sequence is a candidate if it stands in the text once in so many bytes.
const RARE: u64 = 4 << 20;
/// How many candidates there are for each token wanted, and at least.
const EXCESS: usize = 16;
const LEAST: usize = 40_000;
/// What stands between two texts in the stream of atoms.
const BREAK: u32 = u32::MAX;

/// A different atom, and how often it stands in the text.
struct Type<'a> {
    bytes: &'a [u8],
    kind: AtomKind,
    spaced: bool,
    count: u64,
}

/// The text as a stream of atoms.
#[derive(Default)]
struct Stream<'a> {
    types: Vec<Type<'a>>,
    /// The type of each atom, or [`BREAK`].
    atoms: Vec<u32>,
}

impl<'a> Stream<'a> {
    fn read(corpus: &'a Corpus, build: Build) -> Self {
        let mut stream = Self::default();
        let mut known: FastMap<&[u8], u32> = FastMap::default();
        for text in corpus.texts() {
            for atom in Atoms::new(text, build.capcode) {
                let bytes = &text[atom.start..atom.end];
                let id = *known.entry(bytes).or_insert_with(|| {
                    let (kind, spaced) = (atom.kind, atom.spaced);
                    stream.types.push(Type { bytes, kind, spaced, count: 0 });
                    stream.types.len() as u32 - 1
                });
                stream.types[id as usize].count += 1;
                stream.atoms.push(id);
            }
            stream.atoms.push(BREAK);
        }
        stream
    }

    fn get(&self, atom: u32) -> Option<&Type<'a>> {
        self.types.get(atom as usize)
    }
}

/// Candidates with their counts.
pub(super) struct Candidates {
    counted: Vec<(Vec<u8>, u64)>,
}

impl Candidates {
    /// Counts the candidates of a text.
    pub(super) fn count(corpus: &Corpus, build: Build) -> Self {
        let stream = Stream::read(corpus, build);
        let mut counted = parts(&stream);
        counted.extend(sequences(&stream, build.mode, (corpus.bytes / RARE).max(2)));
        // A token's duplicate form has no id of its own.
        if let Some(marker) = build.capcode.delete_marker() {
            counted.retain(|(token, _)| !token.starts_with(&[marker, b' ']));
        }
        Self { counted }
    }

    /// The candidates that cover most of the text, the best first; more than are wanted if there
    /// are.
    pub(super) fn best(self, wanted: usize) -> Vec<Vec<u8>> {
        let mut counted = self.counted;
        let covered = |(token, count): &(Vec<u8>, u64)| count * (token.len() as u64 - 1);
        counted.sort_by(|one, other| (covered(other), &one.0).cmp(&(covered(one), &other.0)));
        // A part of an atom may also be a whole sequence.
        let mut seen = HashSet::new();
        counted.retain(|(token, _)| seen.insert(token.clone()));
        counted.truncate((wanted * EXCESS).max(LEAST));
        counted.into_iter().map(|(token, _)| token).collect()
    }
}

/// All parts of atoms that stand in the text more than once.
fn parts(stream: &Stream) -> Vec<(Vec<u8>, u64)> {
    let mut counts: FastMap<&[u8], u64> = FastMap::default();
    for atom in stream.types.iter().filter(|atom| atom.count > 1 || atom.bytes.len() > LONGEST) {
        let bytes = &atom.bytes[..atom.bytes.len().min(LONGEST_ATOM)];
        let places = boundaries(bytes);
        for (nth, &start) in places.iter().enumerate() {
            for &end in places[nth + 1..].iter().take_while(|end| **end - start <= LONGEST) {
                if end - start > 1 {
                    *counts.entry(&bytes[start..end]).or_default() += atom.count;
                }
            }
        }
    }
    counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(part, count)| (part.to_vec(), count))
        .collect()
}

/// Where scalars begin, and the end.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut places = vec![0];
    let mut at = 0;
    while at < bytes.len() {
        at += match scalar::first(&bytes[at..]) {
            First::Whole(_, width) => width,
            First::Broken | First::Unfinished => 1,
        };
        places.push(at);
    }
    places
}

/// A sequence of atoms: the one that it goes on from, its last atom, its length in bytes.
#[derive(Clone, Copy)]
struct Sequence {
    before: u32,
    last: u32,
    len: usize,
}

/// The sequences of each length, from single atoms on, and those of the greatest length by where
/// they begin.
struct Sequences<'a> {
    stream: &'a Stream<'a>,
    mode: Mode,
    levels: Vec<Vec<Sequence>>,
    /// The sequence that begins at each atom, or [`BREAK`].
    here: Vec<u32>,
}

/// All sequences of two or more atoms that stand in the text at least `least` times. Those of a
/// length are looked for only where the sequence without its last atom is one of them.
fn sequences(stream: &Stream, mode: Mode, least: u64) -> Vec<(Vec<u8>, u64)> {
    let mut sequences = Sequences::single(stream, mode);
    let mut found = Vec::new();
    while sequences.levels.len() < LONGEST_SEQUENCE {
        let counts = sequences.lengthen(least);
        if counts.is_empty() {
            break;
        }
        let spelled = |(id, count)| (sequences.spell(id), count);
        found.extend((0..).zip(counts).map(spelled));
    }
    found
}

impl<'a> Sequences<'a> {
    fn single(stream: &'a Stream, mode: Mode) -> Self {
        let may_begin =
            |id: u32| stream.get(id).is_some_and(|atom| mode.may_begin(atom.kind, atom.spaced));
        let begin = |id: &u32| if may_begin(*id) { *id } else { BREAK };
        let single =
            |(last, atom): (u32, &Type)| Sequence { before: BREAK, last, len: atom.bytes.len() };
        let here = stream.atoms.iter().map(begin).collect();
        Self { stream, mode, levels: vec![(0..).zip(&stream.types).map(single).collect()], here }
    }

    /// The sequence at `place` with one more atom, as the id of the sequence and that of the atom.
    fn longer(&self, place: usize) -> Option<(u32, u32)> {
        let before = self.here[place];
        let sequence = self.levels.last()?.get(before as usize)?;
        let last = *self.stream.atoms.get(place + self.levels.len())?;
        let next = self.stream.get(last)?;
        let fits = sequence.len + next.bytes.len() <= LONGEST;
        (fits && self.mode.may_follow(next.kind, next.spaced)).then_some((before, last))
    }

    /// Goes on to sequences of one more atom; gives their counts.
    fn lengthen(&mut self, least: u64) -> Vec<u64> {
        let mut counted: FastMap<(u32, u32), u64> = FastMap::default();
        for pair in (0..self.here.len()).filter_map(|place| self.longer(place)) {
            *counted.entry(pair).or_default() += 1;
        }
        counted.retain(|_, count| *count >= least);
        let mut ids: FastMap<(u32, u32), u32> = FastMap::default();
        let (mut level, mut counts, mut here) =
            (Vec::new(), Vec::new(), vec![BREAK; self.here.len()]);
        for (place, id) in here.iter_mut().enumerate() {
            let Some(pair) = self.longer(place) else { continue };
            let Some(&count) = counted.get(&pair) else { continue };
            *id = *ids.entry(pair).or_insert_with(|| {
                level.push(self.joined(pair));
                counts.push(count);
                level.len() as u32 - 1
            });
        }
        self.levels.push(level);
        self.here = here;
        counts
    }

    fn joined(&self, (before, last): (u32, u32)) -> Sequence {
        let shorter = &self.levels[self.levels.len() - 1];
        let len = shorter[before as usize].len + self.stream.types[last as usize].bytes.len();
        Sequence { before, last, len }
    }

    /// The bytes of a sequence of the greatest length.
    fn spell(&self, mut id: u32) -> Vec<u8> {
        let mut atoms = Vec::new();
        for level in self.levels.iter().rev() {
            let sequence = level[id as usize];
            atoms.push(self.stream.types[sequence.last as usize].bytes);
            id = sequence.before;
        }
        atoms.reverse();
        atoms.concat()
    }
}
