//! Passages that begin alike, as they are read: what they share once, and what follows it for each. One
//! behind the other in one cache, none of which sees another. Knows ids and places; runs no pass.

use std::ops::Range;

use super::plan::{Seen, row, tree};
use crate::model::Passage;

/// Passages share a beginning of this many ids or more, or none.
const SHORTEST: usize = 2;

/// Ids of passages that share their beginning, at most: what stands between it and the last of them is
/// looked at in vain.
const LONGEST: usize = 1 << 10;

/// A score that is asked for: of an id behind a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) row: usize,
    pub(super) id: u32,
    pub(super) passage: usize,
}

/// What is read, and what is asked of it.
#[derive(Debug, Default)]
pub(super) struct Forest {
    pub(super) ids: Vec<u32>,
    pub(super) seen: Vec<Seen>,
    /// By row.
    pub(super) asked: Vec<Asked>,
}

/// Passages side by side whose beginnings are shared, and how many ids that is.
pub(super) fn groups(passages: &[Passage<'_>]) -> Vec<(Range<usize>, usize)> {
    let mut groups: Vec<(Range<usize>, usize)> = Vec::new();
    let mut size = 0;
    for (index, passage) in passages.iter().enumerate() {
        let read = passage.read();
        if let Some((range, shared)) = groups.last_mut() {
            let common = alike(&passages[range.start].read()[..*shared], read);
            // What is spared grows, though the others now share no more than this one does.
            let is_worth = range.len() * common > (range.len() - 1) * *shared;
            if common >= SHORTEST && is_worth && size + read.len() <= LONGEST {
                (range.end, *shared) = (index + 1, common);
                size += read.len();
                continue;
            }
        }
        groups.push((index..index + 1, read.len()));
        size = read.len();
    }
    groups
}

fn alike(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

impl Forest {
    /// Adds passages that share so many ids. `window`: how many places back an id sees.
    pub(super) fn add(
        &mut self,
        passages: &[Passage<'_>],
        (range, shared): (Range<usize>, usize),
        window: Option<usize>,
    ) {
        let first = self.ids.len();
        self.ids.extend_from_slice(&passages[range.start].read()[..shared]);
        self.seen.extend(row(0, shared, window).into_iter().map(|seen| seen.further(first)));
        let (mut parents, mut asked) = (Vec::new(), Vec::new());
        for index in range {
            let (read, scored) = (passages[index].read(), passages[index].scored());
            // Where the ids behind the shared ones begin.
            let own = first + shared + parents.len();
            let places = (read.len() - scored.len()..read.len()).zip(scored);
            asked.extend(places.map(|(place, &id)| {
                let row = if place < shared { first + place } else { own + place - shared };
                Asked { row, id, passage: index }
            }));
            let rest = &read[shared..];
            self.ids.extend_from_slice(rest);
            let node = parents.len();
            parents.extend(
                (0..rest.len()).map(|depth| (node + depth).checked_sub(1).filter(|_| depth > 0)),
            );
        }
        let branches = tree(shared, parents.len(), &parents, window);
        self.seen.extend(branches.into_iter().map(|seen| seen.further(first)));
        asked.sort_by_key(|own: &Asked| own.row);
        self.asked.extend(asked);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.ids.clear();
        self.seen.clear();
        self.asked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a row of a forest stands behind: the ids that it sees, in the order of their text.
    fn text(forest: &Forest, row: usize) -> Vec<u32> {
        let seen = &forest.seen[row];
        let places = (seen.first..seen.until).chain(seen.nodes.iter().copied());
        places.map(|place| forest.ids[place]).collect()
    }

    proptest! {
        #[test]
        fn every_score_stands_behind_its_own_text(
            texts in prop::collection::vec(
                (prop::collection::vec(0u32..3, 2..12), 1usize..12), 1..20),
            window in prop::option::of(3usize..8),
        ) {
            let passages: Vec<Passage<'_>> = texts
                .iter()
                .map(|(ids, scored)| Passage::new(ids, (*scored).min(ids.len() - 1)))
                .collect();
            let mut forest = Forest::default();
            for group in groups(&passages) {
                forest.add(&passages, group, window);
            }
            prop_assert_eq!(forest.ids.len(), forest.seen.len());
            prop_assert!(forest.asked.is_sorted_by_key(|own| own.row));
            let mut scored = vec![0; passages.len()];
            for asked in &forest.asked {
                let passage = &passages[asked.passage];
                let place = passage.read().len() - passage.scored().len() + scored[asked.passage];
                prop_assert_eq!(asked.id, passage.scored()[scored[asked.passage]]);
                let first = window.map_or(0, |window| (place + 1).saturating_sub(window));
                prop_assert_eq!(text(&forest, asked.row), &passage.read()[first..=place]);
                prop_assert_eq!(forest.seen[asked.row].position, place);
                scored[asked.passage] += 1;
            }
            let wanted: Vec<usize> = passages.iter().map(|own| own.scored().len()).collect();
            prop_assert_eq!(scored, wanted);
        }
    }

    #[test]
    fn a_shared_context_is_read_once() {
        let ids: Vec<Vec<u32>> =
            [[1, 2], [3, 4], [1, 5]].map(|end| [&[9, 8, 7, 6, 5][..], &end].concat()).into();
        let other = [8u32, 8, 8];
        let mut passages: Vec<_> = ids.iter().map(|ids| Passage::new(ids, 2)).collect();
        passages.push(Passage::new(&other, 1));
        assert_eq!(groups(&passages), [(0..3, 5), (3..4, 2)]);
        let mut forest = Forest::default();
        forest.add(&passages, (0..3, 5), None);
        assert_eq!(forest.ids, [9, 8, 7, 6, 5, 1, 3, 1]);
    }
}
