//! Documents cut into pieces that both models can read whole. Knows no tokenizer and no model.

use anyhow::Result;

/// Pieces for training and, of other documents, for evaluation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    /// For training.
    pub train: Vec<String>,
    /// For evaluation.
    pub evaluation: Vec<String>,
}

/// Every so many documents one is kept for evaluation until there is enough of it.
const EVERY: usize = 8;

impl Pieces {
    /// At most so many pieces of each kind, of at most `bytes` bytes.
    pub fn cut(
        documents: impl Iterator<Item = Result<String>>,
        (train, evaluation): (usize, usize),
        bytes: usize,
    ) -> Result<Self> {
        let mut pieces = Self::default();
        for (index, document) in documents.enumerate() {
            if pieces.train.len() >= train && pieces.evaluation.len() >= evaluation {
                break;
            }
            let document = document?;
            let kept = index % EVERY == 0 && pieces.evaluation.len() < evaluation;
            let (list, most) = if kept {
                (&mut pieces.evaluation, evaluation)
            } else {
                (&mut pieces.train, train)
            };
            let room = most.saturating_sub(list.len());
            list.extend(parts(&document, bytes).take(room).map(str::to_owned));
        }
        Ok(pieces)
    }
}

/// Parts of at most `bytes` bytes.
fn parts(text: &str, bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = end_of_part(rest, bytes);
        let (part, left) = rest.split_at(end);
        rest = left.trim_start();
        Some(part)
    })
}

/// Where the first part of at most `bytes` bytes ends: behind a line or before a space where one is
/// near.
pub fn end_of_part(text: &str, bytes: usize) -> usize {
    if text.len() <= bytes {
        return text.len();
    }
    let fits = (1..=bytes).rev().find(|&at| text.is_char_boundary(at));
    let limit = fits.unwrap_or_else(|| text.chars().next().map_or(0, char::len_utf8));
    let near = |at: &usize| 2 * at > limit;
    let head = &text[..limit];
    head.rfind('\n').filter(near).or_else(|| head.rfind(' ').filter(near)).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_where_words_end() {
        let cut = |text: &str, bytes| parts(text, bytes).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cut(" one two three ", 8), ["one two", "three"]);
        assert_eq!(cut("one\ntwo three", 5), ["one", "two", "three"]);
        assert_eq!(cut("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(cut("ééé", 3), ["é", "é", "é"]);
        assert_eq!(cut("\u{1F600}", 1), ["\u{1F600}"]);
    }

    #[test]
    fn evaluation_has_documents_of_its_own() {
        let documents = || (0..20).map(|index| Ok(format!("document {index}")));
        let pieces = Pieces::cut(documents(), (100, 2), 100).unwrap();
        assert_eq!(pieces.evaluation, ["document 0", "document 8"]);
        assert_eq!(pieces.train.len(), 18);
        let few = Pieces::cut(documents(), (3, 1), 100).unwrap();
        assert_eq!((few.train.len(), few.evaluation.len()), (3, 1));
    }
}
