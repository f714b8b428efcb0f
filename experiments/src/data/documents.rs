//! Documents out of files, one after another: text, JSONL, Parquet. A file is fetched when its first
//! document is asked for. Knows no tokenizer.

use std::cell::Cell;
use std::fs::File;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};

use super::lines::Lines;
use super::rows::Rows;
use super::source::TextFile;

/// The documents of some files, one after another.
pub struct Documents {
    files: std::vec::IntoIter<TextFile>,
    column: String,
    read: Rc<Cell<u64>>,
    open: Option<Open>,
}

/// A file that is being read.
struct Open {
    name: String,
    form: Form,
}

enum Form {
    Lines(Lines),
    Rows(Box<Rows>),
}

impl Documents {
    /// Of these files; `column` names the text of a JSON object or of a Parquet file, `read` counts
    /// bytes of the files.
    pub fn new(files: Vec<TextFile>, column: &str, read: Rc<Cell<u64>>) -> Self {
        Self { files: files.into_iter(), column: column.to_owned(), read, open: None }
    }

    fn read(&mut self) -> Result<Option<String>> {
        loop {
            if self.open.is_none() {
                let Some(file) = self.files.next() else { return Ok(None) };
                self.open = Some(Open::new(&file, &self.column, &self.read)?);
            }
            let Some(open) = &mut self.open else { continue };
            match open.document()? {
                Some(document) => return Ok(Some(document)),
                None => self.open = None,
            }
        }
    }
}

impl Iterator for Documents {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl Open {
    fn new(file: &TextFile, column: &str, read: &Rc<Cell<u64>>) -> Result<Self> {
        let path = file.locate()?;
        let name = file.to_string();
        let cannot = || format!("cannot read {name}");
        let content = File::open(&path).with_context(cannot)?;
        let read = Rc::clone(read);
        let form = if Path::new(&name).extension().is_some_and(|end| end == "parquet") {
            Form::Rows(Box::new(Rows::open(content, column, read).with_context(cannot)?))
        } else {
            Form::Lines(Lines::open(content, &name, column, read).with_context(cannot)?)
        };
        Ok(Self { name, form })
    }

    fn document(&mut self) -> Result<Option<String>> {
        let document = match &mut self.form {
            Form::Lines(lines) => lines.document(),
            Form::Rows(rows) => rows.document(),
        };
        document.with_context(|| match &self.form {
            Form::Lines(lines) => format!("{}, line {}", self.name, lines.line()),
            Form::Rows(rows) => format!("{}, row {}", self.name, rows.row()),
        })
    }
}

#[cfg(test)]
#[path = "documents_tests.rs"]
mod tests;
