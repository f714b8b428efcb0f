//! How much text may be downloaded, and how much has been. What is larger than a small limit has to be
//! asked for. Downloads nothing itself.

use std::cell::Cell;
use std::rc::Rc;
use std::str::FromStr;

use anyhow::{Error, Result, anyhow, bail};

use super::source::Source;
use crate::hub::Hub;

/// What may be downloaded unasked.
pub const UNASKED: Size = Size(200_000_000);

/// A number of bytes, as people write it: `20GB`, `1.5 MiB`, `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(&str, f64); 9] = [
    ("TiB", 1_099_511_627_776.0),
    ("GiB", 1_073_741_824.0),
    ("MiB", 1_048_576.0),
    ("KiB", 1024.0),
    ("TB", 1e12),
    ("GB", 1e9),
    ("MB", 1e6),
    ("kB", 1e3),
    ("B", 1.0),
];

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lower = text.trim().to_lowercase();
        let with_unit = UNITS
            .iter()
            .find_map(|(unit, bytes)| Some((lower.strip_suffix(&unit.to_lowercase())?, *bytes)));
        let (number, unit) = with_unit.unwrap_or((&lower, 1.0));
        let number: f64 = number.trim().parse().unwrap_or(f64::NAN);
        if !(number >= 0.0 && number.is_finite()) {
            return Err(anyhow!("`{text}` is no size; expected one such as 500MB or 20GB"));
        }
        Ok(Self((number * unit) as u64))
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.0 as f64;
        let (unit, one) =
            UNITS[4..].iter().find(|(_, one)| bytes >= *one).copied().unwrap_or(("B", 1.0));
        // Never less than it is, so that what is said here is enough where it is typed.
        let tenths = (bytes / one * 10.0).ceil();
        if tenths % 10.0 == 0.0 {
            write!(formatter, "{}{unit}", tenths / 10.0)
        } else {
            write!(formatter, "{:.1}{unit}", tenths / 10.0)
        }
    }
}

/// The Hub, and what may be downloaded from it.
#[derive(Debug)]
pub struct Downloads {
    hub: Hub,
    limit: Size,
    spent: Cell<u64>,
}

impl Downloads {
    /// Up to `limit` bytes.
    pub fn new(hub: Hub, limit: Size) -> Rc<Self> {
        Rc::new(Self { hub, limit, spent: Cell::new(0) })
    }

    /// Where they come from.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// An error where all that is missing of some sources is more than may be downloaded.
    pub fn check<'a>(&self, sources: impl IntoIterator<Item = &'a Source>) -> Result<()> {
        let missing = sources.into_iter().map(|source| (source, source.missing()));
        let missing: Vec<(&Source, u64)> = missing.filter(|(_, size)| *size > 0).collect();
        let size = Size(missing.iter().map(|(_, size)| size).sum());
        if size <= self.limit {
            return Ok(());
        }
        let names: Vec<&str> = missing.iter().map(|(source, _)| source.name.as_str()).collect();
        bail!(
            "{} not here yet, a download of {size}, and up to {} are downloaded unasked; allow it \
             with --max-download {size}, name a narrower path, or take only a part of it by \
             data.max_bytes in the recipe",
            if let [name] = names[..] {
                format!("{name} is")
            } else {
                format!("{} are", names.join(", "))
            },
            self.limit
        )
    }

    /// Counts a download that is about to begin; an error where it would be too much.
    pub fn spend(&self, size: u64, name: &str) -> Result<()> {
        let spent = self.spent.get() + size;
        if Size(spent) > self.limit && !self.hub.is_offline() {
            bail!(
                "{name} would be a download of {}, {} with what came before it, and up to {} are \
                 downloaded unasked; allow it with --max-download {1}, or name smaller files",
                Size(size),
                Size(spent),
                self.limit
            );
        }
        self.spent.set(spent);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let sizes = [
            ("20GB", 20_000_000_000),
            ("1.5 MiB", 1_572_864),
            ("500mb", 500_000_000),
            ("3kB", 3_000),
            ("7B", 7),
            ("4096", 4_096),
            ("0", 0),
        ];
        for (text, bytes) in sizes {
            assert_eq!(text.parse::<Size>().unwrap(), Size(bytes), "{text}");
        }
        for text in ["", "GB", "-1GB", "nan", "1 litre"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_that_is_said_is_enough() {
        for bytes in [0, 999, 1_001, 200_000_000, 200_000_001, 28_516_321_123] {
            let said: Size = Size(bytes).to_string().parse().unwrap();
            assert!(said.0 >= bytes && said.0 as f64 <= bytes as f64 * 1.1, "{bytes}: {said}");
        }
        assert_eq!(Size(200_000_000).to_string(), "200MB");
    }
}
