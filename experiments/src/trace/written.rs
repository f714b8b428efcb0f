//! The target of a trace, of which only the tokenizer is at hand: found where the trace says, by its name, or
//! where the user says, and refused where it is another one. No weights are needed.

use std::path::{Path, PathBuf};

use align::Tokenizer;
use anyhow::{Context, Result, bail};
use target::Reader;
use target::trace::{Header, Target};

use super::file::Trace;
use super::record::hash_of;
use crate::printer::Printer;
use crate::source::{Sources, read_tokenizer};
use crate::tokenizer;

/// A target that is not at hand.
pub struct Written {
    tokenizer: Tokenizer,
    /// The folder or file that the tokenizer was found in.
    pub place: PathBuf,
    eos: Vec<u32>,
    rows: usize,
    context: usize,
}

impl Written {
    /// Finds the tokenizer of a trace's target: `named` by the user, or else where the trace says.
    pub fn find(sources: &Sources, trace: &Trace, named: Option<&str>) -> Result<Self> {
        let target = &trace.header.target;
        let (name, place) = match named {
            Some(name) => (name, at(sources, name)),
            None if has_tokenizer(Path::new(&target.path)) => {
                (target.path.as_str(), Ok(PathBuf::from(&target.path)))
            }
            None => (target.name.as_str(), at(sources, &target.name)),
        };
        let missing = || {
            format!(
                "the trace {} was written by {}, whose tokenizer is not at hand; name a folder or a \
                 file that has it with --target",
                trace.path.display(),
                target.name
            )
        };
        let place = place.with_context(missing)?;
        let tokenizer = open(name, &place, &trace.header).with_context(missing)?;
        let Target { eos, rows, context, .. } = target.clone();
        let found = Self { tokenizer, place, eos, rows, context };
        for (index, text) in trace.texts.iter().enumerate() {
            let checked = text.check_bytes(found.reader());
            checked.with_context(|| format!("{}, text {}", trace.path.display(), index + 1))?;
        }
        Ok(found)
    }

    /// How it reads and writes.
    pub fn reader(&self) -> Reader<'_> {
        let Self { tokenizer, eos, rows, context, .. } = self;
        Reader { tokenizer, eos, rows: *rows, context: *context }
    }
}

fn at(sources: &Sources, name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.is_file() { Ok(path.to_path_buf()) } else { sources.locate_tokenizer(name) }
}

fn has_tokenizer(folder: &Path) -> bool {
    folder.is_file() || folder.is_dir() && Tokenizer::file(folder).is_ok_and(|file| file.is_file())
}

/// Opens the tokenizer of a trace's target, which must be the one that the trace was written with.
fn open(name: &str, place: &Path, header: &Header) -> Result<Tokenizer> {
    let file = tokenizer::file(name, place, &Printer::default())?;
    let (own, target) = (hash_of(&file)?.sha256, &header.target);
    let known = &target.vocabulary_file.sha256;
    if own != *known {
        bail!(
            "{} is another tokenizer than that of the trace: its SHA-256 is {own}, and the trace's \
             {known}",
            file.display()
        );
    }
    let mut tokenizer = read_tokenizer(name, place)?;
    tokenizer.set_prefix(target.prefix.clone());
    tokenizer.pad_to(target.rows);
    Ok(tokenizer)
}
