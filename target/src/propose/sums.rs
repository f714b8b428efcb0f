//! Sums of masses by token, given back with the tokens ascending. Nothing is sorted: a bit for each token says
//! whether it has a sum. Knows numbers only.

use std::cell::RefCell;

/// Masses of tokens, and which have one.
#[derive(Debug, Default)]
struct Table {
    masses: Vec<f64>,
    marks: Vec<u64>,
}

const BITS: usize = u64::BITS as usize;

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

/// The tokens of some masses, ascending, each with the logarithm of the sum of its masses.
pub(super) fn log_sums(masses: impl Iterator<Item = (u32, f64)>) -> Vec<(u32, f64)> {
    TABLE.with_borrow_mut(|table| {
        let mut count = 0;
        for (token, mass) in masses {
            count += usize::from(table.add(token as usize, mass));
        }
        table.take(count)
    })
}

impl Table {
    /// Adds to a token's sum; gives whether it is its first mass.
    fn add(&mut self, token: usize, mass: f64) -> bool {
        if token >= self.masses.len() {
            let words = token / BITS + 1;
            self.masses.resize(words * BITS, 0.0);
            self.marks.resize(words, 0);
        }
        let (word, bit) = (&mut self.marks[token / BITS], 1 << (token % BITS));
        let is_new = *word & bit == 0;
        *word |= bit;
        self.masses[token] += mass;
        is_new
    }

    /// Gives what was added, and leaves nothing.
    fn take(&mut self, count: usize) -> Vec<(u32, f64)> {
        let mut found = Vec::with_capacity(count);
        for (index, word) in self.marks.iter_mut().enumerate() {
            let mut left = std::mem::take(word);
            while left != 0 {
                let token = index * BITS + left.trailing_zeros() as usize;
                found.push((token as u32, std::mem::take(&mut self.masses[token]).ln()));
                left &= left - 1;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn sums_are_those_of_a_map(
            lists in prop::collection::vec(prop::collection::vec((0u32..300, 0.0f64..1.0), 0..40), 1..4),
        ) {
            // One after the other: none sees what another left.
            for list in lists {
                let mut sums: BTreeMap<u32, f64> = BTreeMap::new();
                for &(token, mass) in &list {
                    *sums.entry(token).or_default() += mass;
                }
                let expected: Vec<(u32, f64)> =
                    sums.into_iter().map(|(token, mass)| (token, mass.ln())).collect();
                prop_assert_eq!(log_sums(list.into_iter()), expected);
            }
        }
    }
}
