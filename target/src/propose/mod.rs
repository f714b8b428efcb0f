//! Methods that turn a draft model into candidates for the target. One file a method; each gives
//! target tokens with the exact law they were drawn from, or says that they were not drawn.

mod beams;
pub mod byte;
mod drafter;
mod followers;
mod grower;
mod growth;
pub mod identity;
pub mod known;
mod likely;
pub mod ngram;
pub mod nothing;
pub mod paced;
mod reading;
mod seams;
pub mod siblings;
pub mod slem;
mod start;
mod stream;
mod sums;
pub mod tli;
pub mod tree;
mod worth;

use std::fmt;
use std::str::FromStr;

use align::{Context, Vocabulary};
use draft::Randomness;
use serde::{Deserialize, Serialize};

use crate::error::SpeculateError;
use crate::proposal::Proposal;
use crate::reader::Reader;
use crate::round::{Clock, Tally};
use crate::side::Side;

pub use byte::Byte;
pub use identity::Identity;
pub use known::Known;
pub use ngram::Ngram;
pub use nothing::Nothing;
pub use paced::{Limiting, Paced};
use siblings::Siblings;
pub use slem::Slem;
pub use tli::Tli;
pub use tree::Tree;

/// What a proposer may look at when it proposes.
#[derive(Clone, Copy)]
pub struct Round<'a> {
    /// How the target reads and writes; its model is not a proposer's business.
    pub target: Reader<'a>,
    /// The target's committed text and ids.
    pub committed: &'a Context,
    /// At most this many candidates in a row.
    pub budget: usize,
    /// At most this many candidates in all.
    pub room: usize,
    /// Whether an end of text is a token like any other.
    pub ignore_eos: bool,
    /// Emitted tokens so far.
    pub position: usize,
    /// The prompt's random numbers.
    pub randomness: Randomness,
    /// What comes, where the text was recorded.
    pub known: Option<Known<'a>>,
}

impl Round<'_> {
    /// Whether nothing is drafted behind `token`: it ends the text.
    fn ends_with(&self, token: u32) -> bool {
        self.target.is_end(token) && !self.ignore_eos
    }
}

/// A method with its draft.
pub trait Proposer {
    /// The method's name.
    fn name(&self) -> &'static str;

    /// Begins a prompt, given as the draft reads it.
    fn begin(&mut self, prompt: &Context, clock: &mut Clock) -> Result<(), SpeculateError>;

    /// Hears of tokens that the target emitted, and the bytes that they add to the text.
    fn commit(
        &mut self,
        tokens: &[u32],
        bytes: &[u8],
        clock: &mut Clock,
    ) -> Result<(), SpeculateError>;

    /// Proposes candidates.
    fn propose(&mut self, round: &Round<'_>, clock: &mut Clock)
    -> Result<Proposal, SpeculateError>;

    /// Adds the draft's own counts of this prompt.
    fn count(&self, tally: &mut Tally);
}

/// The names of the methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// One vocabulary, rejection sampling.
    Identity,
    /// Text encoded again, exact match.
    Slem,
    /// Token-level intersection.
    Tli,
    /// A tree of texts encoded again, exact match.
    Tree,
    /// Target tokens from the draft's bytes, by a law that is cut off.
    Byte,
    /// The same with the whole law, where that can be had.
    Slrs,
}

/// What a method may be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Temperature of the draft's law.
    pub temperature: f64,
    /// How large a tree is.
    pub size: tree::Size,
    /// Candidates of each place, for methods with a law.
    pub siblings: Siblings,
}

impl Settings {
    /// Candidates in all, at most.
    fn room(&self, round: &Round<'_>) -> usize {
        let several = self.siblings.count != Some(1);
        if several { self.size.nodes.min(round.room) } else { round.budget }
    }

    /// A draft's law at that temperature, and trees of the usual size.
    pub fn at(temperature: f64) -> Self {
        Self { temperature, size: tree::Size::default(), siblings: Siblings::default() }
    }
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Identity, Self::Slem, Self::Tli, Self::Tree, Self::Byte, Self::Slrs];

    /// The name that users type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Slem => "slem",
            Self::Tli => "tli",
            Self::Tree => "tree",
            Self::Byte => "byte",
            Self::Slrs => "slrs",
        }
    }

    /// Whether the draft reads several texts at once.
    pub fn reads_many(self) -> bool {
        matches!(self, Self::Tree | Self::Byte | Self::Slrs)
    }

    /// Whether candidates have a law that they are drawn from.
    pub fn has_law(self) -> bool {
        !matches!(self, Self::Slem | Self::Tree)
    }

    /// Candidates of each place as this method has them: where only some may branch, the others have one.
    pub fn siblings(self, asked: Siblings) -> Siblings {
        let count = if self == Self::Byte { asked.count } else { asked.count.or(Some(1)) };
        Siblings { count, ..asked }
    }

    /// The method for a pair where none is asked for, and why: those that had the most tokens a target pass
    /// in the project's benchmarks, at every temperature.
    pub fn best_for(draft: &Vocabulary, target: &Vocabulary) -> (Self, &'static str) {
        if draft.same_as(target) {
            (Self::Identity, "auto: the vocabularies are the same")
        } else {
            (
                Self::Byte,
                "auto: the vocabularies differ, and byte accepts most of all methods for two",
            )
        }
    }

    /// Builds the method's proposer.
    pub fn proposer<'a>(
        self,
        draft: Side,
        target: impl Into<Reader<'a>>,
        settings: Settings,
    ) -> Result<Box<dyn Proposer>, SpeculateError> {
        let target = target.into();
        let settings = Settings { siblings: self.siblings(settings.siblings), ..settings };
        let Settings { temperature, size, .. } = settings;
        Ok(match self {
            Self::Identity => Box::new(Identity::new(draft, target, settings)?),
            Self::Slem => Box::new(Slem::new(draft)),
            Self::Tli => Box::new(Tli::new(draft, target, settings)),
            Self::Tree => Box::new(Tree::new(draft, size, temperature)),
            Self::Byte => Box::new(Byte::new(draft, target, settings)),
            Self::Slrs => Box::new(Byte::whole(draft, target, settings)),
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|method| method.name()).collect();
            format!("unknown method `{name}`; methods are {}", names.join(", "))
        })
    }
}
