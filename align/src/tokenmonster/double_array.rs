//! Room for the children of a tree's nodes in one array: those of a node with base `b` are the cells
//! `b + byte`, and families lie in one another's gaps.
//!
//! Knows which cells are taken; what they hold is their tree's. No two families share a base, so the
//! byte alone tells whose child a cell is. Which cells are taken is kept as bits, so that 64 bases are
//! tried at once.

/// The base of no children: no cell among the first 256 is ever taken.
pub(super) const DEAD: u32 = 0;

/// Words of bits that hold all cells of a base in the word before them.
const SPAN: usize = 256 / 64 + 2;
/// How many words of bits before the last base are searched for room. Those further back are nearly
/// full, and looking through them takes longer than the cells that they have left are worth.
const LOOKED_THROUGH: usize = 16;

/// The cells as they fill.
pub(super) struct DoubleArray {
    /// The lowest byte of a cell is the one that it is for; of a free cell it is one by which no family
    /// reaches it.
    pub(super) cells: Vec<u64>,
    /// One bit a cell: whether it is taken.
    taken: Vec<u64>,
    /// One bit a cell: whether it is a family's base, or may be none.
    bases: Vec<u64>,
    /// The word that holds the last base.
    last: usize,
}

impl DoubleArray {
    pub(super) fn new() -> Self {
        let taken = vec![u64::MAX; 256 / 64];
        let mut array = Self { cells: Vec::new(), taken, bases: Vec::new(), last: 0 };
        array.grow(0);
        array
    }

    /// Takes the cells of a family with these bytes, and returns its base.
    pub(super) fn place(&mut self, bytes: impl Iterator<Item = u8> + Clone) -> u32 {
        if bytes.clone().next().is_none() {
            return DEAD;
        }
        let mut word = self.last.saturating_sub(LOOKED_THROUGH);
        let base = loop {
            self.grow(word);
            let bases = self.room(word, bytes.clone());
            if bases != 0 {
                break word * 64 + bases.trailing_zeros() as usize;
            }
            word += 1;
        };
        self.last = self.last.max(word);
        self.bases[base / 64] |= 1 << (base % 64);
        for byte in bytes {
            let cell = base + usize::from(byte);
            self.taken[cell / 64] |= 1 << (cell % 64);
            self.cells[cell] = u64::from(byte);
        }
        base as u32
    }

    /// Makes room for all families whose base is in `word`.
    fn grow(&mut self, word: usize) {
        let words = self.taken.len().max(word + SPAN);
        self.taken.resize(words, 0);
        // No base is a multiple of 64, so that a byte that leads to a cell from one is no family's.
        self.bases.resize(words, 1);
        // The base of no children is one, but only bytes of their own number lead from it.
        let free = |cell: usize| (cell % 64 + if cell < 64 { 64 } else { 0 }) as u64;
        self.cells.extend((self.cells.len()..words * 64).map(free));
    }

    /// The bases of a word that have room for a family, one bit each.
    fn room(&self, word: usize, bytes: impl Iterator<Item = u8>) -> u64 {
        let mut bases = !self.bases[word];
        for byte in bytes {
            let (word, shift) = (word + usize::from(byte) / 64, u32::from(byte) % 64);
            // The second shift is by 64 where the first is by 0.
            bases &= !(self.taken[word] >> shift | self.taken[word + 1] << 1 << (63 - shift));
            if bases == 0 {
                break;
            }
        }
        bases
    }
}
