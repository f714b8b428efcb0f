//! A vocabulary file field by field, each checked as far as it can be by itself.
//!
//! Knows the layout of the fields; rules that take several records are checked in `format`.

use super::capcode::Capcode;
use super::error::VocabError;
use super::format::{Deleted, LONGEST, NONE, Record, Vocab};
use super::matcher::Matcher;
use super::normalize::NFD;
use super::utterance::Utterances;

/// A place in the bytes of a file.
pub(super) struct Reader<'a> {
    name: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(name: &'a str, bytes: &'a [u8]) -> Self {
        Self { name, bytes, at: 0 }
    }

    /// Refuses bytes that are left over.
    pub(super) fn finish(&self) -> Result<(), VocabError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            count => Err(VocabError::LeftOver { file: self.name.to_owned(), count }),
        }
    }

    pub(super) fn take(
        &mut self,
        count: usize,
        part: &'static str,
    ) -> Result<&'a [u8], VocabError> {
        let taken = self.bytes.get(self.at..self.at + count).ok_or_else(|| {
            VocabError::Truncated { file: self.name.to_owned(), part, at: self.at }
        })?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], VocabError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, part)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self, part: &'static str) -> Result<u8, VocabError> {
        self.array::<1>(part).map(|[byte]| byte)
    }

    pub(super) fn u24(&mut self, part: &'static str) -> Result<u32, VocabError> {
        self.array::<3>(part).map(|[low, middle, high]| u32::from_le_bytes([low, middle, high, 0]))
    }

    pub(super) fn optional(&mut self, part: &'static str) -> Result<Option<u32>, VocabError> {
        Ok(Some(self.u24(part)?).filter(|value| *value != NONE))
    }

    /// The header up to `id_space`, in a vocabulary without records.
    pub(super) fn header(&mut self) -> Result<Vocab, VocabError> {
        let [capcode, charset, norm, mode, byte_set] = self.array("the header")?;
        let refuse = |field, value| {
            let value = u32::from(value);
            Err(VocabError::Header { file: self.name.to_owned(), field, value })
        };
        let unsupported = |field, value, remedy| {
            Err(VocabError::Unsupported { file: self.name.to_owned(), field, value, remedy })
        };
        let Some(capcode) = Capcode::from_header(capcode) else {
            return refuse("capcode", capcode);
        };
        match charset {
            0 | 1 => {}
            2 => return unsupported("charset", charset, "charset 1 (UTF-8)"),
            _ => return refuse("charset", charset),
        }
        if norm > NFD {
            return unsupported("norm", norm, "norm 1 (NFD) or 0");
        }
        Ok(Vocab {
            capcode,
            charset,
            norm,
            mode,
            byte_set,
            reserved: self.array("the header")?,
            unk_id: self.optional("the unk id")?,
            ids_in_use: self.u24("the vocabulary size")?,
            id_space: self.u24("the id space")?,
            delete_id: None,
            max_len: 0,
            records: Vec::new(),
            cls: [0; 256],
            deleted: Vec::new(),
            reverse: Vec::new(),
            matcher: Matcher::default(),
            utterances: Utterances::default(),
        })
    }

    pub(super) fn record(&mut self, index: usize) -> Result<Record, VocabError> {
        let len = usize::from(self.u8("a record")?);
        if len == 0 || len > LONGEST {
            let problem = "is not 1 to 40 bytes long";
            return Err(VocabError::Record { file: self.name.to_owned(), record: index, problem });
        }
        Ok(Record {
            bytes: self.take(len, "a record")?.to_vec(),
            flags: self.u8("a record")?,
            n_words: self.u8("a record")?,
            alt1: self.optional("a record")?,
            alt2: self.optional("a record")?,
            id: self.u24("a record")?,
            score: f32::from_le_bytes(self.array("a record")?),
        })
    }

    pub(super) fn deleted(&mut self) -> Result<Deleted, VocabError> {
        let len = usize::from(self.u8("a deleted token")?);
        Ok(Deleted {
            bytes: self.take(len, "a deleted token")?.to_vec(),
            id: self.optional("a deleted token")?,
            score: f32::from_le_bytes(self.array("a deleted token")?),
        })
    }
}
