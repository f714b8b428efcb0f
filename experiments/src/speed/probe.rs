//! One loaded model, timed. Each measurement begins by cutting its cache back to what it stands behind,
//! outside of the time.

use std::time::{Duration, Instant};

use draft::sampling::argmax;
use draft::{LanguageModel, ModelError, Wanted};

use super::figures::median;

/// A pass is repeated at least so often, and until its repetitions took so long together; but not beyond a
/// time after which once is enough.
const FEWEST: usize = 3;
const SPAN: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(1);

/// A model, and ids for it.
pub(super) struct Probe {
    network: Box<dyn LanguageModel>,
    ids: Vec<u32>,
}

/// So many ids below a number, as the seed says: Knuth's linear congruential generator, which is a line in
/// any language, so that other programs can be asked for the same text.
pub(super) fn random_ids(seed: u64, count: usize, rows: usize) -> Vec<u32> {
    let step = |state: &mut u64| {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some(((*state >> 33) % rows as u64) as u32)
    };
    (0..count).scan(seed.wrapping_add(1), |state, _| step(state)).collect()
}

impl Probe {
    pub(super) fn new(network: Box<dyn LanguageModel>, ids: Vec<u32>) -> Self {
        Self { network, ids }
    }

    /// Seconds of plain greedy decoding of `tokens` behind a prompt, reading which is no part of it, and the
    /// tokens.
    pub(super) fn decode(
        &mut self,
        prompt: usize,
        tokens: usize,
    ) -> Result<(f64, Vec<u32>), ModelError> {
        self.network.truncate(0);
        let mut logits = self.network.extend(&self.ids[..prompt], Wanted::Last)?;
        let (mut emitted, since) = (Vec::with_capacity(tokens), Instant::now());
        for _ in 0..tokens {
            let next = argmax(logits.last());
            emitted.push(next);
            logits = self.network.extend(&[next], Wanted::Last)?;
        }
        Ok((since.elapsed().as_secs_f64(), emitted))
    }

    /// Seconds of a pass over so many siblings behind a prefix.
    pub(super) fn tree(&mut self, prefix: usize, nodes: usize) -> Result<f64, ModelError> {
        self.stand_behind(prefix)?;
        let parents = vec![None; nodes];
        self.repeat(prefix, |network, ids| {
            network.extend_tree(prefix, &ids[prefix..prefix + nodes], &parents).map(drop)
        })
    }

    /// Seconds of a pass over so many ids in a row behind a prefix, with the logits behind each.
    pub(super) fn row(&mut self, prefix: usize, count: usize) -> Result<f64, ModelError> {
        self.stand_behind(prefix)?;
        self.repeat(prefix, |network, ids| {
            network.extend(&ids[prefix..prefix + count], Wanted::All).map(drop)
        })
    }

    /// Seconds in which so many ids are read at once, with the logits behind the last.
    pub(super) fn prefill(&mut self, count: usize) -> Result<f64, ModelError> {
        self.repeat(0, |network, ids| network.extend(&ids[..count], Wanted::Last).map(drop))
    }

    fn stand_behind(&mut self, prefix: usize) -> Result<(), ModelError> {
        self.network.truncate(0);
        self.network.extend(&self.ids[..prefix], Wanted::Last).map(drop)
    }

    /// The median of the times of a pass, from a cache of `length` ids each time.
    fn repeat(
        &mut self,
        length: usize,
        mut pass: impl FnMut(&mut dyn LanguageModel, &[u32]) -> Result<(), ModelError>,
    ) -> Result<f64, ModelError> {
        let (mut times, begin) = (Vec::new(), Instant::now());
        while times.is_empty() || begin.elapsed() < if times.len() < FEWEST { LONG } else { SPAN } {
            self.network.truncate(length);
            let since = Instant::now();
            pass(self.network.as_mut(), &self.ids)?;
            times.push(since.elapsed().as_secs_f64());
        }
        self.network.truncate(length);
        Ok(median(&times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_the_seed_and_are_below_the_rows() {
        let ids = random_ids(0, 1000, 50);
        assert_eq!(ids, random_ids(0, 1000, 50));
        assert_ne!(ids, random_ids(1, 1000, 50));
        let kinds: std::collections::BTreeSet<u32> = ids.into_iter().collect();
        assert_eq!((kinds.len(), kinds.last()), (50, Some(&49)));
    }
}
