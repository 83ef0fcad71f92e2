//! Memory maps and memory advice. All `unsafe` code is here and in `codec/zstd/blocks.rs`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

/// The bytes of a file, mapped for reading.
pub(crate) struct Map(memmap2::Mmap);

impl Map {
    /// Maps the whole of `file`.
    ///
    /// # Safety
    ///
    /// While the map is alive, no process may write to the file, truncate it or punch holes in it.
    pub(crate) unsafe fn new(file: &File) -> io::Result<Self> {
        // SAFETY: `Mmap::map` requires that the file is not modified while it is mapped, which the
        // caller guarantees.
        let map = unsafe { memmap2::Mmap::map(file) }?;
        Ok(Self(map))
    }

    /// Returns the bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Requests that the system read these bytes ahead. The system may ignore this.
    pub(crate) fn prefetch(&self, start: usize, len: usize) {
        #[cfg(unix)]
        let _ = self.0.advise_range(memmap2::Advice::WillNeed, start, len);
    }
}

/// Memory in pages of its own: initially zero, and in large pages if the system has them.
pub(crate) struct Pages(memmap2::MmapMut);

impl Pages {
    /// Returns pages for `len` bytes. Untouched pages take no memory.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let pages = memmap2::MmapMut::map_anon(len)?;
        // This is only a hint: page faults drop to a tenth if it is followed, and stay the same
        // otherwise.
        #[cfg(target_os = "linux")]
        let _ = pages.advise(memmap2::Advice::HugePage);
        Ok(Self(pages))
    }

    /// Returns the bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the bytes for writing.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// The size of a large page on most systems. If the real size differs, the hint covers less, or
/// nothing.
const LARGE_PAGE: usize = 2 << 20;

/// Requests large pages for memory that is about to be filled: one page fault per 2 MiB, not 512.
/// The system may ignore this.
pub(crate) fn prefer_large_pages<T>(values: &mut [T]) {
    #[cfg(target_os = "linux")]
    {
        let start = values.as_mut_ptr().cast::<u8>();
        let skip = start.align_offset(LARGE_PAGE);
        let size = size_of_val(values).saturating_sub(skip) / LARGE_PAGE * LARGE_PAGE;
        if size > 0 {
            // SAFETY: `skip` and `size` together are at most the size of the slice, so the range is
            // part of it, and it is borrowed exclusively. The advice affects how its pages are
            // created and does not change their contents.
            let _ = unsafe {
                rustix::mm::madvise(start.add(skip).cast(), size, rustix::mm::Advice::LinuxHugepage)
            };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = values;
}
