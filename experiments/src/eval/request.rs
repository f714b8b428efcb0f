//! A context and a continuation as ids, exactly as lm-evaluation-harness 0.4 makes them of a causal
//! model's tokenizer, so that scores stand beside published ones. Knows a tokenizer; runs no model.

use align::Tokenizer;
use anyhow::{Result, bail};
use draft::model::Passage;

use super::suites::python::is_space;
use crate::source::Described;

/// What a model is asked: how probable the continuation is behind the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// May be empty.
    pub context: String,
    /// With the space in front that it has behind the context.
    pub continuation: String,
}

/// A request as a model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    ids: Vec<u32>,
    scored: usize,
    /// Whether the continuation was encoded alone, for it has no ids of its own behind the context.
    pub is_apart: bool,
}

impl Encoded {
    /// As it is scored.
    pub fn passage(&self) -> Passage<'_> {
        Passage::new(&self.ids, self.scored)
    }
}

/// Makes ids of requests.
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    /// What stands before a continuation without context.
    start: u32,
    context: usize,
}

impl<'a> Encoder<'a> {
    /// For a model that reads up to `context` ids. An empty context is the id that begins a text, or
    /// where there is none, the one that ends it.
    pub fn new(model: &'a Described, context: usize) -> Result<Self> {
        let tokenizer = &model.tokenizer;
        let begin = tokenizer.bos().or_else(|| tokenizer.prefix().last().copied());
        match begin.or_else(|| tokenizer.eos()).or_else(|| model.eos.first().copied()) {
            Some(start) => Ok(Self { tokenizer, start, context }),
            None => bail!(
                "{}: neither the tokenizer nor config.json names an id that begins or ends a text; \
                 add \"eos_token\" to its tokenizer_config.json",
                model.located.folder.display()
            ),
        }
    }

    /// The id that stands for an empty context.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// Encodes a request. White space that ends the context is moved to the continuation. The context is
    /// encoded alone, and both are as one text: what this has behind as many ids is scored behind the
    /// context's own. Where that is nothing, for the vocabulary has a token over the seam, and the harness would
    /// stop, the continuation is encoded alone. What is too long loses ids on the left.
    pub fn encode(&self, request: &Request) -> Result<Encoded> {
        let Request { context, continuation } = request;
        let (mut ids, mut scored) = if context.is_empty() {
            self.alone(continuation)?
        } else {
            self.pair(context, continuation)?
        };
        let is_apart = scored == 0 && !ids.is_empty() && !context.is_empty();
        if is_apart {
            let trimmed = context.trim_end_matches(is_space).len();
            let own = [&context[trimmed..], continuation].concat();
            let own = self.tokenizer.encode_reference(&own, false)?;
            ids.extend_from_slice(&own);
            scored = own.len();
        }
        if scored == 0 || scored == ids.len() {
            bail!("the tokenizer makes no id to score of `{continuation}` behind `{context}`");
        }
        if scored > self.context {
            bail!(
                "a continuation of {scored} ids is longer than the model's context of {}; leave it \
                 out of the data",
                self.context
            );
        }
        ids.drain(..ids.len().saturating_sub(self.context + 1));
        Ok(Encoded { ids, scored, is_apart })
    }

    fn alone(&self, continuation: &str) -> Result<(Vec<u32>, usize)> {
        let own = self.tokenizer.encode_reference(continuation, false)?;
        if own.first() == Some(&self.start) {
            let scored = own.len() - 1;
            return Ok((own, scored));
        }
        let scored = own.len();
        Ok(([&[self.start], &own[..]].concat(), scored))
    }

    fn pair(&self, context: &str, continuation: &str) -> Result<(Vec<u32>, usize)> {
        let trimmed = context.trim_end_matches(is_space);
        let whole = self.with_prefix(&[context, continuation].concat())?;
        let mut ids = self.with_prefix(trimmed)?;
        let scored = whole.get(ids.len()..).unwrap_or_default();
        ids.extend_from_slice(scored);
        Ok((ids, scored.len()))
    }

    fn with_prefix(&self, text: &str) -> Result<Vec<u32>> {
        let own = self.tokenizer.encode_reference(text, false)?;
        Ok([self.tokenizer.prefix(), &own].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::tokenizers::bpe;

    fn encoded(tokenizer: &Tokenizer, context: &str, continuation: &str) -> Result<Encoded> {
        let encoder = Encoder { tokenizer, start: 9, context: 5 };
        encoder.encode(&Request { context: context.into(), continuation: continuation.into() })
    }

    /// Ids: a 0, b 1, space 2, ` a` 3, `ab` 4, `<eos>` 5.
    fn tokenizer() -> Tokenizer {
        bpe("ab ", &[(" ", "a"), ("a", "b")])
    }

    #[test]
    fn an_empty_context_is_the_start() {
        let tokenizer = tokenizer();
        let found = encoded(&tokenizer, "", " ab").unwrap();
        assert_eq!(found, Encoded { ids: vec![9, 3, 1], scored: 2, is_apart: false });
        let encoder = Encoder { tokenizer: &tokenizer, start: 3, context: 5 };
        let request = Request { context: String::new(), continuation: " ab".into() };
        assert_eq!(
            encoder.encode(&request).unwrap(),
            Encoded { ids: vec![3, 1], scored: 1, is_apart: false }
        );
    }

    #[test]
    fn white_space_behind_the_context_goes_to_the_continuation() {
        let mut tokenizer = tokenizer();
        tokenizer.set_prefix(vec![7]);
        let expected = Encoded { ids: vec![7, 1, 3, 1], scored: 2, is_apart: false };
        assert_eq!(encoded(&tokenizer, "b ", "ab").unwrap(), expected);
        assert_eq!(encoded(&tokenizer, "b", " ab").unwrap(), expected);
    }

    #[test]
    fn the_context_has_the_ids_that_it_has_alone() {
        // As one text `b`, `ab`, ` `, `b`.
        let found = encoded(&tokenizer(), "ba", "b b").unwrap();
        assert_eq!(found, Encoded { ids: vec![1, 0, 2, 1], scored: 2, is_apart: false });
    }

    #[test]
    fn a_continuation_within_one_token_is_encoded_alone() {
        let found = encoded(&tokenizer(), "ba", "b").unwrap();
        assert_eq!(found, Encoded { ids: vec![1, 0, 1], scored: 1, is_apart: true });
        let found = encoded(&tokenizer(), "b ", "a").unwrap();
        assert_eq!(found, Encoded { ids: vec![1, 3], scored: 1, is_apart: false });
    }

    #[test]
    fn what_is_too_long_loses_its_left() {
        let tokenizer = tokenizer();
        let found = encoded(&tokenizer, "bbbbbbb", " b").unwrap();
        assert_eq!(found, Encoded { ids: vec![1, 1, 1, 1, 2, 1], scored: 2, is_apart: false });
        let message = encoded(&tokenizer, "b", "bbbbbb").unwrap_err().to_string();
        assert!(message.contains("6 ids") && message.contains("context of 5"), "{message}");
        assert!(encoded(&tokenizer, "b", "").is_err() && encoded(&tokenizer, "", "").is_err());
    }
}
