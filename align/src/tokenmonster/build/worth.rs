//! What a token saves: how many more tokens the text would have without it.

use rayon::prelude::*;

use super::super::format::Vocab;
use super::super::trie::Trie;

/// For each id, its count times the number of tokens that would take its place, less one.
pub(super) fn worth(vocab: &Vocab, counts: &[u64]) -> Vec<u64> {
    let mut worth = vec![0; counts.len()];
    let strings: Vec<&[u8]> = vocab.records.iter().map(|record| &record.bytes[..]).collect();
    let trie = Trie::new(&strings);
    let saved: Vec<(u32, u64)> = vocab
        .records
        .par_iter()
        .filter(|record| !record.is_duplicate() && counts[record.id as usize] > 0)
        .map(|record| {
            let more = shortest_cover(&trie, &record.bytes).saturating_sub(1);
            (record.id, counts[record.id as usize] * u64::from(more))
        })
        .collect();
    for (id, saved) in saved {
        worth[id as usize] = saved;
    }
    worth
}

/// The least number of other tokens that `token` can be put together from; all single bytes are
/// tokens.
fn shortest_cover(trie: &Trie, token: &[u8]) -> u32 {
    let mut least = [u32::MAX; 64];
    least[0] = 0;
    for start in 0..token.len() {
        let so_far = least[start];
        let mut place = trie.start();
        for (at, &byte) in token.iter().enumerate().skip(start) {
            let Some((next, record)) = trie.step(place, byte) else { break };
            let is_itself = start == 0 && at + 1 == token.len();
            if record != 0 && !is_itself {
                least[at + 1] = least[at + 1].min(so_far + 1);
            }
            place = next;
        }
    }
    least[token.len()]
}
