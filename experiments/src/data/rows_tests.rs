//! Parquet files as this crate's own writer and pyarrow write them, and what is said of broken ones.

use std::path::{Path, PathBuf};

use parquet::basic::{GzipLevel, ZstdLevel};
use support::parquet_files::{Layout, parquet, parquet_with_nulls};

use super::*;
use crate::data::documents::Documents;
use crate::data::source::Source;

fn documents(path: &Path, column: &str) -> Result<Vec<String>> {
    Documents::new(Source::of_path(path)?.files, column, Rc::default()).collect()
}

fn message(path: &Path, column: &str) -> String {
    let message = format!("{:#}", documents(path, column).unwrap_err());
    assert!(!message.contains('\n'), "{message}");
    message
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/text.parquet")
}

/// The texts of the fixture, as `tests/oracle/parquet_fixture.py` makes them.
fn fixture_text(row: usize) -> String {
    if row.is_multiple_of(3) {
        return format!("Repeated text {}: naïve café, 日本.", row % 4);
    }
    let words: Vec<String> =
        (0..=row % 5).map(|place| format!("word{}", row * place % 7)).collect();
    format!("Document {row}: {}", words.join(" "))
}

#[test]
fn every_compression_and_encoding_is_read() {
    let texts: Vec<String> = (0..257).map(|row| fixture_text(row % 50)).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
    ];
    for compression in compressions {
        for (has_dictionary, rows_a_group) in [(true, 100), (false, 100), (true, 1), (false, 1000)]
        {
            let layout = Layout { compression, has_dictionary, rows_a_group };
            std::fs::write(&path, parquet(&texts, layout)).unwrap();
            assert_eq!(documents(&path, "text").unwrap(), texts, "{layout:?}");
        }
    }
    std::fs::write(&path, parquet::<&str>(&[], Layout::default())).unwrap();
    assert_eq!(documents(&path, "text").unwrap().len(), 0);
}

#[test]
fn what_pyarrow_writes_is_read() {
    let texts: Vec<String> = (0..30).map(fixture_text).collect();
    for column in ["text", "large", "category", "packed", "plain", "inner.text"] {
        assert_eq!(documents(&fixture(), column).unwrap(), texts, "{column}");
    }
}

#[test]
fn what_is_no_text_is_named() {
    let cases = [
        ("body", &["text.parquet", "no column `body`", "number, text, large", "--column"][..]),
        ("number", &["text.parquet", "`number` holds no text (INT64)", "--column"]),
        ("words.list.element", &["text.parquet", "holds lists"]),
        ("holes", &["text.parquet, row 24: ", "null"]),
        ("raw", &["text.parquet, row 6: ", "no UTF-8"]),
    ];
    for (column, parts) in cases {
        let message = message(&fixture(), column);
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let mut texts = vec![Some("text"); 200];
    texts[151] = None;
    std::fs::write(&path, parquet_with_nulls(&texts, Layout::default())).unwrap();
    assert!(message(&path, "text").contains("a.parquet, row 152: there is no text, but null"));
}

#[test]
fn a_truncated_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let whole = std::fs::read(fixture()).unwrap();
    for length in [0, 3, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let message = message(&path, "text");
        assert!(message.contains("a.parquet: truncated") && message.contains("fetch"), "{message}");
    }
}

#[test]
fn a_damaged_file_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let whole = std::fs::read(fixture()).unwrap();
    let mut refused = 0;
    for place in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[place] ^= [0x01, 0x55, 0x80, 0xff][place % 4];
        std::fs::write(&path, &bytes).unwrap();
        for column in ["text", "plain"] {
            if let Err(error) = documents(&path, column) {
                let message = format!("{error:#}");
                assert!(message.contains("a.parquet"), "{message}");
                refused += 1;
            }
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn progress_ends_at_the_size_of_the_file() {
    let read = Rc::new(Cell::new(0));
    let size = fixture().metadata().unwrap().len();
    let source = Source::of_path(&fixture()).unwrap();
    let mut documents = Documents::new(source.files, "text", Rc::clone(&read));
    documents.by_ref().take(15).for_each(|document| drop(document.unwrap()));
    assert_eq!(read.get(), size / 2);
    assert_eq!((documents.count(), read.get()), (15, size));
}
