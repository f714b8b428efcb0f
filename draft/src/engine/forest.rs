//! Passages that begin alike, as they are read: a trie, in which what they share stands once. All stand one
//! behind the other in one cache, and each sees its own beginning only. Knows ids and places; runs no pass.

use super::plan::Seen;
use crate::model::Passage;

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
    pub(super) asked: Vec<Asked>,
    /// Where the ids of the latest passage stand.
    path: Vec<usize>,
}

/// The order in which passages share most: that of their ids.
pub(super) fn order(passages: &[Passage<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..passages.len()).collect();
    order.sort_by_key(|&index| passages[index].read());
    order
}

impl Forest {
    /// Adds a passage, of which what the one before shares with it is there already. `window`: how many
    /// places back an id sees.
    pub(super) fn add(&mut self, index: usize, passage: &Passage<'_>, window: Option<usize>) {
        let (read, scored) = (passage.read(), passage.scored());
        let known = self.path.iter().zip(read);
        let shared = known.take_while(|&(&place, &id)| self.ids[place] == id).count();
        self.path.truncate(shared);
        for (position, &id) in read.iter().enumerate().skip(shared) {
            self.path.push(self.ids.len());
            self.ids.push(id);
            let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
            self.seen.push(seen(position, &self.path[first..]));
        }
        let rows = self.path[read.len() - scored.len()..].iter().zip(scored);
        self.asked.extend(rows.map(|(&row, &id)| Asked { row, id, passage: index }));
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What an id at the end of a path sees: the beginning of the path that stands side by side, and the rest.
fn seen(position: usize, path: &[usize]) -> Seen {
    let first = path[0];
    let side_by_side = path.iter().enumerate().take_while(|&(step, &place)| place == first + step);
    let count = side_by_side.count();
    Seen { position, first, until: first + count, nodes: path[count..].to_vec() }
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

    fn of(passages: &[Passage<'_>], window: Option<usize>) -> Forest {
        let mut forest = Forest::default();
        for index in order(passages) {
            forest.add(index, &passages[index], window);
        }
        forest
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
            let forest = of(&passages, window);
            prop_assert_eq!(forest.ids.len(), forest.seen.len());
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
            let mut beginnings = std::collections::HashSet::new();
            for passage in &passages {
                beginnings.extend((1..=passage.read().len()).map(|end| &passage.read()[..end]));
            }
            prop_assert_eq!(forest.ids.len(), beginnings.len(), "each beginning once");
        }
    }

    #[test]
    fn a_shared_context_is_read_once() {
        let ids: Vec<Vec<u32>> =
            [[1, 2], [3, 4], [1, 5]].map(|end| [&[9, 8, 7, 6, 5][..], &end].concat()).into();
        let passages: Vec<_> = ids.iter().map(|ids| Passage::new(ids, 2)).collect();
        let forest = of(&passages, None);
        assert_eq!(forest.ids, [9, 8, 7, 6, 5, 1, 3]);
        assert_eq!((forest.seen[5].nodes.len(), &forest.seen[6].nodes[..]), (0, &[6][..]));
    }
}
