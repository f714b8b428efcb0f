//! For each place of a text the longest string that begins there, all of them in one pass from the
//! end of the text to its beginning.
//!
//! This is Aho and Corasick's automaton over the strings read backwards: its state at a place is the
//! longest end of a string that the text has there, and which string is the longest beginning of that
//! is known beforehand. A search for each place reads most bytes several times, and its end cannot be
//! predicted; here no branch depends on the text, and a step waits for one load.
//!
//! It trades memory and time of loading for speed. A state holds the steps of all shorter states that
//! it contains, unless they lead to three bytes or fewer, which the last three bytes alone decide:
//! 8,000 tokens take 1 MB, where a trie takes 0.2, and 15 ms more to load. Parts of a block are read in
//! turns, so that their loads overlap; each begins behind its end by the length of the longest string,
//! from where on its state is the true one.
//!
//! Measured by `examples/tokenizer_speed.rs`, this build and the one with a search for each place in
//! turns: with `walk`, 1.8 times as many bytes a second.

use std::hint::select_unpredictable;

use super::double_array::{DEAD, DoubleArray};

/// A step: the byte it is for, the state it leads to, and that state's base.
pub(super) type Step = u64;
const STATE_SHIFT: u32 = 8;
const STATE_BITS: u64 = (1 << 28) - 1;
const BASE_SHIFT: u32 = 36;

/// Places that are read at a time: their steps take half of a first-level cache.
pub(super) const BLOCK: usize = 2048;
/// Parts of a block that are read in turns.
const LANES: usize = 4;

/// The row of short steps where no byte stands behind.
const NOTHING_BEHIND: usize = 256;

/// What begins at a place: an index + 1, or 0 for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// The longest string.
    pub(super) longest: u32,
    /// The longest string that is a space and then the text.
    pub(super) spaced: u32,
}

/// The automaton; a state is a number from 0, which is that of no end of any string.
#[derive(Clone, Debug)]
pub(super) struct Automaton {
    /// A double array: from states of two bytes the steps to those of three, and from longer ones
    /// those to states of four bytes and more.
    cells: Vec<Step>,
    /// The steps to states of one or two bytes, by the byte behind a place and the byte that stands
    /// there.
    short: Vec<[Step; 256]>,
    /// Length of the longest string.
    reach: usize,
}

impl Automaton {
    /// The automaton of `strings`, no two of which are the same, and what is found in each state.
    pub(super) fn new(strings: &[&[u8]]) -> (Self, Vec<Found>) {
        Builder::new(strings).build()
    }

    /// Writes the steps that lead to `from` and to each place behind it up to the end of a block or of
    /// the text, and returns where that is. Room for [`LONGEST`] steps more is needed.
    ///
    /// [`LONGEST`]: super::format::LONGEST
    pub(super) fn scan(&self, text: &[u8], from: usize, steps: &mut [Step]) -> usize {
        let end = text.len().min(from + BLOCK);
        let seen = &text[from..text.len().min(end + self.reach)];
        self.read_alone(seen, steps);
        self.read_in_turns(seen, end - from, steps);
        end
    }

    /// For each place the step that the last three bytes alone decide. None waits for another.
    #[inline(never)]
    fn read_alone(&self, text: &[u8], steps: &mut [Step]) {
        let (mut behind, mut two) = (NOTHING_BEHIND, 0);
        for (&byte, step) in text.iter().zip(steps).rev() {
            let place = usize::from(byte);
            let short = self.short[behind][place];
            *step = self.follow(two, byte, short);
            (behind, two) = (place, short);
        }
    }

    /// The true steps at the first `count` places, of those that the last bytes alone decide.
    #[inline(never)]
    fn read_in_turns(&self, text: &[u8], count: usize, steps: &mut [Step]) {
        let part = count / LANES;
        let mut last: [Step; LANES] = std::array::from_fn(|lane| {
            let end = if lane + 1 == LANES { count } else { (lane + 1) * part };
            let behind = end..text.len().min(end + self.reach);
            behind.rev().fold(0, |last, at| self.follow(last, text[at], steps[at]))
        });
        // What cannot be shared out is the last lane's.
        for at in (part * LANES..count).rev() {
            last[LANES - 1] = self.follow(last[LANES - 1], text[at], steps[at]);
            steps[at] = last[LANES - 1];
        }
        let (texts, _) = text.split_at(part * LANES);
        let mut texts = texts.chunks_exact(part.max(1));
        let mut steps = steps[..part * LANES].chunks_exact_mut(part.max(1));
        let mut lanes: [(&[u8], &mut [Step]); LANES] = std::array::from_fn(|_| {
            (texts.next().unwrap_or_default(), steps.next().unwrap_or_default())
        });
        for at in (0..part).rev() {
            for ((text, steps), last) in lanes.iter_mut().zip(&mut last) {
                *last = self.follow(*last, text[at], steps[at]);
                steps[at] = *last;
            }
        }
    }

    /// The step at `byte` after `last`, or `otherwise` where no cell has one.
    #[inline]
    fn follow(&self, last: Step, byte: u8, otherwise: Step) -> Step {
        let cell = self.cells[(last >> BASE_SHIFT) as usize + usize::from(byte)];
        select_unpredictable(cell as u8 == byte, cell, otherwise)
    }
}

/// The state that a step leads to.
#[inline]
pub(super) fn state(step: Step) -> usize {
    (step >> STATE_SHIFT & STATE_BITS) as usize
}

/// A state in the making; its number is its place breadth first.
#[derive(Clone, Copy)]
struct Node {
    /// Its strings in the order.
    low: usize,
    high: usize,
    depth: usize,
    /// The last two bytes that lead to it.
    bytes: [u8; 2],
    /// The longest state that is shorter and contained in it.
    shorter: u32,
    base: u32,
    /// Its steps that a cell holds, among all rows.
    row: (usize, usize),
}

struct Builder {
    /// The strings read backwards with their index, in order.
    strings: Vec<(Vec<u8>, u32)>,
    nodes: Vec<Node>,
    found: Vec<Found>,
    rows: Vec<(u8, u32)>,
    /// The states of the other steps.
    short: Vec<[u32; 256]>,
    array: DoubleArray,
}

impl Builder {
    fn new(strings: &[&[u8]]) -> Self {
        let backwards = |string: &&[u8]| string.iter().rev().copied().collect::<Vec<u8>>();
        let mut strings: Vec<_> = strings.iter().map(backwards).zip(0..).collect();
        strings.sort_unstable();
        let root = Node {
            low: 0,
            high: strings.len(),
            depth: 0,
            bytes: [0; 2],
            shorter: 0,
            base: DEAD,
            row: (0, 0),
        };
        Self {
            strings,
            nodes: vec![root],
            found: Vec::new(),
            rows: Vec::new(),
            short: vec![[0; 256]; 257],
            array: DoubleArray::new(),
        }
    }

    fn build(mut self) -> (Automaton, Vec<Found>) {
        let mut number = 0;
        while number < self.nodes.len() {
            self.grow(number);
            number += 1;
        }
        for number in 0..self.nodes.len() {
            let spaced = self.target(number, b' ');
            self.found[number].spaced = self.found[spaced as usize].longest;
        }
        let nodes = &self.nodes;
        let step = |byte: u8, state: u32| {
            let base = u64::from(nodes[state as usize].base);
            u64::from(byte) | u64::from(state) << STATE_SHIFT | base << BASE_SHIFT
        };
        for node in nodes {
            for &(byte, state) in &self.rows[node.row.0..node.row.1] {
                self.array.cells[node.base as usize + usize::from(byte)] = step(byte, state);
            }
        }
        let steps = |row: &[u32; 256]| std::array::from_fn(|byte| step(byte as u8, row[byte]));
        let automaton = Automaton {
            short: self.short.iter().map(steps).collect(),
            cells: self.array.cells,
            reach: self.strings.iter().map(|(string, _)| string.len()).max().unwrap_or(0),
        };
        (automaton, self.found)
    }

    /// Makes the children of a node, its row and what is found there.
    fn grow(&mut self, number: usize) {
        let Node { mut low, high, depth, bytes: [_, last], shorter, .. } = self.nodes[number];
        let mut longest = self.found.get(shorter as usize).map_or(0, |found| found.longest);
        if low < high && self.strings[low].0.len() == depth {
            longest = self.strings[low].1 + 1;
            low += 1;
        }
        self.found.push(Found { longest, spaced: 0 });
        let first_child = self.nodes.len();
        while low < high {
            let byte = self.strings[low].0[depth];
            let same = self.strings[low..high].partition_point(|string| string.0[depth] == byte);
            let shorter = if depth == 0 { 0 } else { self.target(shorter as usize, byte) };
            let bytes = [last, byte];
            let row = (0, 0);
            let high = low + same;
            let node = Node { low, high, depth: depth + 1, bytes, shorter, base: DEAD, row };
            self.nodes.push(node);
            low += same;
        }
        let children = first_child..self.nodes.len();
        match depth {
            0 => {
                for child in children {
                    let byte = usize::from(self.nodes[child].bytes[1]);
                    self.short.iter_mut().for_each(|row| row[byte] = child as u32);
                }
            }
            1 => {
                for child in children {
                    let byte = usize::from(self.nodes[child].bytes[1]);
                    self.short[usize::from(last)][byte] = child as u32;
                }
            }
            _ => self.make_row(number, children),
        }
    }

    /// The steps of a node that cells hold: to its children, and otherwise those of the shorter node
    /// if that is as long as three bytes. Without children it shares the cells of that one.
    fn make_row(&mut self, number: usize, children: std::ops::Range<usize>) {
        let Node { depth, base, row, .. } = self.nodes[self.nodes[number].shorter as usize];
        let (base, row) = if depth >= 3 { (base, row) } else { (DEAD, (0, 0)) };
        if children.is_empty() {
            self.nodes[number].base = base;
            self.nodes[number].row = row;
            return;
        }
        let begin = self.rows.len();
        let mut inherited = row.0;
        for child in children {
            let byte = self.nodes[child].bytes[1];
            while inherited < row.1 && self.rows[inherited].0 < byte {
                self.rows.push(self.rows[inherited]);
                inherited += 1;
            }
            inherited += usize::from(inherited < row.1 && self.rows[inherited].0 == byte);
            self.rows.push((byte, child as u32));
        }
        self.rows.extend_from_within(inherited..row.1);
        let own = &self.rows[begin..];
        self.nodes[number].base = self.array.place(own.iter().map(|step| step.0));
        self.nodes[number].row = (begin, self.rows.len());
    }

    /// The state that `byte` leads to.
    fn target(&self, number: usize, byte: u8) -> u32 {
        let Node { depth, bytes: [before, last], .. } = self.nodes[number];
        let (before, last) = (usize::from(before), usize::from(last));
        let short = match depth {
            0 => self.short[NOTHING_BEHIND][usize::from(byte)],
            _ => self.short[last][usize::from(byte)],
        };
        let middle = if depth < 2 { 0 } else { self.short[before][last] as usize };
        self.in_row(number, byte).or_else(|| self.in_row(middle, byte)).unwrap_or(short)
    }

    fn in_row(&self, number: usize, byte: u8) -> Option<u32> {
        let row = &self.rows[self.nodes[number].row.0..self.nodes[number].row.1];
        let place = row.binary_search_by_key(&byte, |step| step.0).ok()?;
        Some(row[place].1)
    }
}
