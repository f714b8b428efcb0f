//! The target where none is named: the registry's default where it is here or may be fetched, else the
//! bundled one. Says which, and why.

use std::path::PathBuf;

use anyhow::Result;

use super::{Prefer, Source, Sources, bundled};
use crate::data::downloads::Size;
use crate::hub::Repository;
use crate::printer::Printer;
use crate::registry::DEFAULT_TARGET;

impl Sources {
    /// The name of the target where none is named. What is larger than `limit` is not fetched unasked.
    pub fn default_target(&self, limit: Size, printer: &Printer) -> Result<&'static str> {
        let target = bundled::TARGET;
        if bundled::folder(target).is_none() {
            return Ok(DEFAULT_TARGET);
        }
        let reason = match self.find_default()? {
            Source::Folder(_) | Source::Cache(_) => return Ok(DEFAULT_TARGET),
            Source::Bundled { .. } => "--source bundled".to_owned(),
            Source::Absent(_) => {
                "it is not in the cache, and the network may not be used".to_owned()
            }
            Source::Hub { repository, .. } => match self.fetch_default(&repository, limit, printer)
            {
                Ok(()) => return Ok(DEFAULT_TARGET),
                Err(reason) => reason,
            },
        };
        printer.say(&format!(
            "no --target is named: the bundled {target} is taken, not {DEFAULT_TARGET} ({reason})"
        ));
        Ok(target)
    }

    fn find_default(&self) -> Result<Source> {
        match self.prefer {
            Prefer::Bundled => Ok(Source::Bundled { folder: PathBuf::new(), reason: None }),
            Prefer::Auto | Prefer::Hub => self.find(DEFAULT_TARGET),
            // The target was not named, so that it is not in the cache is no error.
            Prefer::Cache => Ok(self
                .find(DEFAULT_TARGET)
                .unwrap_or_else(|_| Source::Absent(Repository::new(DEFAULT_TARGET)))),
        }
    }

    /// Fetches it, or says why not.
    fn fetch_default(
        &self,
        repository: &Repository,
        limit: Size,
        printer: &Printer,
    ) -> Result<(), String> {
        if !self.hub.has_token() {
            return Err("it is not in the cache, and no token is set in HF_TOKEN".to_owned());
        }
        let size = self.hub.size(repository).map(Size).map_err(|error| format!("{error:#}"))?;
        if size > limit {
            return Err(format!(
                "a download of {size}, and up to {limit} are downloaded unasked; --target \
                 {DEFAULT_TARGET} asks for it"
            ));
        }
        self.hub.fetch(repository, printer).map(drop).map_err(|error| format!("{error:#}"))
    }
}
