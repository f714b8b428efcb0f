//! `map.json`: one vocabulary in terms of another, for engines of other makes. Says whose vocabularies
//! they are, which ids mean the same, and how the draft spells each token of the target. Knows the
//! file; what is in the intersection is `align`'s.

use std::path::Path;

use align::{DecodeState, Entry, Overlap, Spelling, Tokenizer, Vocabulary};
use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::opened::Opened;
use super::specials::{Role, Specials};
use crate::new_file;
use crate::printer::Printer;
use crate::prompts::hex;

/// The name of the format.
const FORMAT: &str = "spec-map";

/// Its version. Readers refuse others.
const VERSION: u32 = 1;

/// Tokens that are spelled between two signs of progress.
const STEP: usize = 4096;

/// A vocabulary, so that a map can be known to fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The model's name.
    pub name: String,
    /// What kind of tokenizer it is.
    pub tokenizer: String,
    /// Ids, rows without a token included.
    pub rows: usize,
    /// Ids that stand for text.
    pub tokens: usize,
    /// SHA-256 of the byte table ([`byte_table`]), in hexadecimal.
    pub byte_table_sha256: String,
    /// Ids that stand in front of every text.
    pub in_front: Vec<u32>,
    /// Ids that end a text; the first stands for the others.
    pub ends: Vec<u32>,
}

/// Specials that mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialPair {
    /// What they mean.
    pub role: Role,
    /// The draft's id.
    pub draft: u32,
    /// The target's.
    pub target: u32,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    format: String,
    version: u32,
    /// The draft's vocabulary.
    pub draft: Identity,
    /// The target's.
    pub target: Identity,
    /// `[draft id, target id]` of text tokens of equal bytes where the draft stands in its clean
    /// state, ascending by draft id.
    pub pairs: Vec<(u32, u32)>,
    /// Specials that mean the same.
    pub specials: Vec<SpecialPair>,
    /// For each target id the draft ids that say its bytes, `None` where none do, and for specials and
    /// rows without a token.
    pub spellings: Vec<Option<Vec<u32>>>,
}

/// The bytes that a text token adds wherever the text stands in the clean state; `None` for other ids
/// and for tokens that leave a marker pending.
pub(super) fn bytes_of(tokenizer: &Tokenizer, id: u32) -> Option<Vec<u8>> {
    let (bytes, state) = tokenizer.vocabulary().bytes_after(DecodeState::default(), id)?;
    (state.is_clean() && !bytes.is_empty()).then_some(bytes)
}

/// A vocabulary as bytes that decide all it means: the capcode level (0 none, 1 delete, 2 full), then
/// for each id up to the last that is no padding a byte for its kind (0 padding, 1 token, 2 byte that
/// stands in, 3 special), the length of its bytes as 32 bits, little end first, and the bytes: those of
/// the token (in `TokenMonster`'s normalised form where the level is not 0), or the special's name.
pub fn byte_table(vocabulary: &Vocabulary) -> Vec<u8> {
    let mut table = vec![vocabulary.capcode().header()];
    for id in 0..vocabulary.used_rows() as u32 {
        let single;
        let (kind, bytes): (u8, &[u8]) = match vocabulary.entry(id) {
            Entry::Padding => (0, &[]),
            Entry::Token(bytes) => (1, bytes),
            Entry::Byte(byte) => {
                single = [*byte];
                (2, &single)
            }
            Entry::Special(name) => (3, name.as_bytes()),
        };
        table.push(kind);
        table.extend((bytes.len() as u32).to_le_bytes());
        table.extend(bytes);
    }
    table
}

impl Identity {
    pub(super) fn of(side: &Opened) -> Self {
        let vocabulary = side.tokenizer.vocabulary();
        Self {
            name: side.name.clone(),
            tokenizer: side.tokenizer.description(),
            rows: vocabulary.rows(),
            tokens: vocabulary.token_count(),
            byte_table_sha256: hex(&Sha256::digest(byte_table(vocabulary))),
            in_front: side.tokenizer.prefix().to_vec(),
            ends: side.ends.clone(),
        }
    }
}

impl Map {
    pub(super) fn new(
        draft: &Opened,
        target: &Opened,
        (overlap, specials): (&Overlap, &Specials),
        printer: &Printer,
    ) -> Result<Self> {
        let spell = |id: &u32| -> Result<Option<Vec<u32>>> {
            let Some(bytes) = bytes_of(&target.tokenizer, *id) else { return Ok(None) };
            Ok(Spelling::of(&draft.tokenizer, &bytes)?.map(|spelling| spelling.ids))
        };
        let ids: Vec<u32> = (0..target.tokenizer.vocabulary().rows() as u32).collect();
        let mut progress = printer.progress(ids.len() as u64, "spellings");
        let mut spellings = Vec::with_capacity(ids.len());
        for part in ids.chunks(STEP) {
            spellings.extend(part.par_iter().map(spell).collect::<Result<Vec<_>>>()?);
            progress.advance_by(part.len() as u64);
        }
        progress.finish();
        let pair = |(role, draft, target)| SpecialPair { role, draft, target };
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            draft: Identity::of(draft),
            target: Identity::of(target),
            pairs: overlap.pairs.clone(),
            specials: specials.pairs().into_iter().map(pair).collect(),
            spellings,
        })
    }

    /// Writes the file, which appears whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(self)? + "\n";
        new_file::write(path, text.as_bytes())
    }

    /// Reads a file of this format and version.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read the map {shown}"))?;
        let map: Self = serde_json::from_slice(&bytes).with_context(|| {
            format!("{shown} is no map of version {VERSION}; make it with `spec align --out`")
        })?;
        if map.format != FORMAT || map.version != VERSION {
            bail!(
                "{shown} is `{}` of version {}, not `{FORMAT}` of version {VERSION}; make it anew \
                 with `spec align --out`",
                map.format,
                map.version
            );
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use align::tokenmonster::Capcode;

    #[test]
    fn the_byte_table_by_hand() {
        let token = Entry::Token(b"ab"[..].into());
        let entries = vec![
            token,
            Entry::Padding,
            Entry::Byte(7),
            Entry::Special("<s>".into()),
            Entry::Padding,
        ];
        let table = byte_table(&Vocabulary::new(entries, Capcode::Delete));
        let expected: [&[u8]; 5] = [
            &[1],
            &[1, 2, 0, 0, 0, b'a', b'b'],
            &[0, 0, 0, 0, 0],
            &[2, 1, 0, 0, 0, 7],
            &[3, 3, 0, 0, 0, b'<', b's', b'>'],
        ];
        assert_eq!(table, expected.concat(), "padding at the end does not count");
    }

    #[test]
    fn a_file_of_another_make_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.json");
        let identity = Identity {
            name: "a".to_owned(),
            tokenizer: "b".to_owned(),
            rows: 1,
            tokens: 1,
            byte_table_sha256: String::new(),
            in_front: vec![0],
            ends: vec![],
        };
        let mut map = Map {
            format: FORMAT.to_owned(),
            version: VERSION,
            draft: identity.clone(),
            target: identity,
            pairs: vec![(1, 2)],
            specials: vec![SpecialPair { role: Role::Eos, draft: 3, target: 4 }],
            spellings: vec![None, Some(vec![5, 6])],
        };
        map.write(&path).unwrap();
        assert_eq!(Map::read(&path).unwrap(), map);
        assert!(map.write(&path).unwrap_err().to_string().contains("exists already"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        map.version += 1;
        let other = folder.path().join("other.json");
        map.write(&other).unwrap();
        assert!(Map::read(&other).unwrap_err().to_string().contains("of version 2"));
        std::fs::write(&other, "{}").unwrap();
        assert!(Map::read(&other).unwrap_err().to_string().contains("no map of version 1"));
    }
}
