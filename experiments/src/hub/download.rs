//! One file from the Hub into the cache: under its lock, from where an earlier run stopped, and
//! under its name only when its bytes are verified.

use std::io::{self, ErrorKind, Read};

use anyhow::{Result, bail};

use super::cache::{RepositoryCache, cannot_write};
use super::partial::Partial;
use super::patience::{Attempt, Patience, Trouble};
use super::requests::{Bytes, Facts, RemoteFile, Requests};
use crate::printer::Printer;

/// An attempt that brought so much was no failure, though it was cut.
const WORTH_WHILE: u64 = 1 << 20;

/// Attempts to get the right bytes.
const FULL_READS: usize = 2;

/// What downloads files of one repository.
pub(super) struct Download<'a> {
    pub(super) requests: &'a Requests,
    pub(super) cache: &'a RepositoryCache,
    pub(super) printer: &'a Printer,
}

/// A file that is in the cache now.
pub(super) struct Arrived {
    pub(super) size: u64,
    pub(super) is_new: bool,
}

impl Download<'_> {
    /// Brings a file into the cache, unless it is there.
    pub(super) fn file(&self, file: RemoteFile<'_>) -> Result<Arrived> {
        let what = format!("{} of {}", file.name, file.repository.id);
        let facts = Patience::new(&what, self.printer).try_for(|| self.requests.facts(file))?;
        let blob = self.cache.blob(&facts.digest)?;
        let _lock = self.cache.lock(&facts.digest, &what, self.printer)?;
        let there = std::fs::metadata(&blob).is_ok_and(|found| found.len() == facts.size);
        if !there {
            self.bring(file, &facts, &what)?;
        }
        self.cache.link(file.commit, file.name, &facts.digest)?;
        Ok(Arrived { size: facts.size, is_new: !there })
    }

    fn bring(&self, file: RemoteFile<'_>, facts: &Facts, what: &str) -> Result<()> {
        let blob = self.cache.blob(&facts.digest)?;
        let path = self.cache.incomplete(&facts.digest)?;
        let written = |error: io::Error| cannot_write(&path, &error);
        let mut partial = Partial::open(&path, facts.size, &facts.digest).map_err(written)?;
        for _ in 0..FULL_READS {
            self.complete(file, &mut partial, what)?;
            if partial.finish(&blob).map_err(written)? {
                return Ok(());
            }
            self.printer.say(&format!("{what}: its bytes are wrong; once more from its beginning"));
        }
        partial.remove().map_err(written)?;
        bail!(
            "{what}: the bytes that come are not those that the Hub announces ({}); nothing was \
             kept; try again later, or from a network without the proxy or cache between",
            facts.digest
        )
    }

    /// Asks until no byte is missing.
    fn complete(&self, file: RemoteFile<'_>, partial: &mut Partial, what: &str) -> Result<()> {
        let mut patience = Patience::new(what, self.printer);
        while partial.missing() > 0 {
            let before = partial.length();
            let attempt = self.requests.bytes(file, before);
            if let Err(trouble) = attempt.and_then(|bytes| self.receive(bytes, partial, file.name))
            {
                if partial.length() > before + WORTH_WHILE {
                    patience.renew();
                }
                patience.bear(trouble)?;
            }
        }
        Ok(())
    }

    fn receive(&self, bytes: Bytes, partial: &mut Partial, name: &str) -> Attempt<()> {
        if bytes.begin != partial.length() {
            partial.restart().map_err(|error| cannot_write(partial.path(), &error))?;
        }
        if bytes.begin > 0 && partial.length() == 0 {
            return Err(Trouble::passing("the server sends other bytes than it was asked for"));
        }
        let mut progress = self.printer.bytes(partial.length(), partial.missing(), name);
        let received = copy(bytes, partial, |count| progress.advance_by(count));
        progress.finish();
        received
    }
}

fn copy(bytes: Bytes, partial: &mut Partial, mut count: impl FnMut(u64)) -> Attempt<()> {
    let mut reader = bytes.reader.take(partial.missing());
    let mut buffer = vec![0; 1 << 18];
    while partial.missing() > 0 {
        let read = match reader.read(&mut buffer) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => {
                return Err(Trouble::passing(format!("the connection failed ({error})")));
            }
            Ok(_) | Err(_) => return Err(Trouble::passing("the connection was cut")),
        };
        partial.append(&buffer[..read]).map_err(|error| cannot_write(partial.path(), &error))?;
        count(read as u64);
    }
    Ok(())
}
