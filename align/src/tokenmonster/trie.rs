//! A double-array trie over byte strings, for the longest match at a place in a text.
//!
//! Knows byte strings and their indices only. One cell is one word of memory, so that each byte
//! of a match costs one load.

/// The bits of a cell: its byte with a mark that it is in use, then the record + 1 that ends
/// there (0: none), then the base of its children.
const LABEL: u64 = 0x1FF;
const USED: u64 = 0x100;
const RECORD_SHIFT: u32 = 9;
const RECORD_BITS: u64 = 0xFF_FFFF;
const BASE_SHIFT: u32 = 33;

/// Where a search stands: the base of the children to look among.
pub(super) type Place = u32;

/// Where a search stands that nothing can follow: no cell is used among the first 256.
pub(super) const DEAD: Place = 0;

/// A search that has read some bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Search {
    pub(super) place: Place,
    /// The longest string so far, its index + 1, or 0 where there is none.
    pub(super) longest: u32,
}

/// The trie. The children of a cell with base `b` are the cells `b + byte` that carry that byte;
/// no two cells share a base, so the byte alone tells whose child a cell is.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    cells: Vec<u64>,
    root: Place,
}

impl Trie {
    /// Builds the trie of `strings`; the index of a string is its place in the slice.
    pub(super) fn new(strings: &[&[u8]]) -> Self {
        let mut order: Vec<u32> = (0..strings.len() as u32).collect();
        order.sort_by_key(|index| strings[*index as usize]);
        let mut builder = Builder { cells: vec![0; 512], bases: vec![false; 512], from: 1 };
        let root = builder.build(strings, &order);
        Self { cells: builder.cells, root: root as Place }
    }

    /// A search that has read nothing.
    pub(super) fn start(&self) -> Search {
        Search { place: self.root, longest: 0 }
    }

    /// Where a search stands after `byte`, and the record + 1 that ends there.
    #[inline]
    pub(super) fn step(&self, place: Place, byte: u8) -> Option<(Place, u32)> {
        let cell = self.cells[place as usize + usize::from(byte)];
        if cell & LABEL != USED | u64::from(byte) {
            return None;
        }
        let record = (cell >> RECORD_SHIFT & RECORD_BITS) as u32;
        Some(((cell >> BASE_SHIFT) as Place, record))
    }

    /// The longest string that is a prefix of `text`.
    #[inline]
    pub(super) fn longest(&self, text: &[u8]) -> u32 {
        self.resume(self.start(), text).longest
    }

    /// Takes a search on over `text`.
    #[inline]
    pub(super) fn resume(&self, mut search: Search, text: &[u8]) -> Search {
        for &byte in text {
            let Some((place, record)) = self.step(search.place, byte) else {
                search.place = DEAD;
                break;
            };
            if record != 0 {
                search.longest = record;
            }
            search.place = place;
        }
        search
    }
}

struct Builder {
    cells: Vec<u64>,
    bases: Vec<bool>,
    /// Where the search for free cells begins.
    from: usize,
}

/// A cell whose children are still to be placed: those strings of the order, from that depth.
struct Open {
    cell: Option<usize>,
    low: usize,
    high: usize,
    depth: usize,
}

/// How many cells a search may pass in vain before the place it begins at is moved on.
const PATIENCE: usize = 32;

impl Builder {
    /// Breadth first, so that the cells that most searches pass lie close together.
    fn build(&mut self, strings: &[&[u8]], order: &[u32]) -> usize {
        let mut root = 0;
        let mut open = std::collections::VecDeque::from([Open {
            cell: None,
            low: 0,
            high: order.len(),
            depth: 0,
        }]);
        let mut families: Vec<(u8, usize, usize)> = Vec::new();
        while let Some(Open { cell, mut low, high, depth }) = open.pop_front() {
            if let Some(cell) = cell
                && strings[order[low] as usize].len() == depth
            {
                self.cells[cell] |= u64::from(order[low] + 1) << RECORD_SHIFT;
                low += 1;
            }
            families.clear();
            for (place, index) in order[low..high].iter().enumerate() {
                let byte = strings[*index as usize][depth];
                match families.last_mut() {
                    Some(family) if family.0 == byte => family.2 = low + place + 1,
                    _ => families.push((byte, low + place, low + place + 1)),
                }
            }
            let base = self.place(&families);
            match cell {
                Some(cell) => self.cells[cell] |= (base as u64) << BASE_SHIFT,
                None => root = base,
            }
            for &(byte, low, high) in &families {
                let child = base + usize::from(byte);
                self.cells[child] = USED | u64::from(byte);
                open.push_back(Open { cell: Some(child), low, high, depth: depth + 1 });
            }
        }
        root
    }

    /// Finds an unused base at which the cells of all these children are free.
    ///
    /// A cell without children keeps base 0: no cell below 256 is ever used, so nothing matches
    /// there.
    fn place(&mut self, families: &[(u8, usize, usize)]) -> usize {
        let Some(&(first, ..)) = families.first() else { return DEAD as usize };
        let first = usize::from(first);
        let start = self.from.max(256 + first);
        let mut cell = start;
        let mut full = 0;
        while !self.fits(cell - first, families) {
            full += usize::from(!self.is_free(cell));
            cell += 1;
        }
        // Where hardly a free cell was passed, later families need not look again.
        let passed = cell - start;
        if passed > PATIENCE && full * 8 > passed * 7 {
            self.from = cell;
        }
        let base = cell - first;
        let len = self.cells.len().max(base + 512);
        self.cells.resize(len, 0);
        self.bases.resize(len, false);
        self.bases[base] = true;
        base
    }

    fn fits(&self, base: usize, families: &[(u8, usize, usize)]) -> bool {
        !self.bases.get(base).copied().unwrap_or(false)
            && families.iter().all(|(byte, ..)| self.is_free(base + usize::from(*byte)))
    }

    fn is_free(&self, cell: usize) -> bool {
        self.cells.get(cell).is_none_or(|cell| *cell == 0)
    }
}
