//! A vocabulary out of text: many candidates, encoded with by the real encoder, and the least useful
//! of them dropped, again and again, until as many are left as are wanted.
//!
//! Knows the order of the steps; what a candidate is says `candidates`, what one is worth `worth`.

mod atoms;
mod candidates;
mod corpus;
mod fast_hash;
mod prune;
#[cfg(test)]
mod tests;
mod worth;

use super::capcode::Capcode;
use super::error::VocabError;
use super::format::Vocab;
use candidates::Candidates;
use corpus::Corpus;
use prune::Pruning;

/// The bit of a header's `byte_set` that says that all bytes have a token.
const ALL_BYTES: u8 = 1;
/// Tokens that every vocabulary has: the single bytes.
const BYTES: usize = 256;

/// What a token may span, named as in the file's header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Any sequence of whole words, numbers and what stands between them, or a part of one of them.
    Clean,
    /// A word or a part of it, several whole words with their spaces in front, a number, or what
    /// stands between words and numbers; never two kinds together.
    Strict,
}

impl Mode {
    /// The value stored in a file's header.
    pub fn header(self) -> u8 {
        match self {
            Self::Clean => 1,
            Self::Strict => 4,
        }
    }
}

/// How far a build is, in bytes of text to be encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// In all.
    pub total: u64,
}

/// What to build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Build {
    /// How many tokens, the 256 single bytes among them.
    pub size: usize,
    /// What a token may span.
    pub mode: Mode,
    /// How word beginnings and capitals are written.
    pub capcode: Capcode,
    /// Decides which parts of the text each round encodes.
    pub seed: u64,
}

impl Build {
    /// Builds a vocabulary of exactly [`Self::size`] tokens. The same texts and options give the same
    /// vocabulary, whatever the number of threads.
    pub fn run<T: AsRef<[u8]> + Sync>(
        &self,
        texts: &[T],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vocab, VocabError> {
        if self.size < BYTES {
            return Err(VocabError::TooSmall { size: self.size, least: BYTES });
        }
        let corpus = Corpus::new(texts, self.capcode);
        let wanted = self.size - BYTES;
        let candidates = Candidates::count(&corpus, *self).best(wanted);
        if candidates.len() < wanted {
            let found = BYTES + candidates.len();
            return Err(VocabError::TooFewCandidates { size: self.size, found });
        }
        let tokens = Pruning::new(*self, &corpus, wanted).run(candidates, progress)?;
        let mut vocab = self.assemble(&tokens)?;
        vocab.byte_set = ALL_BYTES;
        corpus.score(&mut vocab);
        Ok(vocab)
    }

    /// The vocabulary of these tokens and all bytes.
    fn assemble(&self, tokens: &[Vec<u8>]) -> Result<Vocab, VocabError> {
        let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
        let all: Vec<Vec<u8>> = bytes.chain(tokens.iter().cloned()).collect();
        Vocab::from_tokens(&all, self.capcode, self.mode.header())
    }
}
