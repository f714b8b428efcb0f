//! A text as one side reads it: its ids, how often each occurs, and whether they say the text again.
//! Knows one tokenizer.

use align::{Occurrences, Tokenizer};
use anyhow::Result;
use rayon::prelude::*;
use serde::Serialize;

/// Bytes that are shown before and behind the place of a difference.
const AROUND: (usize, usize) = (12, 20);

/// A text in one side's ids.
pub(super) struct Encoded {
    /// Of each document, without what belongs in front of it.
    pub(super) ids: Vec<Vec<u32>>,
    pub(super) occurrences: Occurrences,
    /// Ids that are the unknown token.
    pub(super) unknown: u64,
    /// Bytes without an id.
    pub(super) dropped: u64,
    pub(super) round_trip: RoundTrip,
}

/// Whether documents come back when they are encoded and decoded.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct RoundTrip {
    pub(super) documents: usize,
    /// Documents that come back byte for byte.
    pub(super) identical: usize,
    /// `identical` / `documents`.
    pub(super) share: f64,
    pub(super) first_difference: Option<Difference>,
}

/// The first place where a document comes back as something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// From 0.
    pub(super) document: usize,
    /// Offset in bytes.
    pub(super) byte: usize,
    /// The text around it, invalid UTF-8 replaced.
    pub(super) text: String,
    /// What came back there.
    pub(super) decoded: String,
}

impl Encoded {
    pub(super) fn new(tokenizer: &Tokenizer, documents: &[String]) -> Result<Self> {
        let encode = |document: &String| -> Result<_> {
            let encoding = tokenizer.encode(document.as_bytes())?;
            let decoded = tokenizer.decode(&encoding.ids);
            Ok((encoding, (decoded != document.as_bytes()).then_some(decoded)))
        };
        let encoded: Vec<_> = documents.par_iter().map(encode).collect::<Result<_>>()?;
        let (mut occurrences, mut unknown, mut dropped) = (Occurrences::default(), 0, 0);
        let mut round_trip = RoundTrip { documents: documents.len(), ..RoundTrip::default() };
        let mut ids = Vec::with_capacity(documents.len());
        for (index, (encoding, decoded)) in encoded.into_iter().enumerate() {
            unknown += encoding.unknown as u64;
            dropped += encoding.dropped as u64;
            occurrences.add(tokenizer.vocabulary(), &encoding.ids);
            ids.push(encoding.ids);
            match decoded {
                None => round_trip.identical += 1,
                Some(decoded) if round_trip.first_difference.is_none() => {
                    let difference = Difference::new(index, documents[index].as_bytes(), &decoded);
                    round_trip.first_difference = Some(difference);
                }
                Some(_) => {}
            }
        }
        round_trip.share = round_trip.identical as f64 / documents.len().max(1) as f64;
        Ok(Self { ids, occurrences, unknown, dropped, round_trip })
    }
}

impl Difference {
    fn new(document: usize, text: &[u8], decoded: &[u8]) -> Self {
        let byte = text.iter().zip(decoded).take_while(|(one, other)| one == other).count();
        let around = |bytes: &[u8]| {
            let range = byte.saturating_sub(AROUND.0)..(byte + AROUND.1).min(bytes.len());
            String::from_utf8_lossy(&bytes[range]).into_owned()
        };
        Self { document, byte, text: around(text), decoded: around(decoded) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use align::tokenmonster::Capcode;
    use support::tokenizers::{bpe, tokenmonster};

    #[test]
    fn what_a_normaliser_does_is_shown() {
        let tokens: [&[u8]; 6] = [b"e", b"a", b" ", b"\xCC\x81", b"\x7f", b"b"];
        let monster = tokenmonster(&tokens, Capcode::Delete);
        let documents = ["ab ab", "ab e\u{301}", "ab é"].map(str::to_owned);
        let encoded = Encoded::new(&monster, &documents).unwrap();
        let RoundTrip { documents: all, identical, first_difference, .. } = encoded.round_trip;
        assert_eq!((all, identical), (3, 2));
        let found = first_difference.unwrap();
        assert_eq!((found.document, found.byte), (2, 3));
        assert_eq!((&*found.text, &*found.decoded), ("ab é", "ab e\u{301}"));
    }

    #[test]
    fn what_a_tokenizer_lacks_is_counted() {
        let encoded = Encoded::new(&bpe("ab", &[]), &["abcab".to_owned()]).unwrap();
        assert_eq!((encoded.dropped, encoded.occurrences.total()), (1, 4));
        assert_eq!(encoded.round_trip.identical, 0);
        assert_eq!(encoded.round_trip.first_difference.unwrap().byte, 2);
    }
}
