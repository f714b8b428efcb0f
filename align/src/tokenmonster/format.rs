//! The vocabulary file: its header, records, next-byte table and deleted tokens.
//!
//! Knows how to read and check them; writing them back is in `write`, and what they mean for a
//! text in `encode` and `decode`.

use std::path::Path;

use super::capcode::Capcode;
use super::error::VocabError;
use super::matcher::Matcher;
use super::normalize::NFD;
use super::reader::Reader;
use super::utterance::Utterances;

/// The u24 value that stands for "none".
pub(super) const NONE: u32 = 0xFF_FFFF;
/// The longest token.
pub(super) const LONGEST: usize = 40;
/// The most bytes that all records together may have: each can be a state of the automaton, whose steps
/// have 28 bits for one.
const LARGEST: usize = 1 << 26;
/// The score of a duplicate record.
pub(super) const DUPLICATE: f32 = -1.0;

/// One record: a byte string that is matched, and the id it yields.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// The token in normalised form.
    pub bytes: Vec<u8>,
    /// Facts about its two ends, one a bit.
    pub flags: u8,
    /// Number of word beginnings.
    pub n_words: u8,
    /// Index of the preferred shorter alternative.
    pub alt1: Option<u32>,
    /// Index of the second alternative.
    pub alt2: Option<u32>,
    /// The token id.
    pub id: u32,
    /// Share of the training text; -1 marks a duplicate.
    pub score: f32,
}

impl Record {
    /// Whether this is the second form of a token, with a delete marker and a space in front.
    pub fn is_duplicate(&self) -> bool {
        self.score == DUPLICATE
    }
}

/// A token that was taken out of the vocabulary; kept only to write the file back.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Deleted {
    pub(super) bytes: Vec<u8>,
    pub(super) id: Option<u32>,
    pub(super) score: f32,
}

/// A vocabulary, ready to encode and decode.
#[derive(Clone, Debug)]
pub struct Vocab {
    /// How word beginnings and capitals are written.
    pub capcode: Capcode,
    pub(super) charset: u8,
    pub(super) norm: u8,
    pub(super) mode: u8,
    pub(super) byte_set: u8,
    pub(super) reserved: [u8; 3],
    pub(super) unk_id: Option<u32>,
    pub(super) ids_in_use: u32,
    pub(super) id_space: u32,
    pub(super) delete_id: Option<u32>,
    pub(super) max_len: u8,
    pub(super) records: Vec<Record>,
    pub(super) cls: [u8; 256],
    pub(super) deleted: Vec<Deleted>,
    /// For each id, the last record that has it.
    pub(super) reverse: Vec<Option<u32>>,
    pub(super) matcher: Matcher,
    pub(super) utterances: Utterances,
}

impl Vocab {
    /// Reads a vocabulary file.
    pub fn read(path: &Path) -> Result<Self, VocabError> {
        let bytes = std::fs::read(path)
            .map_err(|source| VocabError::Unreadable { path: path.to_owned(), source })?;
        Self::from_bytes(&path.display().to_string(), &bytes)
    }

    /// Reads a vocabulary from the bytes of a file called `name`.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, VocabError> {
        if bytes.starts_with(b"version https://git-lfs") {
            return Err(VocabError::LfsPointer { file: name.to_owned() });
        }
        let mut reader = Reader::new(name, bytes);
        let mut vocab = reader.header()?;
        let n_records = reader.u24("the record count")?;
        vocab.delete_id = reader.optional("the delete id")?;
        vocab.max_len = reader.u8("the longest length")?;
        for index in 0..n_records as usize {
            let record = reader.record(index)?;
            vocab.records.push(record);
        }
        vocab.cls.copy_from_slice(reader.take(256, "the next-byte table")?);
        for _ in 0..reader.u24("the count of deleted tokens")? {
            vocab.deleted.push(reader.deleted()?);
        }
        reader.finish()?;
        vocab.check(name)?;
        vocab.build_tables();
        Ok(vocab)
    }

    /// Derives what encoding and decoding look up from the records.
    pub(super) fn build_tables(&mut self) {
        self.reverse = vec![None; self.id_space as usize];
        for (index, record) in self.records.iter().enumerate() {
            self.reverse[record.id as usize] = Some(index as u32);
        }
        self.matcher = Matcher::new(&self.records, &self.cls);
        self.utterances = Utterances::new(self);
    }

    fn check(&self, name: &str) -> Result<(), VocabError> {
        let header = |field, value| VocabError::Header { file: name.to_owned(), field, value };
        for (field, id) in [("delete_id", self.delete_id), ("unk_id", self.unk_id)] {
            if let Some(id) = id.filter(|id| *id >= self.id_space) {
                return Err(header(field, id));
            }
        }
        let longest = self.records.iter().map(|record| record.bytes.len()).max().unwrap_or(0);
        if usize::from(self.max_len) != longest {
            return Err(header("max_len", u32::from(self.max_len)));
        }
        check_size(name, &self.records)?;
        for index in 0..self.records.len() {
            if let Some(problem) = self.problem(index) {
                return Err(VocabError::Record { file: name.to_owned(), record: index, problem });
            }
        }
        Ok(())
    }

    fn problem(&self, index: usize) -> Option<&'static str> {
        let record = &self.records[index];
        if record.id >= self.id_space {
            return Some("has an id beyond the id space");
        }
        if let Some(before) = index.checked_sub(1).map(|before| &self.records[before])
            && (before.bytes.len(), &before.bytes) >= (record.bytes.len(), &record.bytes)
        {
            return Some("is not in order of length and bytes");
        }
        // The scores rely on it: a count beyond reason could make the encoder go round for ever.
        if usize::from(record.n_words) > record.bytes.len() / 2 {
            return Some("counts more word beginnings than it has room for");
        }
        if record.alt2.is_some() && record.alt1.is_none() {
            return Some("has a second alternative without a first");
        }
        for alternative in [record.alt1, record.alt2].into_iter().flatten() {
            if alternative as usize >= index {
                return Some("has an alternative that is not an earlier record");
            }
            if !record.bytes.starts_with(&self.records[alternative as usize].bytes) {
                return Some("has an alternative that is not a prefix of it");
            }
        }
        None
    }

    /// The bytes that decoding `id` puts together: the last record with that id.
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        let index = (*self.reverse.get(id as usize)?)?;
        Some(&self.records[index as usize].bytes)
    }

    /// The highest id + 1.
    pub fn id_space(&self) -> u32 {
        self.id_space
    }

    /// Number of distinct ids in use, counting unk.
    pub fn vocab_size(&self) -> u32 {
        self.ids_in_use
    }

    /// The id emitted for a byte without a token, if there is one.
    pub fn unk_id(&self) -> Option<u32> {
        self.unk_id
    }

    /// The id of the lone delete marker, if there is one.
    pub fn delete_id(&self) -> Option<u32> {
        self.delete_id
    }

    /// Length in bytes of the longest record.
    pub fn max_len(&self) -> u8 {
        self.max_len
    }

    /// Whether text is brought to NFD before it is encoded.
    pub fn decomposes(&self) -> bool {
        self.norm == NFD
    }

    /// How the vocabulary was trained: 0 unfiltered to 4 strict, 5 imported.
    pub fn mode(&self) -> u8 {
        self.mode
    }

    /// The next-byte table.
    pub fn cls(&self) -> &[u8; 256] {
        &self.cls
    }

    /// All records in file order, duplicates included.
    pub fn records(&self) -> &[Record] {
        &self.records
    }
}

/// Refuses records that are longer than the encoder can number.
pub(super) fn check_size(name: &str, records: &[Record]) -> Result<(), VocabError> {
    let bytes = records.iter().map(|record| record.bytes.len()).sum();
    if bytes > LARGEST {
        return Err(VocabError::TooLarge { name: name.to_owned(), bytes, most: LARGEST });
    }
    Ok(())
}
