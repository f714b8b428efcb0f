//! Which tokens of a large vocabulary a small one keeps: all bytes and specials, and the tokens most
//! used on a text together with those that merging makes on the way to them. Knows no file.

use std::collections::BTreeSet;

use align::{Entry, Vocabulary};
use anyhow::{Result, bail};

use super::merges::Merges;

/// A space as SentencePiece writes it.
const SPACE: &str = "▁";

/// A vocabulary to be made smaller.
#[derive(Clone, Copy, Debug)]
pub struct Large<'a> {
    /// Its merges.
    pub merges: &'a Merges,
    /// Its bytes.
    pub vocabulary: &'a Vocabulary,
    /// Ids of the added tokens that are kept whatever the text is.
    pub specials: &'a BTreeSet<u32>,
}

impl Large<'_> {
    /// The ids of a vocabulary of exactly `size`, ascending. `ranking` has all ids, the most used
    /// first; a token whose path there is no room for is passed over.
    pub fn choose(&self, size: usize, ranking: &[u32]) -> Result<BTreeSet<u32>> {
        let mut kept = self.base();
        kept.extend(self.specials);
        if size < kept.len() {
            bail!(
                "--size {size} has no room for the {} ids of bytes and special tokens; ask for more, or \
                 name the special tokens to keep with --specials",
                kept.len()
            );
        }
        let names = self.names();
        for &id in ranking {
            if kept.len() == size {
                break;
            }
            let Some(path) = names[id as usize].and_then(|name| self.merges.path(name)) else {
                continue;
            };
            let missing: Vec<u32> = path.difference(&kept).copied().collect();
            if kept.len() + missing.len() <= size {
                kept.extend(missing);
            }
        }
        if kept.len() < size {
            bail!(
                "--size {size} is more than the {} ids that can be kept; ask for less",
                kept.len()
            );
        }
        Ok(kept)
    }

    /// How each id is written.
    fn names(&self) -> Vec<Option<&str>> {
        let mut names = vec![None; self.vocabulary.rows()];
        for (name, &id) in self.merges.ids() {
            if let Some(place) = names.get_mut(id as usize) {
                *place = Some(name.as_str());
            }
        }
        names
    }

    /// The ids that any text can be written with, as far as the large vocabulary has them.
    fn base(&self) -> BTreeSet<u32> {
        let mut base: BTreeSet<u32> = self.stand_ins().collect();
        if base.is_empty() {
            base.extend((0..=255).filter_map(|byte| self.vocabulary.byte(byte)));
        } else {
            // What stands for a space; its own bytes would be those of another character.
            base.extend(self.merges.ids().get(SPACE));
        }
        base
    }

    /// Ids of bytes that stand in for characters without a token, in vocabularies that have those.
    fn stand_ins(&self) -> impl Iterator<Item = u32> {
        let vocabulary = self.vocabulary;
        (0..vocabulary.rows() as u32).filter(|id| matches!(vocabulary.entry(*id), Entry::Byte(_)))
    }

    /// How many single bytes have no token: texts with them cannot be written, in the large
    /// vocabulary and in the small one.
    pub fn missing_bytes(&self) -> usize {
        let stand_ins = self.stand_ins().count();
        let alone = (0..=255).filter(|byte| self.vocabulary.byte(*byte).is_some()).count();
        256 - if stand_ins == 0 { alone } else { stand_ins }
    }
}
