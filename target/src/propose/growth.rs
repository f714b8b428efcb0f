//! How a budget of candidates is shared out in a tree that grows level by level: each goes where it is most
//! probable that it is reached and accepted. Knows numbers only.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A candidate that may be had: the most probable first, and among equals the one of the earlier place.
#[derive(Clone, Copy, PartialEq)]
struct Offer {
    value: f64,
    /// The probability that the text reaches its place.
    reached: f64,
    /// The place that is there already and has it; `None` behind candidates that are still to come.
    place: Option<usize>,
    rank: usize,
    depth: usize,
}

impl Eq for Offer {}

impl Ord for Offer {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = |offer: &Self| (offer.place.unwrap_or(usize::MAX), offer.rank);
        self.value.total_cmp(&other.value).then(order(other).cmp(&order(self)))
    }
}

impl PartialOrd for Offer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How many candidates each place is to have out of `room` in all, of which some are left for places behind
/// them, at most `depth` in a row. A place is given by the probability that the text reaches it and those
/// that its candidates are accepted there, in their order; `later` are those of places to come.
pub(super) fn share(
    places: &[(f64, &[f64])],
    later: &[f64],
    room: usize,
    depth: usize,
) -> Vec<usize> {
    let mut counts = vec![0; places.len()];
    let chances = |place: Option<usize>| place.map_or(later, |place| places[place].1);
    let offer = |place, reached: f64, rank, depth| {
        let chance = chances(place).get(rank)?;
        Some(Offer { value: reached * chance, reached, place, rank, depth })
    };
    let mut offers: BinaryHeap<Offer> = BinaryHeap::new();
    offers.extend(
        places.iter().enumerate().filter_map(|(at, &(reached, _))| offer(Some(at), reached, 0, 1)),
    );
    for _ in 0..room {
        let Some(best) = offers.pop() else { break };
        if let Some(place) = best.place {
            counts[place] += 1;
        }
        offers.extend(offer(best.place, best.reached, best.rank + 1, best.depth));
        if best.depth < depth {
            offers.extend(offer(None, best.value, 0, best.depth + 1));
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sure_thing_is_a_chain_and_a_doubtful_one_a_fan() {
        let sure = [0.9, 0.05, 0.02];
        assert_eq!(share(&[(1.0, &sure)], &sure, 4, 9), [1]);
        assert_eq!(share(&[(1.0, &sure)], &sure, 4, 2), [2], "no deeper, so wider");
        let doubtful = [0.2, 0.15, 0.1];
        assert_eq!(share(&[(1.0, &doubtful)], &doubtful, 4, 9), [3]);
    }

    #[test]
    fn places_share_by_how_probable_they_are() {
        let chances = [0.5, 0.2, 0.1];
        assert_eq!(share(&[(0.6, &chances), (0.3, &chances)], &chances, 2, 1), [1, 1]);
        assert_eq!(share(&[(0.9, &chances), (0.1, &chances)], &chances, 2, 1), [2, 0]);
        assert_eq!(share(&[(0.5, &[]), (0.1, &chances)], &chances, 9, 1), [0, 3]);
        assert!(share(&[], &chances, 3, 1).is_empty());
    }
}
