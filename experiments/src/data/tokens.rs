//! Documents, cleaned and tokenised once, as ids on disk, under a name that the data, the tokenizer and
//! the cleaning decide. A folder of that name is whole: it was made under another name and renamed.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use align::Tokenizer;
use anyhow::{Context, Result, bail};
use draft::train::{Tokens, Width};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::documents::{Documents, files};
use super::mixture::{Mixture, Source};
use crate::distill::cached::stamps;
use crate::printer::Printer;
use crate::prompts::hex;
use crate::train::recipe::Cleaning;

/// Bytes of text that are tokenised at once.
const BATCH: usize = 16 << 20;

/// The version of the files' layout and of what decides their name.
const VERSION: u32 = 1;

/// Denominator of the evaluation share.
const PARTS: u64 = 1_000_000;

/// Documents, one after another.
pub type Texts = Box<dyn Iterator<Item = Result<String>>>;

/// What decides the ids.
#[derive(Clone, Debug, Serialize)]
pub struct Text {
    /// Files or folders.
    pub sources: Vec<PathBuf>,
    /// The share of the bytes of each; empty takes all of all, one after another.
    pub shares: Vec<f64>,
    /// The text column of JSONL.
    pub column: String,
    /// What is done to each document.
    pub cleaning: Cleaning,
    /// The id behind each document.
    pub end: Option<u32>,
    /// The share of documents that is kept for evaluation; a document's text decides.
    pub evaluation_share: f64,
}

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

#[derive(Serialize)]
struct Key<'a> {
    version: u32,
    text: &'a Text,
    files: Vec<(PathBuf, u64, u128)>,
    tokenizer: String,
    rows: usize,
}

impl Text {
    /// The name of the ids: a hash of all that decides them. Files count by path, size and date.
    fn name(&self, tokenizer_hash: &str, rows: usize) -> Result<String> {
        let list = self.stamps()?;
        let key = Key {
            version: VERSION,
            text: self,
            files: list,
            tokenizer: tokenizer_hash.to_owned(),
            rows,
        };
        let hash = Sha256::digest(serde_json::to_vec(&key)?);
        Ok(hex(&hash[..10]))
    }

    /// What tells one state of the files from another.
    pub fn stamps(&self) -> Result<Vec<(PathBuf, u64, u128)>> {
        let mut list = Vec::new();
        for source in &self.sources {
            for path in files(source)? {
                list.extend(stamps(&path)?);
            }
        }
        Ok(list)
    }

    /// All documents.
    pub fn all(&self) -> Result<Texts> {
        Ok(self.documents(&Rc::default())?.0)
    }

    /// All documents, and the size of their files, of which `read` counts what has been read.
    fn documents(&self, read: &Rc<Cell<u64>>) -> Result<(Texts, u64)> {
        let mut size = 0;
        let mut sources = Vec::new();
        for source in &self.sources {
            let files = files(source)?;
            size += files.iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum::<u64>();
            sources.push(Documents::new(files, &self.column, Rc::clone(read)));
        }
        if self.shares.is_empty() {
            return Ok((Box::new(sources.into_iter().flatten()), size));
        }
        let mix = sources.into_iter().zip(&self.shares);
        let mix = mix.map(|(documents, &share)| Source { documents: Box::new(documents), share });
        Ok((Box::new(Mixture::new(mix.collect())), size))
    }

    fn is_evaluation(&self, document: &str) -> bool {
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

impl Writer {
    fn create(path: PathBuf, width: Width) -> Result<Self> {
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), path, width })
    }

    fn write(&mut self, ids: &[u32]) -> Result<()> {
        let width = self.width.bytes();
        let bytes: Vec<u8> =
            ids.iter().flat_map(|id| id.to_le_bytes().into_iter().take(width)).collect();
        self.file.write_all(&bytes).with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn finish(mut self) -> Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        self.file.flush().with_context(cannot)?;
        self.file.get_ref().sync_all().with_context(cannot)
    }
}

/// The ids of a text: those on disk, or made now.
pub fn prepare(
    text: &Text,
    (tokenizer, tokenizer_hash): (&Tokenizer, &str),
    cache: &Path,
    printer: &Printer,
) -> Result<Prepared> {
    let rows = tokenizer.vocabulary().used_rows();
    let width = Width::of_rows(rows);
    let folder = cache.join(text.name(tokenizer_hash, rows)?);
    if !folder.join("counts.json").exists() {
        std::fs::create_dir_all(cache)
            .with_context(|| format!("cannot make the folder {}", cache.display()))?;
        let draft = tempfile::Builder::new()
            .prefix(".making-")
            .tempdir_in(cache)
            .with_context(|| format!("cannot make a folder in {}", cache.display()))?;
        make(text, tokenizer, width, draft.path(), printer)?;
        // Another process may have been faster: its ids are the same.
        if let Err(error) = std::fs::rename(draft.path(), &folder)
            && !folder.join("counts.json").exists()
        {
            return Err(error).with_context(|| format!("cannot make {}", folder.display()));
        }
    }
    let counts = std::fs::read(folder.join("counts.json"))?;
    Ok(Prepared {
        train: Tokens::open(&folder.join("train.bin"), width)?,
        evaluation: Tokens::open(&folder.join("evaluation.bin"), width)?,
        counts: serde_json::from_slice(&counts)
            .with_context(|| format!("{} is damaged; delete it", folder.display()))?,
    })
}

/// Ids, cleaned bytes, and whether they are for evaluation.
type Encoded = (Vec<u32>, u64, bool);

fn encode(text: &Text, tokenizer: &Tokenizer, document: &str) -> Result<Encoded> {
    let cleaned = text.cleaning.apply(document);
    let mut ids = tokenizer.encode_reference(&cleaned, false)?;
    if ids.is_empty() {
        return Ok((ids, 0, false));
    }
    ids.extend(text.end);
    Ok((ids, cleaned.len() as u64, text.is_evaluation(document)))
}

fn make(
    text: &Text,
    tokenizer: &Tokenizer,
    width: Width,
    folder: &Path,
    printer: &Printer,
) -> Result<()> {
    let read = Rc::new(Cell::new(0));
    let (mut documents, size) = text.documents(&read)?;
    let mut train = Writer::create(folder.join("train.bin"), width)?;
    let mut evaluation = Writer::create(folder.join("evaluation.bin"), width)?;
    let mut counts = Counts::default();
    let mut bar = printer.bytes(0, size, "tokenising");
    let mut shown = 0;
    loop {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH
            && let Some(document) = documents.next().transpose()?
        {
            bytes += document.len();
            batch.push(document);
        }
        if batch.is_empty() {
            break;
        }
        let encoded: Vec<Encoded> = batch
            .par_iter()
            .map(|document| encode(text, tokenizer, document))
            .collect::<Result<_>>()?;
        for (ids, bytes, is_evaluation) in encoded.iter().filter(|(ids, ..)| !ids.is_empty()) {
            let (writer, documents, sum) = if *is_evaluation {
                (&mut evaluation, &mut counts.evaluation_documents, &mut counts.evaluation_bytes)
            } else {
                (&mut train, &mut counts.train_documents, &mut counts.train_bytes)
            };
            writer.write(ids)?;
            *documents += 1;
            *sum += bytes;
        }
        bar.advance_by(read.get() - shown);
        shown = read.get();
    }
    bar.finish();
    if counts.train_documents == 0 {
        bail!("the data holds no document for training");
    }
    train.finish()?;
    evaluation.finish()?;
    let path = folder.join("counts.json");
    std::fs::write(&path, serde_json::to_vec(&counts)?)
        .with_context(|| format!("cannot write {}", path.display()))
}
