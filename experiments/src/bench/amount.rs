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

/// Numbers of candidates, one for each case of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amounts(pub Vec<Amount>);

impl Amounts {
    /// A list of one.
    pub fn fixed(count: usize) -> Self {
        Self(vec![Amount::Fixed(count)])
    }
}

impl fmt::Display for Amounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(Amount::to_string).collect();
        formatter.write_str(&texts.join(","))
    }
}

impl FromStr for Amounts {
    type Err = String;

    /// Numbers, `auto`, and ranges such as `2-8` or `2-16+2`, with commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut amounts = Vec::new();
        for item in text.split(',') {
            match item.split_once('-') {
                Some((first, rest)) => amounts.extend(range(first, rest).ok_or_else(|| {
                    format!("`{item}` is no range; write 2-8, or 2-16+2 for every second number")
                })?),
                None => amounts.push(item.parse()?),
            }
        }
        Ok(Self(amounts))
    }
}

fn range(first: &str, rest: &str) -> Option<impl Iterator<Item = Amount> + use<>> {
    let (last, step) = rest.split_once('+').unwrap_or((rest, "1"));
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    let step: usize = step.parse().ok().filter(|step| *step > 0)?;
    (first <= last).then(|| (first..=last).step_by(step).map(Amount::Fixed))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(text: &str) -> Result<String, String> {
        Amounts::from_str(text).map(|amounts| amounts.to_string())
    }

    #[test]
    fn lists_and_ranges() {
        assert_eq!(amounts("5").unwrap(), "5");
        assert_eq!(amounts("2-4,8,auto").unwrap(), "2,3,4,8,auto");
        assert_eq!(amounts("2-9+3").unwrap(), "2,5,8");
        for text in ["", "2-", "8-2", "2-8+0", "x", "2,,3"] {
            assert!(amounts(text).is_err(), "{text}");
        }
    }
}
