//! A double-array trie over byte strings, to be searched one byte at a time.
//!
//! Knows byte strings and their indices only.

use std::collections::VecDeque;

use super::double_array::DoubleArray;

/// The bits of a cell above its byte: the record + 1 that ends there (0: none), then the base of
/// its children.
const RECORD_SHIFT: u32 = 8;
const RECORD_BITS: u64 = 0xFF_FFFF;
const BASE_SHIFT: u32 = 32;

/// Where a search stands: the base of the children to look among.
pub(super) type Place = u32;

/// The trie.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    cells: Vec<u64>,
    root: Place,
}

/// A cell whose children are still to be placed: those strings of the order, from that depth.
struct Open {
    cell: Option<usize>,
    low: usize,
    high: usize,
    depth: usize,
}

impl Trie {
    /// Builds the trie of `strings`; the index of a string is its place in the slice.
    pub(super) fn new(strings: &[&[u8]]) -> Self {
        let mut order: Vec<u32> = (0..strings.len() as u32).collect();
        order.sort_by_key(|index| strings[*index as usize]);
        let mut array = DoubleArray::new();
        let mut root = 0;
        let mut open = VecDeque::from([Open { cell: None, low: 0, high: order.len(), depth: 0 }]);
        let mut families: Vec<(u8, usize, usize)> = Vec::new();
        while let Some(Open { cell, mut low, high, depth }) = open.pop_front() {
            if let Some(cell) = cell
                && strings[order[low] as usize].len() == depth
            {
                array.cells[cell] |= u64::from(order[low] + 1) << RECORD_SHIFT;
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
            let base = array.place(families.iter().map(|family| family.0));
            match cell {
                Some(cell) => array.cells[cell] |= u64::from(base) << BASE_SHIFT,
                None => root = base,
            }
            for &(byte, low, high) in &families {
                let cell = Some(base as usize + usize::from(byte));
                open.push_back(Open { cell, low, high, depth: depth + 1 });
            }
        }
        Self { cells: array.cells, root }
    }

    /// Where a search stands that has read nothing.
    pub(super) fn start(&self) -> Place {
        self.root
    }

    /// Where a search stands after `byte`, and the record + 1 that ends there.
    #[inline]
    pub(super) fn step(&self, place: Place, byte: u8) -> Option<(Place, u32)> {
        let cell = self.cells[place as usize + usize::from(byte)];
        if cell as u8 != byte {
            return None;
        }
        let record = (cell >> RECORD_SHIFT & RECORD_BITS) as u32;
        Some(((cell >> BASE_SHIFT) as Place, record))
    }
}
