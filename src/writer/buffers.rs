//! Memory for compressed chunks, used again: fresh pages would cost a fifth of the time that zstd takes.

use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::mmap::Pages;

/// Memory for a frame; what is in it is of no meaning.
pub(super) enum Buffer {
    /// For small ones, which the allocator keeps.
    Heap(Vec<u8>),
    Pages(Pages),
}

/// From this size on, buffers are pages of their own, and kept.
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

/// Buffers that are not in use: no more than were in use together.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Pages>>);

impl Pool {
    /// A buffer of at least `size` bytes.
    pub(super) fn take(&self, size: usize) -> Result<Buffer> {
        let failed = || Error::Memory { what: "compressing a chunk".into(), bytes: size as u64 };
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
            None => Pages::new(size).map(Buffer::Pages).map_err(|_| failed()),
        }
    }

    /// Takes a buffer back.
    pub(super) fn give(&self, buffer: Buffer) {
        if let Buffer::Pages(pages) = buffer {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_and_no_more_are_kept_than_were_out() {
        let pool = Pool::default();
        let size = 2 << 20;
        let (one, other) = (pool.take(size).unwrap(), pool.take(size).unwrap());
        let addresses = [one.bytes().as_ptr().addr(), other.bytes().as_ptr().addr()];
        pool.give(one);
        pool.give(other);
        let again = pool.take(size - 1).unwrap();
        assert!(addresses.contains(&again.bytes().as_ptr().addr()));
        pool.give(again);
        let larger = pool.take(2 * size).unwrap();
        assert!(larger.bytes().len() >= 2 * size);
        pool.give(larger);
        assert_eq!(pool.0.lock().unwrap().len(), 2);
        assert!(matches!(pool.take(10).unwrap(), Buffer::Heap(bytes) if bytes.len() == 10));
    }
}
