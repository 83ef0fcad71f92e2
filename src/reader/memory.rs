//! Fallible memory allocation for reading.

use zerocopy::FromZeros;

use crate::error::{Error, Result};
use crate::mmap::prefer_large_pages;

/// Allocates `size` zero bytes, or returns an error if there is not enough memory.
pub(super) fn allocate(size: u64, what: &str) -> Result<Vec<u8>> {
    zeroed(size, size, what)
}

/// Allocates `count` zero elements, which take `bytes` bytes.
pub(super) fn zeroed<T: FromZeros>(count: u64, bytes: u64, what: &str) -> Result<Vec<T>> {
    let failed = || Error::Memory { what: what.to_owned(), bytes };
    let count = usize::try_from(count).map_err(|_| failed())?;
    let mut elements = T::new_vec_zeroed(count).map_err(|_| failed())?;
    prefer_large_pages(&mut elements);
    Ok(elements)
}
