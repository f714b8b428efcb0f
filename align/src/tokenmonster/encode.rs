//! Text to ids, with or without where the ids end in the text.
//!
//! Knows what is counted and how offsets get back to the raw text. Which ids they are is decided
//! in `walk`, over the bytes that `normalize` gives.

use rayon::prelude::*;

use super::format::Vocab;
use super::walk::{Sink, Walk};

/// Ids and what became of the text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Encoding {
    /// The ids.
    pub ids: Vec<u32>,
    /// For each id, the raw offset at which its span ends; never decreases.
    pub ends: Vec<usize>,
    /// Normalised bytes that no token covers and that vanished.
    pub dropped: usize,
    /// Unk ids emitted, one for each normalised byte that no token covers.
    pub unknown: usize,
}

impl Vocab {
    /// The ids of `text`.
    pub fn encode(&self, text: &[u8]) -> Vec<u32> {
        let mut bytes = self.normalize_unmapped(text);
        let mut sink = IdSink { ids: Vec::with_capacity(bytes.len() / 4 + 8) };
        self.tokenize(&mut bytes, &mut sink);
        sink.ids
    }

    /// The ids of each text; threads share the texts out.
    pub fn encode_all(&self, texts: &[&[u8]]) -> Vec<Vec<u32>> {
        texts.par_iter().map(|text| self.encode(text)).collect()
    }

    /// The ids of `text`, where each ends in it, and how much had no token.
    pub fn encode_with_spans(&self, text: &[u8]) -> Encoding {
        let mut normalized = self.normalize(text);
        let mut sink = SpanSink { encoding: Encoding::default() };
        self.tokenize(&mut normalized.bytes, &mut sink);
        let mut encoding = sink.encoding;
        for end in &mut encoding.ends {
            *end = end.checked_sub(1).map_or(0, |last| normalized.raw_end[last] as usize);
        }
        encoding
    }

    fn tokenize(&self, bytes: &mut Vec<u8>, sink: &mut impl Sink) {
        // The byte behind the text reads as zero.
        bytes.push(0);
        let walk = Walk {
            matcher: &self.matcher,
            text: bytes,
            end: bytes.len() - 1,
            delete_id: self.delete_id,
        };
        walk.run(self.unk_id, sink);
        bytes.pop();
    }
}

struct IdSink {
    ids: Vec<u32>,
}

impl Sink for IdSink {
    #[inline]
    fn emit(&mut self, id: u32, _end: usize) {
        self.ids.push(id);
    }

    fn unknown(&mut self, id: u32, _end: usize) {
        self.ids.push(id);
    }

    fn dropped(&mut self, _end: usize) {}
}

struct SpanSink {
    encoding: Encoding,
}

impl Sink for SpanSink {
    #[inline]
    fn emit(&mut self, id: u32, end: usize) {
        self.encoding.ids.push(id);
        self.encoding.ends.push(end);
    }

    fn unknown(&mut self, id: u32, end: usize) {
        self.emit(id, end);
        self.encoding.unknown += 1;
    }

    fn dropped(&mut self, end: usize) {
        if let Some(last) = self.encoding.ends.last_mut() {
            *last = end;
        }
        self.encoding.dropped += 1;
    }
}
