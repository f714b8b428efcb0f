//! What a target writes behind the beginnings of pieces of text: many in step, each drawn with random
//! numbers of its own, so that how many are written at once changes nothing but the time. Knows no
//! draft.

use align::{DecodeState, Vocabulary};
use anyhow::{Result, bail};
use draft::model::Texts;
use draft::{Purpose, Randomness, Sampling};
use tch::Tensor;

use super::examples::{Piece, Reader};
use super::settings::Distillation;
use crate::printer::Printer;

/// A beginning that the target goes on from.
struct Beginning {
    ids: Vec<u32>,
    bytes: usize,
    /// Place of the piece, which keys its random numbers.
    index: usize,
}

/// Lets the target write. Pieces that are too short for a beginning are left out, and what it writes
/// that is no UTF-8.
pub fn write(
    model: &mut Texts,
    target: Reader<'_>,
    pieces: &[String],
    settings: &Distillation,
    (seed, printer): (u64, &Printer),
) -> Result<Vec<Piece>> {
    let beginnings = beginnings(target, pieces, settings.prompt_tokens)?;
    if beginnings.is_empty() {
        bail!(
            "no piece of the data has {} target tokens to go on from; lower distill.prompt_tokens \
             or raise distill.piece_bytes",
            settings.prompt_tokens
        );
    }
    let mut progress = printer.progress(beginnings.len() as u64, "texts that the target writes");
    let mut written = Vec::new();
    for batch in beginnings.chunks(settings.teacher_batch) {
        let ids = continuations(model, target, batch, settings, seed)?;
        for (beginning, ids) in batch.iter().zip(ids) {
            let text = &pieces[beginning.index][..beginning.bytes];
            written.extend(piece(text, &ids, beginning, target));
        }
        progress.advance_by(batch.len() as u64);
    }
    progress.finish();
    Ok(written)
}

fn beginnings(target: Reader<'_>, pieces: &[String], tokens: usize) -> Result<Vec<Beginning>> {
    let mut beginnings = Vec::new();
    for (index, text) in pieces.iter().enumerate() {
        let encoding = target.tokenizer.encode(text.as_bytes())?;
        let is_whole = |bytes: &usize| text.is_char_boundary(*bytes);
        // A beginning that is all of the text leaves the target nothing to say.
        if encoding.ids.len() > tokens
            && let Some(&bytes) = encoding.ends.get(tokens - 1).filter(|bytes| is_whole(bytes))
        {
            let mut ids = target.tokenizer.prefix().to_vec();
            ids.extend(&encoding.ids[..tokens]);
            beginnings.push(Beginning { ids, bytes, index });
        }
    }
    Ok(beginnings)
}

/// The ids behind beginnings of equal length, up to an end of text.
fn continuations(
    model: &mut Texts,
    target: Reader<'_>,
    batch: &[Beginning],
    settings: &Distillation,
    seed: u64,
) -> Result<Vec<Vec<u32>>> {
    let sampling = Sampling::at(settings.temperature);
    let (rows, context) = (model.rows(), model.context());
    let mut written = vec![Vec::new(); batch.len()];
    let mut done = vec![false; batch.len()];
    let mut next = matrix(batch.iter().flat_map(|beginning| &beginning.ids), batch.len())?;
    let begun = batch[0].ids.len();
    let mut in_step = model.begin(batch.len());
    for position in 0..settings.max_new.min(context.saturating_sub(begun)) {
        let logits = in_step.read(&next)?;
        let mut values = vec![0f32; batch.len() * rows];
        let count = values.len();
        logits.f_copy_data(&mut values, count)?;
        for (row, (ids, done)) in written.iter_mut().zip(&mut done).enumerate() {
            if *done {
                continue;
            }
            let randomness = Randomness { seed, prompt: batch[row].index as u64 };
            let law = sampling.law(&values[row * rows..(row + 1) * rows], &[]);
            let id = law.draw(randomness.key(position, Purpose::Target));
            ids.push(id);
            *done = target.ends.contains(&id);
        }
        if done.iter().all(|done| *done) {
            break;
        }
        next = matrix(written.iter().filter_map(|ids| ids.last()), batch.len())?;
    }
    Ok(written)
}

fn matrix<'a>(ids: impl Iterator<Item = &'a u32>, rows: usize) -> Result<Tensor> {
    let ids: Vec<i64> = ids.map(|&id| i64::from(id)).collect();
    Ok(Tensor::f_from_slice(&ids)?.f_view([rows as i64, -1])?)
}

/// The text with what was written behind it.
fn piece(text: &str, ids: &[u32], beginning: &Beginning, target: Reader<'_>) -> Option<Piece> {
    let ends = ids.last().is_some_and(|last| target.ends.contains(last));
    let bytes = added(target.tokenizer.vocabulary(), &beginning.ids, ids);
    let text = text.to_owned() + std::str::from_utf8(whole(&bytes)).ok()?;
    Some(Piece { given: beginning.bytes, ends, text })
}

/// The bytes that `ids` add behind `before`.
fn added(vocabulary: &Vocabulary, before: &[u32], ids: &[u32]) -> Vec<u8> {
    let mut state: DecodeState = vocabulary.state_after(before);
    let mut bytes = Vec::new();
    for &id in ids {
        vocabulary.advance(&mut state, id, &mut bytes);
    }
    bytes
}

/// Bytes without a character that is cut off at their end.
fn whole(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_character_is_left_out_and_a_broken_one_stays() {
        assert_eq!(whole("aé".as_bytes()), "aé".as_bytes());
        assert_eq!(whole(&"aé".as_bytes()[..2]), b"a");
        assert_eq!(whole(b"a\xffb"), b"a\xffb");
    }
}
