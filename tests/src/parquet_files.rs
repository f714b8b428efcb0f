//! Parquet files of text, with a number beside each, as a test wants them.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub compression: Compression,
    /// Whether texts that are often there are written once.
    pub has_dictionary: bool,
    pub rows_a_group: usize,
}

impl Default for Layout {
    fn default() -> Self {
        Self { compression: Compression::SNAPPY, has_dictionary: true, rows_a_group: 100 }
    }
}

/// A file of the columns `number` and `text`.
pub fn parquet<T: AsRef<str>>(texts: &[T], layout: Layout) -> Vec<u8> {
    let texts: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_ref())).collect();
    parquet_with_nulls(&texts, layout)
}

/// The same, where some rows have no text.
pub fn parquet_with_nulls(texts: &[Option<&str>], layout: Layout) -> Vec<u8> {
    let schema = "message rows { required int64 number; optional binary text (STRING); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(layout.compression)
        .set_dictionary_enabled(layout.has_dictionary)
        .set_data_page_row_count_limit(10)
        .set_write_batch_size(4)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    for group in texts.chunks(layout.rows_a_group) {
        let mut columns = writer.next_row_group().unwrap();
        let numbers: Vec<i64> = (0..group.len() as i64).collect();
        let mut column = columns.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&numbers, None, None).unwrap();
        column.close().unwrap();
        let values: Vec<ByteArray> = group.iter().flatten().map(|&text| text.into()).collect();
        let levels: Vec<i16> = group.iter().map(|text| i16::from(text.is_some())).collect();
        let mut column = columns.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        columns.close().unwrap();
    }
    writer.into_inner().unwrap()
}
