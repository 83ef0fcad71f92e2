//! Memory maps: the one home of `unsafe`.
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
}
