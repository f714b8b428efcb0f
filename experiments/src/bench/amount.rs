//! A number, or `auto`: what costs and acceptance make of it while it runs.

use std::fmt;
use std::str::FromStr;

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
