//! Memory maps, and what is told the system of memory: with `codec/zstd/blocks.rs`, the home of `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

/// A file's bytes, mapped for reading.
pub(crate) struct Map(memmap2::Mmap);

impl Map {
    /// Maps the whole of `file`.
    ///
    /// # Safety
    ///
    /// As long as the map lives, nothing writes to the file, truncates it or punches holes in it, in this process or in
    /// another.
    pub(crate) unsafe fn new(file: &File) -> io::Result<Self> {
        // SAFETY: `Mmap::map` asks that the file is not modified while it is mapped, which the caller promises.
        let map = unsafe { memmap2::Mmap::map(file) }?;
        Ok(Self(map))
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Asks the system to read these bytes ahead, which it may decline.
    pub(crate) fn prefetch(&self, start: usize, len: usize) {
        #[cfg(unix)]
        let _ = self.0.advise_range(memmap2::Advice::WillNeed, start, len);
    }
}

/// Memory of its own pages: zero at first, large pages where the system has them.
pub(crate) struct Pages(memmap2::MmapMut);

impl Pages {
    /// Pages for `len` bytes. Those that are not touched take no memory.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let pages = memmap2::MmapMut::map_anon(len)?;
        // Only a wish: a tenth of the faults, or as many as ever.
        #[cfg(target_os = "linux")]
        let _ = pages.advise(memmap2::Advice::HugePage);
        Ok(Self(pages))
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to be written to.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// The size of a large page on most systems. On one where it is another, less is asked for, or nothing.
const LARGE_PAGE: usize = 2 << 20;

/// Asks for large pages for memory that is about to be filled: one fault for 2 MiB instead of 512. The system may decline.
pub(crate) fn prefer_large_pages<T>(values: &mut [T]) {
    #[cfg(target_os = "linux")]
    {
        let start = values.as_mut_ptr().cast::<u8>();
        let skip = start.align_offset(LARGE_PAGE);
        let size = size_of_val(values).saturating_sub(skip) / LARGE_PAGE * LARGE_PAGE;
        if size > 0 {
            // SAFETY: `skip` and `size` together are at most the size of the slice, so the range is part of it, and it is
            // borrowed exclusively. The advice says how its pages are to be made and leaves what is in them as it is.
            let _ = unsafe {
                rustix::mm::madvise(start.add(skip).cast(), size, rustix::mm::Advice::LinuxHugepage)
            };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = values;
}
