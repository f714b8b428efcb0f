//! What followed the last tokens of a text where they stood in it before, and how often that came again.
//! Knows ids only; no model and no vocabulary.

use std::collections::HashMap;

/// The most ids that are looked up together.
const LONGEST: usize = 4;

/// An id that followed a run of ids.
#[derive(Clone, Copy, Debug)]
struct Follower {
    id: u32,
    count: u32,
    /// Where it did last.
    at: usize,
}

/// How often the best follower behind a run of some length came again.
#[derive(Clone, Copy, Debug)]
struct Record {
    hits: f64,
    trials: f64,
}

/// All runs of up to [`LONGEST`] ids in a text, with what followed them.
#[derive(Clone, Debug)]
pub(super) struct Followers {
    ids: Vec<u32>,
    runs: HashMap<Vec<u32>, Vec<Follower>>,
    /// By the length of the run, from 1 on.
    records: [Record; LONGEST],
}

impl Default for Followers {
    fn default() -> Self {
        // Before anything is known one of four comes again.
        let records = [Record { hits: 1.0, trials: 4.0 }; LONGEST];
        Self { ids: Vec::new(), runs: HashMap::new(), records }
    }
}

impl Followers {
    /// Takes in a text; where it does not go on from the one before, all is forgotten.
    pub(super) fn read(&mut self, ids: &[u32]) {
        if !ids.starts_with(&self.ids) {
            *self = Self::default();
        }
        for &id in &ids[self.ids.len()..] {
            if let Some((best, length)) = self.best(&[]) {
                let record = &mut self.records[length - 1];
                record.trials += 1.0;
                record.hits += f64::from(u8::from(best == id));
            }
            self.push(id);
        }
    }

    fn push(&mut self, id: u32) {
        let at = self.ids.len();
        for length in 1..=LONGEST.min(at) {
            let followers = self.runs.entry(self.ids[at - length..].to_vec()).or_default();
            match followers.iter_mut().find(|follower| follower.id == id) {
                Some(follower) => (follower.count, follower.at) = (follower.count + 1, at),
                None => followers.push(Follower { id, count: 1, at }),
            }
        }
        self.ids.push(id);
    }

    /// What most often followed the longest known run at the end of the text and `path`, the last one
    /// among equals, with the length of that run.
    fn best(&self, path: &[u32]) -> Option<(u32, usize)> {
        let behind = self.ids.len().saturating_sub(LONGEST);
        let end = [&self.ids[behind..], path].concat();
        (1..=LONGEST.min(end.len())).rev().find_map(|length| {
            let followers = self.runs.get(&end[end.len() - length..])?;
            let best = followers.iter().max_by_key(|follower| (follower.count, follower.at))?;
            Some((best.id, length))
        })
    }

    /// The text as it went on before, at most `count` ids, and how probable each is as a continuation of
    /// those before it.
    pub(super) fn path(&self, count: usize) -> Vec<(u32, f64)> {
        let (mut ids, mut path) = (Vec::new(), Vec::new());
        while path.len() < count {
            let Some((id, length)) = self.best(&ids) else { break };
            let Record { hits, trials } = self.records[length - 1];
            ids.push(id);
            path.push((id, hits / trials));
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(followers: &Followers, count: usize) -> Vec<u32> {
        followers.path(count).into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn the_longest_run_decides() {
        let mut followers = Followers::default();
        followers.read(&[1, 2, 3, 9, 2, 4, 9, 2, 4, 1, 2]);
        // 2 was followed by 4 more often, but 1 2 by 3.
        assert_eq!(ids(&followers, 3), [3, 9, 2]);
    }

    #[test]
    fn the_more_frequent_follower_counts_and_then_the_last() {
        let mut followers = Followers::default();
        followers.read(&[7, 1, 5, 7, 2, 6, 7, 1, 7]);
        assert_eq!(ids(&followers, 1), [1]);
        let mut followers = Followers::default();
        followers.read(&[7, 1, 7, 2, 7]);
        assert_eq!(ids(&followers, 1), [2]);
    }

    #[test]
    fn a_text_that_repeats_itself_is_trusted_more() {
        let chance = |text: &[u32]| {
            let mut followers = Followers::default();
            followers.read(text);
            followers.path(1)[0].1
        };
        let again = [1, 2, 3, 4, 5].repeat(6);
        let never: Vec<u32> = (0..15).flat_map(|id| [100, id]).chain([100]).collect();
        assert!(chance(&again) > 0.6 && chance(&never) < 0.15);
    }

    #[test]
    fn another_text_begins_anew() {
        let mut followers = Followers::default();
        followers.read(&[1, 2, 1]);
        followers.read(&[3, 4]);
        assert!(followers.path(2).is_empty());
        followers.read(&[3, 4, 3]);
        assert_eq!(ids(&followers, 9), [4, 3, 4, 3, 4, 3, 4, 3, 4]);
    }
}
