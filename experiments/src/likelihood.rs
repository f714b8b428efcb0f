//! How probable one model finds ids or a text behind others: natural log-probabilities of its own law,
//! and bits per byte, in which models of different vocabularies can be compared. Draws nothing.

use std::f64::consts::LN_2;

use align::{Context, Tokenizer};
use anyhow::Result;
use draft::Session;
use draft::generate::{check, check_finite};
use serde::Serialize;
use target::Side;

use crate::explore::ranking::Ranking;

/// Ids that are read in one pass.
const BLOCK: usize = 32;

/// What a model says of a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Ids that were scored.
    pub tokens: usize,
    /// Bytes of the text.
    pub bytes: usize,
    /// Negative log-likelihood; `None` where an id has no mass.
    pub nats: Option<f64>,
    /// Nats / ln 2 / bytes; `None` for a text without bytes.
    pub bits_per_byte: Option<f64>,
}

impl Score {
    /// Of the log-probabilities of a text's ids.
    pub fn new(logprobs: &[f64], bytes: usize) -> Self {
        let nats = Some(-logprobs.iter().sum::<f64>()).filter(|nats| nats.is_finite());
        let bits_per_byte = nats.filter(|_| bytes > 0).map(|nats| nats / LN_2 / bytes as f64);
        Self { tokens: logprobs.len(), bytes, nats, bits_per_byte }
    }
}

/// Natural log-probability of each of the ids from the place `from` on, behind those before it.
///
/// # Panics
/// If `from` is 0: the first id stands behind nothing.
pub fn log_probabilities(session: &mut Session, ids: &[u32], from: usize) -> Result<Vec<f64>> {
    assert!(from > 0, "the first id is given");
    let Some((_, read)) = ids.split_last().filter(|_| from < ids.len()) else {
        return Ok(Vec::new());
    };
    check(session, read)?;
    session.reset();
    let mut found = Vec::with_capacity(ids.len() - from);
    for (block, own) in read.chunks(BLOCK).enumerate() {
        let logits = session.read_all(own)?;
        for (row, logits) in logits.iter().enumerate() {
            let place = block * BLOCK + row;
            if place + 1 >= from {
                check_finite(logits, place)?;
                let own = Ranking::new(logits, None, &[]).place(ids[place + 1]);
                found.push(own.map_or(f64::NEG_INFINITY, |own| own.logprob));
            }
        }
    }
    Ok(found)
}

/// The score of a text behind a prompt. The text is encoded as the tokenizer reads it there, and by
/// itself where a token would run over the boundary: one way of writing it, whose probability is a lower
/// bound on that of the text. `None` where both are too long for the model.
pub fn score_behind(side: &mut Side, prompt: &Context, text: &[u8]) -> Result<Option<Score>> {
    let own = prompt.continuation(&side.tokenizer, text)?.ids;
    score(side, (prompt.ids(), &own), text.len())
}

/// The score of a whole text behind what stands before every text: the tokenizer's prefix, or where it has
/// none, the end of the text before. `None` where a model has neither, or no room.
pub fn score_whole(side: &mut Side, text: &[u8]) -> Result<Option<Score>> {
    let Some(before) = before_texts(&side.tokenizer, &side.eos) else { return Ok(None) };
    let own = side.tokenizer.encode(text)?.ids;
    score(side, (&before, &own), text.len())
}

fn score(side: &mut Side, (given, own): (&[u32], &[u32]), bytes: usize) -> Result<Option<Score>> {
    // The last id is scored, but not read.
    if given.len() + own.len() > side.session.model().context() + 1 {
        return Ok(None);
    }
    let ids = [given, own].concat();
    let logprobs = log_probabilities(&mut side.session, &ids, given.len())?;
    Ok(Some(Score::new(&logprobs, bytes)))
}

fn before_texts(tokenizer: &Tokenizer, eos: &[u32]) -> Option<Vec<u32>> {
    let prefix = tokenizer.prefix();
    if prefix.is_empty() { eos.first().map(|&eos| vec![eos]) } else { Some(prefix.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::tokenizers::bpe;
    use support::toy::ToyModel;

    fn side() -> Side {
        Side::new(bpe("abcd", &[("a", "b")]), ToyModel::new(6, 3).session(), vec![5])
    }

    /// ln p of ids by the model's own rows, one read at a time.
    fn by_hand(ids: &[u32], from: usize) -> Vec<f64> {
        let mut session = side().session;
        let row = |place: usize, session: &mut Session| {
            let row: Vec<f64> =
                session.advance_to(&ids[..place]).unwrap().iter().map(|&own| own.into()).collect();
            row[ids[place] as usize] - row.iter().map(|own| own.exp()).sum::<f64>().ln()
        };
        (from..ids.len()).map(|place| row(place, &mut session)).collect()
    }

    #[test]
    fn log_probabilities_are_those_of_each_place() {
        let ids: Vec<u32> = (0..65).map(|place| (place * 7 + place / 3) % 5).collect();
        for from in [1, 2, 31, 32, 33, 64, 65] {
            let found = log_probabilities(&mut side().session, &ids, from).unwrap();
            let expected = by_hand(&ids, from);
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{from}");
        }
    }

    #[test]
    fn a_text_is_scored_in_bits_of_its_bytes() {
        let mut side = side();
        let prompt = Context::of_text(&side.tokenizer, b"cd").unwrap();
        let score = score_behind(&mut side, &prompt, b"abd").unwrap().unwrap();
        let ids = side.tokenizer.encode(b"cdabd").unwrap().ids;
        assert_eq!((score.tokens, score.bytes), (2, 3));
        let nats: f64 = -by_hand(&ids, 2).iter().sum::<f64>();
        assert!((score.nats.unwrap() - nats).abs() < 1e-5);
        assert!((score.bits_per_byte.unwrap() - nats / LN_2 / 3.0).abs() < 1e-5);
        let whole = score_whole(&mut side, b"cd").unwrap().unwrap();
        assert_eq!((whole.tokens, whole.bytes), (2, 2), "behind an end of text");
        let nothing = score_behind(&mut side, &prompt, b"").unwrap().unwrap();
        assert_eq!((nothing.tokens, nothing.bits_per_byte), (0, None));
        let scored = |length: usize, side: &mut Side| {
            score_behind(side, &prompt, &vec![b'd'; length]).unwrap().is_some()
        };
        assert!(scored(63, &mut side) && !scored(64, &mut side), "the context is 64");
    }

    #[test]
    fn what_has_no_mass_has_no_score() {
        let score = Score::new(&[-1.0, f64::NEG_INFINITY], 4);
        assert_eq!((score.tokens, score.nats, score.bits_per_byte), (2, None, None));
    }
}
