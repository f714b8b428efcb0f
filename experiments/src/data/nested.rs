//! Rows of a Parquet file as JSON, with all columns, lists and groups: for files that are small enough to
//! be held. Knows no column.

use std::fs::File;

use anyhow::{Context, Result};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value};

use super::guarded::guarded;

/// All rows.
pub(super) fn rows(file: File) -> Result<Vec<Value>> {
    let read = || {
        let file = SerializedFileReader::new(file)?;
        let rows = file.get_row_iter(None)?;
        rows.map(|row| Ok(object(&row?))).collect()
    };
    guarded(read).context("truncated or damaged, or no Parquet file; fetch it again")
}

fn object(row: &Row) -> Value {
    let columns = row.get_column_iter();
    Value::Object(columns.map(|(name, field)| (name.clone(), value(field))).collect::<Map<_, _>>())
}

/// Numbers, texts, lists and groups; dates and the like as text.
fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(own) => (*own).into(),
        Field::Byte(own) => (*own).into(),
        Field::Short(own) => (*own).into(),
        Field::Int(own) => (*own).into(),
        Field::Long(own) => (*own).into(),
        Field::UByte(own) => (*own).into(),
        Field::UShort(own) => (*own).into(),
        Field::UInt(own) => (*own).into(),
        Field::ULong(own) => (*own).into(),
        Field::Float(own) => (*own).into(),
        Field::Double(own) => (*own).into(),
        Field::Str(own) => own.clone().into(),
        Field::Bytes(own) => String::from_utf8_lossy(own.data()).into_owned().into(),
        Field::Group(own) => object(own),
        Field::ListInternal(own) => own.elements().iter().map(value).collect(),
        other => other.to_string().into(),
    }
}
