//! How the target reads what a draft has written: drafted bytes as target tokens behind the committed
//! text, and which of them can still change. Knows no model.

use align::{Encoding, Tokenizer, unicode};

use super::Round;
use crate::error::SpeculateError;

/// The drafted bytes as the target reads them: composed, where the draft's tokenizer decomposes and
/// the committed text is composed.
pub(super) fn read(
    round: &Round<'_>,
    draft: &Tokenizer,
    bytes: &[u8],
) -> Result<Encoding, SpeculateError> {
    let composed =
        draft.decomposes() && !bytes.is_ascii() && unicode::is_composed(round.committed.text());
    let bytes = if composed { unicode::compose(bytes) } else { bytes.to_vec() };
    Ok(round.committed.continuation(round.target.tokenizer, &bytes)?)
}

/// How many of the tokens can no longer change when more text follows.
pub(super) fn complete(encoding: &Encoding, bytes_end: bool, round: &Round<'_>) -> usize {
    let Some(&last) = encoding.ids.last() else { return 0 };
    if bytes_end {
        return encoding.ids.len();
    }
    let vocabulary = round.target.tokenizer.vocabulary();
    let open = vocabulary.has_extension(&vocabulary.decode(&[last]));
    encoding.ids.len() - usize::from(open)
}
