//! Documents out of a Parquet file: the values of one column of text, page by page. Other columns are
//! not read, and no more than a few pages of this one are held. Knows nothing of other files.

use std::cell::Cell;
use std::fs::File;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use parquet::basic::{Compression, ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::guarded::guarded;

/// Rows that are read at once.
const ROWS: usize = 64;

/// A Parquet file that is being read.
pub(super) struct Rows {
    file: SerializedFileReader<File>,
    column: usize,
    /// The row group that is read next.
    group: usize,
    open: Option<Group>,
    /// Values that were read and not yet asked for.
    values: std::vec::IntoIter<ByteArray>,
    /// Rows of the file that were given out.
    row: u64,
    progress: Progress,
}

/// A row group's text.
struct Group {
    reader: ColumnReaderImpl<ByteArrayType>,
    /// Rows that were not read yet.
    left: u64,
    /// The level of a value that is there; below it is null.
    level: i16,
}

/// Counts bytes of the file as its rows are given out.
struct Progress {
    read: Rc<Cell<u64>>,
    counted: u64,
    size: u64,
    rows: u64,
}

impl Progress {
    fn reach(&mut self, row: u64) {
        let share = row as f64 / self.rows.max(1) as f64;
        let reached = (self.size as f64 * share) as u64;
        self.read.set(self.read.get() + (reached - self.counted));
        self.counted = reached;
    }
}

impl Rows {
    /// Of this file; `column` names its text, `read` counts bytes of the file.
    pub(super) fn open(file: File, column: &str, read: Rc<Cell<u64>>) -> Result<Self> {
        let size = file.metadata()?.len();
        let file = guarded(|| Ok(SerializedFileReader::new(file)?))
            .context("truncated, or no Parquet file; fetch it again")?;
        let about = file.metadata();
        let rows = about.file_metadata().num_rows().max(0) as u64;
        let column = text_column(about.file_metadata().schema_descr().columns(), column)?;
        for group in about.row_groups() {
            check_compression(group.column(column).compression())?;
        }
        let progress = Progress { read, counted: 0, size, rows };
        let values = Vec::new().into_iter();
        Ok(Self { file, column, group: 0, open: None, values, row: 0, progress })
    }

    /// The row that was asked for last; the first is 1.
    pub(super) fn row(&self) -> u64 {
        self.row
    }

    /// The next document.
    pub(super) fn document(&mut self) -> Result<Option<String>> {
        self.row += 1;
        while self.values.len() == 0 {
            if !self.read()? {
                return Ok(None);
            }
        }
        self.progress.reach(self.row);
        let Some(value) = self.values.next() else { return Ok(None) };
        let text = std::str::from_utf8(value.data()).context("its bytes are no UTF-8 text")?;
        Ok(Some(text.to_owned()))
    }

    /// Reads more values; `false` at the end of the file.
    fn read(&mut self) -> Result<bool> {
        let Some(group) = &mut self.open else {
            if self.group == self.file.num_row_groups() {
                return Ok(false);
            }
            let open = || Group::open(&self.file, self.group, self.column);
            self.open = Some(guarded(open).context(DAMAGED)?);
            self.group += 1;
            return Ok(true);
        };
        if group.left == 0 {
            self.open = None;
            return Ok(true);
        }
        let (values, place_of_null) = guarded(|| group.read()).context(DAMAGED)?;
        if let Some(place) = place_of_null {
            self.row += place as u64;
            bail!("there is no text, but null; leave such rows out of the file");
        }
        self.values = values.into_iter();
        Ok(true)
    }
}

const DAMAGED: &str = "damaged; fetch the file again";

impl Group {
    fn open(file: &SerializedFileReader<File>, index: usize, column: usize) -> Result<Self> {
        let group = file.get_row_group(index)?;
        let left = group.metadata().num_rows().max(0) as u64;
        let level = group.metadata().column(column).column_descr().max_def_level();
        let reader = get_typed_column_reader(group.get_column_reader(column)?);
        Ok(Self { reader, left, level })
    }

    /// The next values, and where among them the first is null.
    fn read(&mut self) -> Result<(Vec<ByteArray>, Option<usize>)> {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let wanted = self.left.min(ROWS as u64) as usize;
        let (records, ..) =
            self.reader.read_records(wanted, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            bail!("the column ends before its row group does");
        }
        self.left -= records as u64;
        Ok((values, levels.iter().position(|&level| level < self.level)))
    }
}

/// The index of the column of that name, if it is one of text.
fn text_column<C: AsRef<ColumnDescriptor>>(columns: &[C], name: &str) -> Result<usize> {
    let path = |column: &C| column.as_ref().path().string();
    let Some(index) = columns.iter().position(|column| path(column) == name) else {
        let names: Vec<String> = columns.iter().map(path).collect();
        bail!("there is no column `{name}`; name one of {} with --column", names.join(", "));
    };
    let column = columns[index].as_ref();
    let is_text = column.physical_type() == Type::BYTE_ARRAY
        && column.max_rep_level() == 0
        && matches!(
            column.logical_type_ref(),
            None | Some(LogicalType::String | LogicalType::Json | LogicalType::Enum)
        )
        && column.converted_type() != ConvertedType::DECIMAL;
    if !is_text {
        let kind = if column.max_rep_level() > 0 { "lists" } else { "no text" };
        let physical = column.physical_type();
        bail!("the column `{name}` holds {kind} ({physical}); name another with --column");
    }
    Ok(index)
}

fn check_compression(compression: Compression) -> Result<()> {
    match compression {
        Compression::UNCOMPRESSED
        | Compression::SNAPPY
        | Compression::GZIP(_)
        | Compression::ZSTD(_) => Ok(()),
        other => bail!("compressed with {other}; write it with snappy, gzip or zstd, or plain"),
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
