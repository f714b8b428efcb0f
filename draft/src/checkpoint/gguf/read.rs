//! GGUF files (versions 2 and 3) as they lie on the disk, memory-mapped. What is damaged or of another
//! kind is said when a file is opened; types of elements that are not read, when their tensor is.
//! Knows no architecture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::blocks::Element;
use super::value::{Cursor, Value};
use super::{ALIGNMENT, MAGIC, VERSION};
use crate::checkpoint::{PIECE, map, release};
use crate::error::ModelError;

/// Dimensions of a tensor, at most.
const MOST_DIMENSIONS: u32 = 4;

/// Where a tensor lies.
#[derive(Debug)]
struct Place {
    shape: Vec<usize>,
    code: u32,
    start: usize,
}

/// An opened file.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    map: Mmap,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Place>,
}

impl File {
    /// Whether a file begins as a GGUF file does.
    pub fn is_one(path: &Path) -> bool {
        let mut first = [0; 4];
        let read = std::fs::File::open(path)
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut first));
        read.is_ok() && first == *MAGIC
    }

    /// Opens a file and reads its header.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let map = map(path)?;
        let bad = |reason: String| ModelError::Format { path: path.into(), reason };
        let (metadata, tensors) = header(&map).map_err(bad)?;
        let file = Self { path: path.into(), map, metadata, tensors };
        file.check_ends().map_err(bad)?;
        Ok(file)
    }

    /// The file's place.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// Names of its tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The sizes of a tensor, outermost first as in safetensors.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|place| &place.shape[..])
    }

    /// The type of a tensor's elements.
    pub(super) fn element(&self, name: &str) -> Result<Element, ModelError> {
        let place = self.tensors.get(name).ok_or_else(|| self.bad(lacks(name)))?;
        Element::of_code(place.code).map_err(|own| {
            let read: Vec<&str> = Element::ALL.iter().map(|element| element.name()).collect();
            self.bad(format!(
                "the tensor `{name}` is of type {own}; {} are read, so convert the file to one of \
                 these (llama-quantize --allow-requantize)",
                read.join(", ")
            ))
        })
    }

    /// Hands over the rows of a tensor; a vector is one row.
    pub(super) fn rows(&self, name: &str, each: &mut dyn FnMut(&[f32])) -> Result<(), ModelError> {
        let element = self.element(name)?;
        let place = &self.tensors[name];
        let columns = place.shape.last().copied().unwrap_or(1);
        let size = element.row_bytes(columns).unwrap_or(0).max(1);
        let rows: usize = place.shape.iter().rev().skip(1).product();
        let mut values = vec![0f32; columns];
        let mut given_back = place.start;
        for row in 0..rows {
            let first = place.start + row * size;
            element.decode(&self.map[first..first + size], &mut values);
            each(&values);
            if first + size - given_back >= PIECE {
                given_back = first + size;
                release(&self.map, given_back);
            }
        }
        Ok(())
    }

    /// An error about this file.
    pub(super) fn bad(&self, reason: String) -> ModelError {
        ModelError::Format { path: self.path.clone(), reason }
    }

    /// Compares the ends of tensors with that of the file.
    fn check_ends(&self) -> Result<(), String> {
        for (name, place) in &self.tensors {
            let Ok(element) = Element::of_code(place.code) else { continue };
            let columns = place.shape.last().copied().unwrap_or(1);
            let row = element.row_bytes(columns).ok_or_else(|| {
                format!("rows of the tensor `{name}` are no whole blocks of {}", element.name())
            })?;
            let rows = place.shape.iter().rev().skip(1).try_fold(1usize, |a, &b| a.checked_mul(b));
            // A row at least, so that none is longer than the file.
            let end = rows.and_then(|rows| rows.max(1).checked_mul(row)?.checked_add(place.start));
            if end.is_none_or(|end| end > self.map.len()) {
                return Err(format!(
                    "it ends after {} bytes, inside the tensor `{name}`; fetch it again",
                    self.map.len()
                ));
            }
        }
        Ok(())
    }
}

fn lacks(name: &str) -> String {
    format!("it lacks the tensor `{name}`")
}

type Header = (BTreeMap<String, Value>, BTreeMap<String, Place>);

/// Reads a header, and says where tensors begin in the file.
fn header(bytes: &[u8]) -> Result<Header, String> {
    if !bytes.starts_with(MAGIC) {
        return Err("it is no GGUF file: it does not begin with `GGUF`".to_owned());
    }
    let mut cursor = Cursor::new(bytes);
    cursor.u32()?;
    let version = cursor.u32()?;
    if !(2..=VERSION).contains(&version) {
        let order = if version.swap_bytes() <= VERSION { ", of the other byte order" } else { "" };
        return Err(format!("GGUF version {version}{order}, is not read; 2 and 3 are"));
    }
    let (tensors, pairs) = (cursor.count()?, cursor.count()?);
    let mut metadata = BTreeMap::new();
    for _ in 0..pairs {
        let name = cursor.text()?;
        let code = cursor.u32()?;
        metadata.insert(name, cursor.value(code)?);
    }
    let mut places = BTreeMap::new();
    for _ in 0..tensors {
        let (name, place) = place(&mut cursor)?;
        places.insert(name, place);
    }
    let alignment = metadata.get("general.alignment").and_then(Value::as_number);
    let alignment = alignment.unwrap_or(ALIGNMENT as usize).max(1);
    let data = cursor.at().checked_next_multiple_of(alignment);
    let data = data.ok_or_else(|| format!("its data would be aligned to {alignment} bytes"))?;
    for (name, place) in &mut places {
        place.start = place
            .start
            .checked_add(data)
            .ok_or_else(|| format!("the tensor `{name}` would begin behind the end of the file"))?;
    }
    Ok((metadata, places))
}

fn place(cursor: &mut Cursor<'_>) -> Result<(String, Place), String> {
    let name = cursor.text()?;
    let dimensions = cursor.u32()?;
    if dimensions > MOST_DIMENSIONS {
        return Err(format!("the tensor `{name}` has {dimensions} dimensions"));
    }
    let mut shape = (0..dimensions)
        .map(|_| cursor.u64().map(|size| size as usize))
        .collect::<Result<Vec<_>, _>>()?;
    shape.reverse();
    let (code, start) = (cursor.u32()?, cursor.u64()? as usize);
    Ok((name, Place { shape, code, start }))
}
