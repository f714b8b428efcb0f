//! Documents, cleaned and tokenised once, as ids on disk, under a name that the data, the tokenizer and
//! the cleaning decide. A folder of that name is whole: it was made under another name and renamed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use align::Tokenizer;
use anyhow::{Context, Error, Result, anyhow, bail};
use draft::train::{Tokens, Width};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cached;
use super::downloads::Downloads;
use super::mixture::Texts;
use super::text::{Identity, Marks, Text};
use crate::printer::Printer;
use crate::train::recipe::Cleaning;

/// Bytes of text that are tokenised at once.
const BATCH: usize = 16 << 20;

/// The version of the files' layout and of what decides their name.
const VERSION: u32 = 3;

/// Denominator of the evaluation share.
const PARTS: u64 = 1_000_000;

/// What is known of a folder of ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Documents of the training part.
    pub train_documents: u64,
    /// Bytes of their cleaned text.
    pub train_bytes: u64,
    /// Documents of the evaluation part.
    pub evaluation_documents: u64,
    /// Bytes of their cleaned text.
    pub evaluation_bytes: u64,
}

/// Ids on disk.
pub struct Prepared {
    /// For training.
    pub train: Tokens,
    /// For evaluation.
    pub evaluation: Tokens,
    /// What is known of them.
    pub counts: Counts,
}

/// All that decides the ids.
#[derive(Serialize)]
struct Key<'a> {
    version: u32,
    text: Identity<'a>,
    tokenizer: &'a str,
    rows: usize,
}

/// What is done to one document.
#[derive(Clone, Copy)]
struct Rule<'a> {
    cleaning: Cleaning,
    marks: &'a Marks,
    evaluation_share: f64,
}

/// Ids, cleaned bytes, and whether they are for evaluation.
type Encoded = (Vec<u32>, u64, bool);

impl<'a> Rule<'a> {
    fn of(text: &'a Text) -> Self {
        let Text { cleaning, marks, evaluation_share, .. } = text;
        Self { cleaning: *cleaning, marks, evaluation_share: *evaluation_share }
    }

    fn encode(self, tokenizer: &Tokenizer, document: &str) -> Result<Encoded> {
        let cleaned = self.cleaning.apply(document);
        let encoded = tokenizer.encode_reference(&cleaned, false)?;
        if encoded.is_empty() {
            return Ok((encoded, 0, false));
        }
        let ids = [&self.marks.begin[..], &encoded, self.marks.end.as_slice()].concat();
        Ok((ids, cleaned.len() as u64, self.is_evaluation(document)))
    }

    fn is_evaluation(self, document: &str) -> bool {
        let hash = Sha256::digest(document.as_bytes());
        let first = hash.iter().take(8).fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
        first % PARTS < (self.evaluation_share * PARTS as f64).round() as u64
    }
}

/// A file of ids on its way.
struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    width: Width,
}

/// Why ids could not be written, and what to do.
fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| {
        anyhow!(
            "cannot write {}: {error}; no ids are kept; make room, or name another folder with \
             --cache",
            path.display()
        )
    }
}

impl Writer {
    fn create(path: PathBuf, width: Width) -> Result<Self> {
        let file = File::create(&path).map_err(cannot_write(&path))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), path, width })
    }

    fn write(&mut self, ids: &[u32]) -> Result<()> {
        let width = self.width.bytes();
        let bytes: Vec<u8> =
            ids.iter().flat_map(|id| id.to_le_bytes().into_iter().take(width)).collect();
        self.file.write_all(&bytes).map_err(cannot_write(&self.path))
    }

    fn finish(mut self) -> Result<()> {
        self.file.flush().map_err(cannot_write(&self.path))?;
        self.file.get_ref().sync_all().map_err(cannot_write(&self.path))
    }
}

/// The ids of a text: those on disk, or made now.
pub fn prepare(
    text: &Text,
    (tokenizer, tokenizer_hash): (&Tokenizer, &str),
    cache: &Path,
    downloads: &Downloads,
    printer: &Printer,
) -> Result<Prepared> {
    let rows = tokenizer.vocabulary().used_rows();
    let width = Width::of_rows(rows);
    let key = Key { version: VERSION, text: text.identity()?, tokenizer: tokenizer_hash, rows };
    let folder = cached::folder(cache, ("ids", &key), |draft| {
        text.check(downloads)?;
        Maker::begin(text, tokenizer, width, draft)?.make(printer)
    })?;
    let damaged = || format!("{} is damaged; delete it", folder.display());
    let counts = std::fs::read(folder.join("counts.json")).with_context(damaged)?;
    Ok(Prepared {
        train: Tokens::open(&folder.join("train.bin"), width)?,
        evaluation: Tokens::open(&folder.join("evaluation.bin"), width)?,
        counts: serde_json::from_slice(&counts).with_context(damaged)?,
    })
}

/// Ids in the making.
struct Maker<'a> {
    text: &'a Text,
    tokenizer: &'a Tokenizer,
    folder: &'a Path,
    train: Writer,
    evaluation: Writer,
    counts: Counts,
}

impl<'a> Maker<'a> {
    fn begin(
        text: &'a Text,
        tokenizer: &'a Tokenizer,
        width: Width,
        folder: &'a Path,
    ) -> Result<Self> {
        let train = Writer::create(folder.join("train.bin"), width)?;
        let evaluation = Writer::create(folder.join("evaluation.bin"), width)?;
        Ok(Self { text, tokenizer, folder, train, evaluation, counts: Counts::default() })
    }

    fn make(mut self, printer: &Printer) -> Result<()> {
        let started = Instant::now();
        // Each part of the text counts for itself: a limit of one is none of the other.
        let (read, evaluation_read) = (Rc::default(), Rc::default());
        let (documents, size) = self.text.documents(&read);
        let (evaluation, evaluation_size) = self.text.evaluation_documents(&evaluation_read);
        let mut bar = printer.bytes(0, size + evaluation_size, "tokenising");
        let mut shown = 0;
        let mut advance = || {
            let reached = read.get() + evaluation_read.get();
            bar.advance_by(reached - shown);
            shown = reached;
        };
        self.add(evaluation, true, &mut advance)?;
        self.add(documents, false, &mut advance)?;
        bar.finish();
        if self.counts.train_documents == 0 {
            bail!("the data holds no document for training");
        }
        if self.counts.evaluation_documents == 0 && !self.text.evaluation_sources.is_empty() {
            bail!("the data for evaluation holds no document");
        }
        self.train.finish()?;
        self.evaluation.finish()?;
        let path = self.folder.join("counts.json");
        std::fs::write(&path, serde_json::to_vec(&self.counts)?).map_err(cannot_write(&path))?;
        let bytes = (self.counts.train_bytes + self.counts.evaluation_bytes) as f64 / 1e6;
        let seconds = started.elapsed().as_secs_f64();
        printer.say(&format!(
            "tokenised {bytes:.1} MB of text in {seconds:.1} s, {:.1} MB/s",
            bytes / seconds
        ));
        Ok(())
    }

    /// Adds documents, all of them for evaluation or those that their text decides.
    fn add(
        &mut self,
        mut documents: Texts,
        is_evaluation: bool,
        advance: &mut impl FnMut(),
    ) -> Result<()> {
        loop {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while bytes < BATCH
                && let Some(document) = documents.next().transpose()?
            {
                bytes += document.len();
                batch.push(document);
            }
            if batch.is_empty() {
                return Ok(());
            }
            let (rule, tokenizer) = (Rule::of(self.text), self.tokenizer);
            let encode = |document: &String| rule.encode(tokenizer, document);
            let encoded: Vec<Encoded> = batch.par_iter().map(encode).collect::<Result<_>>()?;
            for (ids, bytes, is_chosen) in encoded.iter().filter(|(ids, ..)| !ids.is_empty()) {
                self.write(ids, *bytes, is_evaluation || *is_chosen)?;
            }
            advance();
        }
    }

    fn write(&mut self, ids: &[u32], bytes: u64, is_evaluation: bool) -> Result<()> {
        let counts = &mut self.counts;
        let (writer, documents, sum) = if is_evaluation {
            (&mut self.evaluation, &mut counts.evaluation_documents, &mut counts.evaluation_bytes)
        } else {
            (&mut self.train, &mut counts.train_documents, &mut counts.train_bytes)
        };
        *documents += 1;
        *sum += bytes;
        writer.write(ids)
    }
}
