//! What can go wrong while two models work together.

use align::AlignError;
use draft::ModelError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum SpeculateError {
    /// A model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A tokenizer failed.
    #[error(transparent)]
    Align(#[from] AlignError),
    /// `identity` was asked for with two vocabularies.
    #[error(
        "the method identity needs one vocabulary on both sides, and these two differ; use \
         --method slem or tli"
    )]
    VocabulariesDiffer,
    /// A prompt without a token.
    #[error("the prompt is empty: there is nothing to continue")]
    EmptyPrompt,
    /// A proposer that wants no more rounds: a check has seen enough.
    #[error("the proposer ended the generation")]
    Stopped,
    /// A candidate that its own law gives no mass: the law is not the one it was drawn from, and
    /// accepting it would be lossy.
    #[error(
        "the candidate {token} was proposed with a law that gives it no mass; this is an error in \
         the method, please report it"
    )]
    NotDrawnFromItsLaw {
        /// The candidate.
        token: u32,
    },
    /// Several candidates of one place were drawn, and the target is a text.
    #[error(
        "a trace has the target's probability of the token that came and of no other, and several \
         drawn candidates of one place need those of all; use --siblings 1, or a method that draws \
         nothing (slem, tree, or --draft-temperature 0)"
    )]
    SeveralDrawn,
    /// The whole law of a token takes more readings than a draft may do.
    #[error(
        "slrs gives up: the law of the next token is not whole after {readings} readings of the draft; use --method byte, which cuts it off"
    )]
    TooManyTexts {
        /// Readings that a round may do.
        readings: usize,
    },
}
