//! Every kind of file, written here, and what is said of those that are wrong.

use super::*;
use crate::data::source::Source;
use std::io::Write;

fn documents(path: &Path, column: &str) -> Result<Vec<String>> {
    Documents::new(Source::of_path(path)?.files, column, Rc::default()).collect()
}

#[test]
fn every_kind_of_text_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"text\": \"one\", \"n\": 1}\n\n{\"text\": \"two\\nlines\"}\n";
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("a.jsonl"), lines).unwrap();
    std::fs::write(path("b.jsonl.zst"), zstd::encode_all(lines.as_bytes(), 3).unwrap()).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(
        File::create(path("c.jsonl.gz")).unwrap(),
        flate2::Compression::default(),
    );
    gzip.write_all(lines.as_bytes()).unwrap();
    gzip.finish().unwrap();
    std::fs::write(path("d.txt"), "one\ntwo").unwrap();
    std::fs::write(path("e.csv"), "no").unwrap();
    let found = Source::of_path(folder.path()).unwrap().files;
    assert_eq!(found.len(), 4);
    for name in ["a.jsonl", "b.jsonl.zst", "c.jsonl.gz"] {
        assert_eq!(documents(&path(name), "text").unwrap(), ["one", "two\nlines"]);
    }
    assert_eq!(documents(&path("d.txt"), "text").unwrap(), ["one\ntwo"]);
    let all = documents(folder.path(), "text").unwrap();
    assert_eq!(all.len(), 7, "a folder's files one after another: {all:?}");
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, "{\"text\": \"one\"}\n{\"content\": \"two\"}\n").unwrap();
    let message = format!("{:#}", documents(&path, "text").unwrap_err());
    assert!(message.contains("a.jsonl, line 2: no text in the column `text`"), "{message}");
    assert!(Source::of_path(&folder.path().join("none")).is_err());
}
