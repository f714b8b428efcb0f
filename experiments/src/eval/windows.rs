//! A text that is longer than a model's context, as windows that score each of its ids once. Pure
//! arithmetic on places; knows no model.

use std::ops::Range;

use serde::Serialize;

/// How long texts are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Ids that are read at once, at most.
    pub window: usize,
    /// Ids that each window but the first scores, at most.
    pub stride: usize,
}

/// A window of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The places of the ids that are read, and the one behind them.
    pub places: Range<usize>,
    /// How many of the last are scored.
    pub scored: usize,
}

impl Cut {
    /// The windows of a text of `count` ids, of which the first `given` are not scored (at least one
    /// and at most a window). A window reads as many ids as it may before those that it scores: each
    /// of these has `window - stride + 1` or more before it, or all there are.
    pub fn windows(self, count: usize, given: usize) -> impl Iterator<Item = Window> {
        let mut reached = given;
        std::iter::from_fn(move || {
            if reached >= count {
                return None;
            }
            let step = if reached == given { self.window + 1 - given } else { self.stride };
            let end = count.min(reached + step);
            let window =
                Window { places: end.saturating_sub(self.window + 1)..end, scored: end - reached };
            reached = end;
            Some(window)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_of_ten_in_windows_of_four() {
        let cut = |stride| {
            let windows = Cut { window: 4, stride }.windows(10, 1);
            windows.map(|own| (own.places, own.scored)).collect::<Vec<_>>()
        };
        assert_eq!(cut(2), [(0..5, 4), (2..7, 2), (4..9, 2), (5..10, 1)]);
        assert_eq!(cut(4), [(0..5, 4), (4..9, 4), (5..10, 1)]);
    }

    proptest! {
        #[test]
        fn each_id_is_scored_once_with_enough_before_it(
            count in 0usize..200,
            window in 1usize..40,
            stride in 1usize..40,
            given in 1usize..5,
        ) {
            let (stride, given) = (stride.min(window), given.min(window));
            let mut next = given;
            for Window { places, scored } in (Cut { window, stride }).windows(count, given) {
                prop_assert!(scored > 0 && scored < places.len());
                prop_assert!(places.len() <= window + 1);
                prop_assert_eq!(places.end - scored, next);
                let before = next - places.start;
                prop_assert!(before == next || before > window - stride);
                next = places.end;
            }
            prop_assert_eq!(next, count.max(given));
        }
    }
}
