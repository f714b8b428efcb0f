//! Which text is read: sources, what is taken of each, what is done to each document. Knows no
//! tokenizer.

use std::cell::Cell;
use std::rc::Rc;

use anyhow::Result;
use serde::Serialize;

use super::documents::Documents;
use super::downloads::Downloads;
use super::mixture::{Mixture, Part, Texts, UpTo};
use super::source::{self, Source, TextFile};
use crate::train::recipe::{Cleaning, DataPart};

/// A text.
#[derive(Clone, Debug)]
pub struct Text {
    /// Where it comes from.
    pub sources: Vec<Source>,
    /// The share of the bytes of each; empty takes all of all, one after another.
    pub shares: Vec<f64>,
    /// Documents are taken until they have so many bytes; 0 takes all.
    pub max_bytes: u64,
    /// Text that is kept for evaluation, all of it.
    pub evaluation_sources: Vec<Source>,
    /// The text column of JSONL and Parquet.
    pub column: String,
    /// What is done to each document.
    pub cleaning: Cleaning,
    /// What stands around each document.
    pub marks: Marks,
    /// The share of documents of `sources` that is kept for evaluation; a document's text decides.
    pub evaluation_share: f64,
}

/// Ids around each document.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Marks {
    /// In front of it.
    pub begin: Vec<u32>,
    /// Behind it.
    pub end: Option<u32>,
}

/// What tells one text from another.
#[derive(Debug, Serialize)]
pub struct Identity<'a> {
    sources: Vec<Vec<source::Identity>>,
    shares: &'a [f64],
    max_bytes: u64,
    evaluation_sources: Vec<Vec<source::Identity>>,
    column: &'a str,
    cleaning: Cleaning,
    marks: &'a Marks,
    evaluation_share: f64,
}

impl Text {
    /// The text of a recipe, which from then on names commits of datasets: what is gone on with later
    /// reads the same, whatever the Hub has then.
    pub fn open(
        data: &mut DataPart,
        cleaning: Cleaning,
        marks: Marks,
        downloads: &Rc<Downloads>,
    ) -> Result<Self> {
        let open = |name: &mut String| {
            let source = Source::open(name, downloads)?;
            name.clone_from(&source.name);
            Ok(source)
        };
        Ok(Self {
            sources: data.sources.iter_mut().map(open).collect::<Result<_>>()?,
            shares: data.shares.clone(),
            max_bytes: data.max_bytes,
            evaluation_sources: data
                .evaluation_sources
                .iter_mut()
                .map(open)
                .collect::<Result<_>>()?,
            column: data.column.clone(),
            cleaning,
            marks,
            evaluation_share: data.evaluation_share,
        })
    }

    /// What tells it from others. Files of this machine count by path, size and date, those of the Hub
    /// by commit, name and size.
    pub fn identity(&self) -> Result<Identity<'_>> {
        let of = |source: &Source| source.files.iter().map(TextFile::identity).collect();
        let of = |sources: &[Source]| sources.iter().map(of).collect::<Result<_>>();
        Ok(Identity {
            sources: of(&self.sources)?,
            shares: &self.shares,
            max_bytes: self.max_bytes,
            evaluation_sources: of(&self.evaluation_sources)?,
            column: &self.column,
            cleaning: self.cleaning,
            marks: &self.marks,
            evaluation_share: self.evaluation_share,
        })
    }

    /// All documents but those of `evaluation_sources`.
    pub fn all(&self) -> Texts {
        self.documents(&Rc::default()).0
    }

    /// An error where more of it is missing than may be downloaded. Where only a part of the text is
    /// wanted, which files that takes is known when they are read.
    pub(super) fn check(&self, downloads: &Downloads) -> Result<()> {
        let whole = if self.max_bytes == 0 { &self.sources[..] } else { &[] };
        downloads.check(whole.iter().chain(&self.evaluation_sources))
    }

    /// All documents but those of `evaluation_sources`, and how far `read` will count.
    pub(super) fn documents(&self, read: &Rc<Cell<u64>>) -> (Texts, u64) {
        let is_limited = self.max_bytes > 0;
        let of_files = if is_limited { Rc::default() } else { Rc::clone(read) };
        let sources = (self.sources.iter())
            .map(|source| Documents::new(source.files.clone(), &self.column, Rc::clone(&of_files)));
        let texts: Texts = if self.shares.is_empty() {
            Box::new(sources.collect::<Vec<_>>().into_iter().flatten())
        } else {
            let part = |(documents, &share)| Part { documents: Box::new(documents), share };
            Box::new(Mixture::new(sources.zip(&self.shares).map(part).collect()))
        };
        if is_limited {
            return (Box::new(UpTo::new(texts, self.max_bytes, Rc::clone(read))), self.max_bytes);
        }
        (texts, self.sources.iter().map(Source::size).sum())
    }

    /// The documents of `evaluation_sources`, and how far `read` will count.
    pub(super) fn evaluation_documents(&self, read: &Rc<Cell<u64>>) -> (Texts, u64) {
        let files = self.evaluation_sources.iter().flat_map(|source| source.files.clone());
        let documents = Documents::new(files.collect(), &self.column, Rc::clone(read));
        (Box::new(documents), self.evaluation_sources.iter().map(Source::size).sum())
    }
}
