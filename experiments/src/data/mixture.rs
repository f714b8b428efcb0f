//! Several sources of documents as one, in which each has its share of the bytes, and an end behind so
//! many bytes. Knows no tokenizer.

use std::cell::Cell;
use std::rc::Rc;

use anyhow::Result;

/// Documents, one after another.
pub type Texts = Box<dyn Iterator<Item = Result<String>>>;

/// One source: its documents, and the share of the bytes that they are to have.
pub struct Part {
    /// The documents.
    pub documents: Texts,
    /// In any unit.
    pub share: f64,
}

/// Documents of several sources. The next one is always of the source that is furthest behind its
/// share, and the mixture ends with that source's documents, so that the shares hold to the end.
pub struct Mixture {
    sources: Vec<(Part, u64)>,
    ended: bool,
}

impl Mixture {
    /// Of these sources.
    pub fn new(sources: Vec<Part>) -> Self {
        Self { sources: sources.into_iter().map(|source| (source, 0)).collect(), ended: false }
    }

    /// Bytes taken of each source.
    pub fn bytes(&self) -> Vec<u64> {
        self.sources.iter().map(|(_, bytes)| *bytes).collect()
    }
}

impl Iterator for Mixture {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let lag = |(source, bytes): &(Part, u64)| *bytes as f64 / source.share;
        let due = self.sources.iter_mut().min_by(|a, b| lag(a).total_cmp(&lag(b)));
        let document = due.and_then(|(source, bytes)| {
            let document = source.documents.next()?;
            *bytes += document.as_ref().map_or(0, |text| text.len() as u64);
            Some(document)
        });
        self.ended = document.is_none();
        document
    }
}

/// Documents until they have so many bytes; the one that reaches it is the last, and whole.
pub struct UpTo {
    documents: Texts,
    bytes: u64,
    taken: Rc<Cell<u64>>,
}

impl UpTo {
    /// Of these documents; `taken` counts their bytes.
    pub fn new(documents: Texts, bytes: u64, taken: Rc<Cell<u64>>) -> Self {
        Self { documents, bytes, taken }
    }
}

impl Iterator for UpTo {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.taken.get() >= self.bytes {
            return None;
        }
        let document = self.documents.next()?;
        let length = document.as_ref().map_or(0, |text| text.len() as u64);
        self.taken.set(self.taken.get() + length);
        Some(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(letter: &'static str, lengths: &[usize], share: f64) -> Part {
        let documents: Vec<Result<String>> =
            lengths.iter().map(|&length| Ok(letter.repeat(length))).collect();
        Part { documents: Box::new(documents.into_iter()), share }
    }

    #[test]
    fn shares_hold_to_the_end() {
        let mut mixture = Mixture::new(vec![
            source("a", &[10; 100], 3.0),
            source("b", &[5; 1000], 1.0),
            source("c", &[20; 1000], 6.0),
        ]);
        let count = mixture.by_ref().count();
        let bytes = mixture.bytes();
        assert_eq!(bytes[0], 1000, "the first to end ends it");
        assert!(bytes[1].abs_diff(333) < 10 && bytes[2].abs_diff(2000) < 40, "{bytes:?}");
        assert!(count > 200);
    }

    #[test]
    fn the_order_is_the_same_every_time() {
        let texts = || -> Vec<String> {
            let sources = vec![source("a", &[3, 1, 4], 1.0), source("b", &[2, 7, 1], 2.0)];
            Mixture::new(sources).map(Result::unwrap).collect()
        };
        assert_eq!(texts(), texts());
    }

    #[test]
    fn what_is_behind_the_last_byte_is_not_asked_for() {
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        let endless = std::iter::repeat_with(move || {
            count.set(count.get() + 1);
            Ok("abcd".to_owned())
        });
        let taken = Rc::new(Cell::new(0));
        let documents = UpTo::new(Box::new(endless), 10, Rc::clone(&taken));
        assert_eq!((documents.count(), asked.get(), taken.get()), (3, 3, 12));
    }
}
