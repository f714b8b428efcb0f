//! One block of memory for all packed weights, in large pages where the system has them: with pages of
//! 4 KiB a pass over 49 MB needs 12,000 address translations.

use memmap2::{Advice, MmapMut};

use crate::error::ModelError;

/// Where matrices begin.
const ALIGNMENT: usize = 64;

/// Memory that is filled once.
#[derive(Debug)]
pub(super) struct Memory {
    block: MmapMut,
    taken: usize,
}

impl Memory {
    /// Room for parts of these sizes in bytes.
    pub(super) fn new(sizes: impl Iterator<Item = usize>) -> Result<Self, ModelError> {
        let bytes: usize = sizes.map(|size| size.next_multiple_of(ALIGNMENT)).sum();
        let block = MmapMut::map_anon(bytes.max(ALIGNMENT))
            .map_err(|source| ModelError::Memory { bytes, source })?;
        // Where there are no large pages, small ones do.
        #[cfg(target_os = "linux")]
        let _ = block.advise(Advice::HugePage);
        Ok(Self { block, taken: 0 })
    }

    /// Where the next part begins.
    pub(super) fn take(&mut self, size: usize) -> usize {
        let first = self.taken;
        self.taken += size.next_multiple_of(ALIGNMENT);
        first
    }

    pub(super) fn part(&self, first: usize, size: usize) -> &[u8] {
        &self.block[first..first + size]
    }

    pub(super) fn part_mut(&mut self, first: usize, size: usize) -> &mut [u8] {
        &mut self.block[first..first + size]
    }
}
