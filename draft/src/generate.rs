//! Plain generation with one model: ids in, ids out one by one, until an end of text, as many as
//! were asked for, or a full context. Draws with the keys of plain decoding, so that equal seeds
//! give equal ids there and here. Knows no text.

use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::random::{Purpose, Randomness};
use crate::sampling::Sampling;
use crate::session::Session;

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// An end of text was drawn.
    Eos,
    /// As many ids as were asked for.
    MaxNew,
    /// The model has no position left to read the last id at.
    Context,
}

/// How to draw, and how far to go.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How logits become the law that an id is drawn from.
    pub sampling: Sampling,
    /// The random numbers.
    pub randomness: Randomness,
    /// Ids that end a text; none where an end of text is an id like any other.
    pub eos: Vec<u32>,
    /// Ids to draw, at most.
    pub max_new: usize,
}

/// What can go wrong in a generation.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// Nothing to go on from.
    #[error("there is no id to continue; give at least one")]
    Empty,
    /// More ids than the model has positions.
    #[error("there are {length} ids, and the model's context is {context}; shorten the prompt")]
    TooLong {
        /// Ids given.
        length: usize,
        /// Positions the model has.
        context: usize,
    },
    /// Logits that are no numbers.
    #[error(
        "the model's logits at position {position} are not finite: its weights are damaged, or too \
         large for the precision; try --dtype fp32"
    )]
    NotFinite {
        /// The position, from 0.
        position: usize,
    },
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A generation on its way.
pub struct Generator<'a> {
    session: &'a mut Session,
    settings: Settings,
    ids: Vec<u32>,
    prompt: usize,
    finish: Option<Finish>,
}

impl<'a> Generator<'a> {
    /// Reads a prompt, all of it in one pass.
    pub fn begin(
        session: &'a mut Session,
        prompt: Vec<u32>,
        settings: Settings,
    ) -> Result<Self, GenerateError> {
        check(session, &prompt)?;
        session.reset();
        session.advance_to(&prompt)?;
        let finish = (settings.max_new == 0).then_some(Finish::MaxNew);
        let length = prompt.len();
        Ok(Self { session, settings, ids: prompt, prompt: length, finish })
    }

    /// The prompt's ids and those drawn.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The ids drawn, an end of text included.
    pub fn drawn(&self) -> &[u32] {
        &self.ids[self.prompt..]
    }

    /// Why it ended; `None` while it goes on.
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// The logits behind all ids so far; `None` where the context has no position for the last.
    pub fn logits(&mut self) -> Result<Option<&[f32]>, GenerateError> {
        if self.ids.len() > self.session.model().context() {
            return Ok(None);
        }
        if self.session.ids().len() < self.ids.len() {
            self.session.push(self.ids[self.ids.len() - 1])?;
        }
        let logits = self.session.last_logits();
        check_finite(logits, self.ids.len() - 1)?;
        Ok(Some(logits))
    }

    /// Draws the next id; `None` behind the last.
    pub fn next_id(&mut self) -> Result<Option<u32>, GenerateError> {
        if self.finish.is_some() || self.logits()?.is_none() {
            return Ok(None);
        }
        let law = self.settings.sampling.law(self.session.last_logits(), &[&self.ids]);
        let key = self.settings.randomness.key(self.drawn().len(), Purpose::Target);
        let id = law.draw(key);
        self.ids.push(id);
        if self.settings.eos.contains(&id) {
            self.finish = Some(Finish::Eos);
        } else if self.drawn().len() >= self.settings.max_new {
            self.finish = Some(Finish::MaxNew);
        } else if self.ids.len() > self.session.model().context() {
            self.finish = Some(Finish::Context);
        }
        Ok(Some(id))
    }
}

/// Whether a model can read these ids as they are.
pub fn check(session: &Session, ids: &[u32]) -> Result<(), GenerateError> {
    let (rows, context) = (session.model().rows(), session.model().context());
    if ids.is_empty() {
        return Err(GenerateError::Empty);
    }
    if let Some(&id) = ids.iter().find(|&&id| id as usize >= rows) {
        return Err(ModelError::Id { id, rows }.into());
    }
    if ids.len() > context {
        return Err(GenerateError::TooLong { length: ids.len(), context });
    }
    Ok(())
}

/// Whether logits can be made a law: none is NaN, and the largest is finite.
pub fn check_finite(logits: &[f32], position: usize) -> Result<(), GenerateError> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if largest.is_finite() && !logits.iter().any(|logit| logit.is_nan()) {
        return Ok(());
    }
    Err(GenerateError::NotFinite { position })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language_model::{LanguageModel, Logits, Wanted};

    /// After `id` comes `id + 1`, up to the last row, which stays.
    struct Counting {
        length: usize,
        broken: bool,
    }

    impl LanguageModel for Counting {
        fn rows(&self) -> usize {
            5
        }

        fn context(&self) -> usize {
            6
        }

        fn length(&self) -> usize {
            self.length
        }

        fn extend(&mut self, ids: &[u32], _wanted: Wanted) -> Result<Logits, ModelError> {
            self.length += ids.len();
            let mut values = vec![if self.broken { f32::NAN } else { 0.0 }; 5];
            values[(ids[ids.len() - 1] as usize + 1).min(4)] = 9.0;
            Ok(Logits::new(values, 5))
        }

        fn extend_tree(
            &mut self,
            _base: usize,
            ids: &[u32],
            _parents: &[Option<usize>],
        ) -> Result<Logits, ModelError> {
            self.extend(ids, Wanted::Last)
        }

        fn keep_path(&mut self, base: usize, path: &[usize]) {
            self.length = base + path.len();
        }

        fn truncate(&mut self, length: usize) {
            self.length = length;
        }
    }

    fn run(
        prompt: &[u32],
        eos: &[u32],
        max_new: usize,
    ) -> Result<(Vec<u32>, Finish), GenerateError> {
        let mut session = Session::new(Box::new(Counting { length: 0, broken: false }));
        let settings = Settings {
            sampling: Sampling::GREEDY,
            randomness: Randomness { seed: 0, prompt: 0 },
            eos: eos.to_vec(),
            max_new,
        };
        let mut generator = Generator::begin(&mut session, prompt.to_vec(), settings)?;
        while let Some(id) = generator.next_id()? {
            assert_eq!(generator.drawn().last(), Some(&id));
        }
        assert_eq!(generator.next_id()?, None, "the end is the end");
        let fits = generator.ids().len() <= 6;
        assert_eq!(generator.logits()?.is_some(), fits);
        Ok((generator.drawn().to_vec(), generator.finish().unwrap()))
    }

    #[test]
    fn it_ends_for_the_first_reason() {
        assert_eq!(run(&[0], &[3], 10).unwrap(), (vec![1, 2, 3], Finish::Eos));
        assert_eq!(run(&[0], &[3], 3).unwrap(), (vec![1, 2, 3], Finish::Eos));
        assert_eq!(run(&[0], &[3], 2).unwrap(), (vec![1, 2], Finish::MaxNew));
        assert_eq!(run(&[0], &[], 10).unwrap(), (vec![1, 2, 3, 4, 4, 4], Finish::Context));
        assert_eq!(run(&[0; 6], &[], 10).unwrap(), (vec![1], Finish::Context));
        assert_eq!(run(&[0], &[], 0).unwrap(), (vec![], Finish::MaxNew));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let message = |prompt: &[u32]| run(prompt, &[], 1).unwrap_err().to_string();
        assert!(message(&[]).contains("no id"));
        assert!(message(&[0, 5]).contains("5 is outside the model's 5 rows"));
        let long = message(&[0; 7]);
        assert!(long.contains("7 ids") && long.contains("context is 6"), "{long}");
    }

    #[test]
    fn logits_that_are_no_numbers_are_an_error() {
        let mut session = Session::new(Box::new(Counting { length: 0, broken: true }));
        let settings = Settings {
            sampling: Sampling::at(1.0),
            randomness: Randomness { seed: 0, prompt: 0 },
            eos: Vec::new(),
            max_new: 3,
        };
        let mut generator = Generator::begin(&mut session, vec![0, 1], settings).unwrap();
        assert!(generator.next_id().unwrap_err().to_string().contains("position 1"));
    }
}
