//! A model that keeps what it has read when it is told to forget it, so that a prompt that is read again
//! costs one id. It gives what the model gives; knows ids only.

use draft::language_model::{LanguageModel, Logits, Wanted};
use draft::{ModelError, Session};
use target::Side;

/// A model and what its cache still holds.
pub(super) struct Kept {
    model: Box<dyn LanguageModel>,
    /// What it has read as far as others know.
    ids: Vec<u32>,
    /// What its cache holds; `ids` are its beginning.
    read: Vec<u32>,
    /// How much of `read` is a line; the rest are nodes of a tree.
    line: usize,
}

impl Kept {
    /// The side with its model so wrapped.
    pub(super) fn side(side: Side) -> Side {
        let model = side.session.into_model();
        let ids = Vec::new();
        let mut kept = Self { model, ids, read: Vec::new(), line: 0 };
        kept.model.truncate(0);
        Side { session: Session::new(Box::new(kept)), ..side }
    }

    fn forget_behind(&mut self, length: usize) {
        if length < self.read.len() {
            self.model.truncate(length);
            self.read.truncate(length);
        }
        self.line = self.line.min(self.read.len());
    }
}

impl LanguageModel for Kept {
    fn rows(&self) -> usize {
        self.model.rows()
    }

    fn context(&self) -> usize {
        self.model.context()
    }

    fn length(&self) -> usize {
        self.ids.len()
    }

    fn extend(&mut self, ids: &[u32], wanted: Wanted) -> Result<Logits, ModelError> {
        let whole = [&self.ids[..], ids].concat();
        let keep = match wanted {
            Wanted::All => self.ids.len(),
            Wanted::Last => {
                let common = self.read[..self.line].iter().zip(&whole);
                let common = common.take_while(|(one, other)| one == other).count();
                // The last id is read again for its logits.
                common.min(whole.len().saturating_sub(1)).max(self.ids.len())
            }
        };
        self.forget_behind(keep);
        let logits = self.model.extend(&whole[keep..], wanted)?;
        (self.line, self.read, self.ids) = (whole.len(), whole.clone(), whole);
        Ok(logits)
    }

    fn extend_tree(
        &mut self,
        base: usize,
        ids: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Logits, ModelError> {
        self.forget_behind(self.ids.len());
        let logits = self.model.extend_tree(base, ids, parents)?;
        self.ids.extend_from_slice(ids);
        self.read.clone_from(&self.ids);
        self.line = self.line.min(base);
        Ok(logits)
    }

    fn keep_path(&mut self, base: usize, path: &[usize]) {
        self.forget_behind(self.ids.len());
        self.model.keep_path(base, path);
        let kept: Vec<u32> = path.iter().map(|&node| self.ids[base + node]).collect();
        self.ids.truncate(base);
        self.ids.extend(kept);
        self.read.clone_from(&self.ids);
        self.line = self.ids.len();
    }

    fn truncate(&mut self, length: usize) {
        self.ids.truncate(length);
        self.forget_behind(length.max(self.line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use support::tokenizers::bpe;
    use support::toy::ToyModel;

    fn side() -> Side {
        Side::new(bpe("abcd", &[]), ToyModel::new(5, 3).session(), vec![4])
    }

    proptest! {
        /// Whatever is read, forgotten and kept, its logits are those of the model itself.
        #[test]
        fn it_gives_what_the_model_gives(
            steps in prop::collection::vec((0u8..4, prop::collection::vec(0u32..5, 1..6), 0usize..9), 1..40),
        ) {
            let (mut plain, mut kept) = (side().session, Kept::side(side()).session);
            for (kind, ids, length) in steps {
                if plain.ids().len() > 40 {
                    plain.reset();
                    kept.reset();
                }
                match kind {
                    0 => prop_assert_eq!(plain.advance_to(&ids).unwrap(), kept.advance_to(&ids).unwrap()),
                    1 => prop_assert_eq!(plain.read_all(&ids).unwrap(), kept.read_all(&ids).unwrap()),
                    2 => {
                        plain.truncate(length);
                        kept.truncate(length);
                    }
                    _ => {
                        let base = plain.ids().len();
                        let parents: Vec<_> = (0..ids.len()).map(|node| (node % 2 == 1).then(|| node - 1)).collect();
                        let read = |session: &mut Session| session.read_tree(base, &ids, &parents).unwrap();
                        prop_assert_eq!(read(&mut plain), read(&mut kept));
                        let path: &[usize] = if length % 2 == 0 || ids.len() < 2 { &[0] } else { &[0, 1] };
                        if length < 6 {
                            plain.keep_path(base, path);
                            kept.keep_path(base, path);
                        } else {
                            plain.truncate(base.min(length));
                            kept.truncate(base.min(length));
                        }
                    }
                }
                prop_assert_eq!(plain.ids(), kept.ids());
            }
        }
    }
}
