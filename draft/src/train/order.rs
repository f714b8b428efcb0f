//! The order in which blocks of training text are read: a new permutation every epoch, which the
//! seed decides, so that a run can be taken up anywhere. Pure numbers.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The order of `blocks` blocks, epoch after epoch.
#[derive(Clone, Debug)]
pub struct Order {
    blocks: usize,
    seed: u64,
    epoch: u64,
    permutation: Vec<u32>,
}

impl Order {
    /// The order that a seed gives.
    ///
    /// # Panics
    /// If there are no blocks, or more than 2³².
    pub fn new(blocks: usize, seed: u64) -> Self {
        assert!(blocks > 0 && u32::try_from(blocks).is_ok(), "between 1 and 2^32 blocks");
        let permutation = permutation(blocks, seed, 0);
        Self { blocks, seed, epoch: 0, permutation }
    }

    /// The block that is read as the `index`-th since the beginning.
    pub fn block(&mut self, index: u64) -> usize {
        let epoch = index / self.blocks as u64;
        if epoch != self.epoch {
            self.permutation = permutation(self.blocks, self.seed, epoch);
            self.epoch = epoch;
        }
        self.permutation[(index % self.blocks as u64) as usize] as usize
    }
}

fn permutation(blocks: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(epoch);
    let mut order: Vec<u32> = (0..blocks as u32).collect();
    order.shuffle(&mut random);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_reads_every_block_once_in_an_order_of_its_own() {
        let mut order = Order::new(100, 7);
        let mut epoch = |number: u64| -> Vec<usize> {
            (number * 100..(number + 1) * 100).map(|index| order.block(index)).collect()
        };
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        assert_eq!(epoch(0), first, "going back gives the same");
        let mut sorted = second;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_ne!(Order::new(100, 8).block(0), first[0]);
    }
}
