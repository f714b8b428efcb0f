//! A file that is not yet whole: what an earlier run left of it, and what is added now. Sums up
//! while it grows. Knows no network; the caller holds the lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::digest::{Digest, Sum};

/// A file that grows to `size` bytes under a name of its own.
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    sum: Sum,
    digest: Digest,
    size: u64,
    length: u64,
}

impl Partial {
    /// Opens what is there, or begins. What is longer than the whole is thrown away.
    pub(super) fn open(path: &Path, size: u64, digest: &Digest) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let length = file.metadata()?.len();
        let mut sum = digest.begin(size);
        if length <= size {
            add_up(&mut file, length, &mut sum)?;
        }
        let (path, digest) = (path.to_path_buf(), digest.clone());
        let mut partial = Self { path, file, sum, digest, size, length };
        if length > size {
            partial.restart()?;
        }
        Ok(partial)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are there.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that are not.
    pub(super) fn missing(&self) -> u64 {
        self.size - self.length
    }

    /// Adds bytes, no more than are missing.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Counted by what the file took: after an error in the middle the rest is asked for anew.
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.sum.update(&rest[..count]);
                    self.length += count as u64;
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Forgets all bytes.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.sum = self.digest.begin(self.size);
        self.length = 0;
        Ok(())
    }

    /// Gives the whole file its final name if its bytes are right. If they are wrong, all of them
    /// are forgotten and the answer is `false`.
    pub(super) fn finish(&mut self, name: &Path) -> io::Result<bool> {
        let sum = std::mem::replace(&mut self.sum, self.digest.begin(self.size));
        if self.missing() > 0 || sum.finish() != self.digest.digits() {
            self.restart()?;
            return Ok(false);
        }
        self.file.sync_all()?;
        std::fs::rename(&self.path, name)?;
        Ok(true)
    }

    /// Removes the file.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(self.path)
    }
}

fn add_up(file: &mut File, length: u64, sum: &mut Sum) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = file.take(length);
    let mut buffer = vec![0; 1 << 18];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(()),
            count => sum.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn grow(left_over: &[u8], added: &[u8]) -> (bool, bool) {
        let folder = tempfile::tempdir().unwrap();
        let (path, name) = (folder.path().join("x.incomplete"), folder.path().join("x"));
        std::fs::write(&path, left_over).unwrap();
        let digest = Digest::parse(HELLO).unwrap();
        let mut partial = Partial::open(&path, 5, &digest).unwrap();
        partial.append(added).unwrap();
        let right = partial.finish(&name).unwrap();
        let whole = std::fs::read(&name).ok();
        assert_eq!(whole.is_some(), right);
        assert!(whole.is_none_or(|bytes| bytes == b"hello"));
        let again = !right && {
            assert_eq!((partial.length(), partial.missing()), (0, 5));
            partial.append(b"hello").unwrap();
            partial.finish(&name).unwrap()
        };
        (right, again)
    }

    #[test]
    fn every_left_over_ends_in_the_right_file() {
        assert_eq!(grow(b"", b"hello"), (true, false));
        assert_eq!(grow(b"hel", b"lo"), (true, false), "goes on");
        assert_eq!(grow(b"hello", b""), (true, false), "is whole already");
        assert_eq!(grow(b"hello, world", b"hello"), (true, false), "is too long, so begins anew");
        assert_eq!(grow(b"jel", b"lo"), (false, true), "is wrong, so begins anew");
        assert_eq!(grow(b"hel", b""), (false, true), "is too short");
    }
}
