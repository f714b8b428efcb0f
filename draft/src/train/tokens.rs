//! Token ids on disk, 16 or 32 bits each, memory-mapped: what training reads. Knows no text; who made
//! the file is no concern here.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::error::ModelError;

/// How many bytes an id takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 16 bits.
    Two,
    /// 32 bits.
    Four,
}

impl Width {
    /// The narrowest that holds the ids of so many rows.
    pub fn of_rows(rows: usize) -> Self {
        if rows <= 1 << 16 { Self::Two } else { Self::Four }
    }

    /// Bytes of an id.
    pub fn bytes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// A file of little-endian ids.
#[derive(Debug)]
pub struct Tokens {
    map: Mmap,
    width: Width,
}

impl Tokens {
    /// Maps a file.
    pub fn open(path: &Path, width: Width) -> Result<Self, ModelError> {
        let read = |source| ModelError::Read { path: path.into(), source };
        let map = map(&File::open(path).map_err(read)?).map_err(read)?;
        if !map.len().is_multiple_of(width.bytes()) {
            let reason = format!("{} bytes are no whole number of ids", map.len());
            return Err(ModelError::Checkpoint { path: path.into(), reason });
        }
        Ok(Self { map, width })
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.map.len() / self.width.bytes()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// `count` ids from the `first` on.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn range(&self, first: usize, count: usize) -> impl Iterator<Item = u32> + '_ {
        let width = self.width.bytes();
        self.map[first * width..(first + count) * width].chunks_exact(width).map(|bytes| {
            let mut wide = [0; 4];
            wide[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(wide)
        })
    }
}

#[expect(unsafe_code, reason = "memory-mapping")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is read-only, and files of ids are written once, under another name.
    unsafe { Mmap::map(file) }
}
