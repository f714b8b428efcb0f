//! A number, or `auto`: what costs and acceptance make of it while it runs.

use std::fmt;
use std::str::FromStr;

use target::Verification;
use target::propose::siblings::{Rule, Siblings};

/// How many candidates there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Fixed(usize),
    /// As many as pay.
    Auto,
}

impl Amount {
    /// The number, or the most that `auto` may choose.
    pub fn at_most(self, most: usize) -> usize {
        match self {
            Self::Fixed(count) => count,
            Self::Auto => most,
        }
    }

    /// So many candidates a place; where that is left open there is one for verification by blocks, which
    /// is of chains.
    pub fn siblings(self, rule: Rule, verification: Verification) -> Siblings {
        let count = match (self, verification) {
            (Self::Fixed(count), _) => Some(count),
            (Self::Auto, Verification::Block) => Some(1),
            (Self::Auto, Verification::Token) => None,
        };
        Siblings { count, rule }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(count) => write!(formatter, "{count}"),
            Self::Auto => formatter.write_str("auto"),
        }
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text
                .parse()
                .map(Self::Fixed)
                .map_err(|_| format!("`{text}` is neither auto nor a number")),
        }
    }
}
