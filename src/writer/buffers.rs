//! Reusable memory for chunks before and after compression. Fresh pages would cost a fifth of the
//! time that zstd takes.

use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::mmap::Pages;

/// Memory with unspecified contents.
pub(super) enum Buffer {
    /// For small buffers, which the allocator keeps.
    Heap(Vec<u8>),
    Pages(Pages),
}

/// Buffers of at least this size have pages of their own and are kept.
const LEAST_PAGES: usize = 1 << 20;

impl Buffer {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Pages(pages) => pages.bytes(),
        }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Pages(pages) => pages.bytes_mut(),
        }
    }
}

/// A buffer whose first bytes are in use: a chunk's payload under construction, or its frame.
pub(super) struct Filled {
    buffer: Buffer,
    len: usize,
}

impl Default for Filled {
    fn default() -> Self {
        Self::new(Buffer::Heap(Vec::new()), 0)
    }
}

impl Filled {
    /// Creates one from the first `len` bytes of a buffer that has at least this length.
    pub(super) fn new(buffer: Buffer, len: usize) -> Self {
        Self { buffer, len }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.bytes().get(..self.len).unwrap_or_default()
    }

    /// Ensures that there is room for `size` bytes in total.
    pub(super) fn reserve(&mut self, size: usize, pool: &Pool) -> Result<()> {
        if self.buffer.bytes().len() < size {
            let mut larger = Self::new(pool.take(size)?, 0);
            larger.extend(self.bytes());
            *self = larger;
        }
        Ok(())
    }

    /// Appends bytes, for which there must be room.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let (_, room) = self.buffer.bytes_mut().split_at_mut(self.len);
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.len += bytes.len();
    }

    /// Returns the buffer to the pool.
    pub(super) fn recycle(self, pool: &Pool) {
        pool.give(self.buffer);
    }
}

/// Buffers that are not in use. There are never more than were in use at the same time.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Pages>>);

impl Pool {
    /// Returns a buffer of at least `size` bytes. A buffer with its own pages is a little larger,
    /// so that a part's buffer can also hold its frame, which can be longer.
    pub(super) fn take(&self, size: usize) -> Result<Buffer> {
        let failed = || Error::Memory { what: "a chunk to compress".into(), bytes: size as u64 };
        if size < LEAST_PAGES {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(size).map_err(|_| failed())?;
            bytes.resize(size, 0);
            return Ok(Buffer::Heap(bytes));
        }
        let kept = {
            let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match pool.iter().position(|pages| pages.bytes().len() >= size) {
                Some(at) => Some(pool.swap_remove(at)),
                None => {
                    pool.pop(); // it makes room for a larger one
                    None
                }
            }
        };
        match kept {
            Some(pages) => Ok(Buffer::Pages(pages)),
            None => Pages::new(size + size / 32).map(Buffer::Pages).map_err(|_| failed()),
        }
    }

    fn give(&self, buffer: Buffer) {
        if let Buffer::Pages(pages) = buffer {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_grows() {
        let pool = Pool::default();
        let mut filled = Filled::default();
        filled.reserve(3, &pool).unwrap();
        filled.extend(b"abc");
        filled.reserve(LEAST_PAGES, &pool).unwrap();
        filled.extend(b"de");
        assert_eq!(filled.bytes(), b"abcde");
    }

    #[test]
    fn buffers_come_back_and_no_more_are_kept_than_were_out() {
        let pool = Pool::default();
        let size = 2 << 20;
        let one = pool.take(size).unwrap();
        let other = pool.take(size).unwrap();
        let addresses = [one.bytes().as_ptr().addr(), other.bytes().as_ptr().addr()];
        pool.give(one);
        pool.give(other);
        let again = pool.take(size - 1).unwrap();
        assert!(addresses.contains(&again.bytes().as_ptr().addr()));
        pool.give(again);
        let frame = pool.take(crate::codec::frame_bound(size)).unwrap();
        assert!(addresses.contains(&frame.bytes().as_ptr().addr()));
        pool.give(frame);
        let larger = pool.take(2 * size).unwrap();
        assert!(larger.bytes().len() >= 2 * size);
        pool.give(larger);
        assert_eq!(pool.0.lock().unwrap().len(), 2);
        assert!(matches!(pool.take(10).unwrap(), Buffer::Heap(bytes) if bytes.len() == 10));
    }
}
