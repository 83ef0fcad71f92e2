//! Consecutive rows of latents, read in blocks. Reading single rows of a compressed latent would
//! decompress all earlier ones each time.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use gen5::Latent;

/// Limit on the bytes of rows read together.
const BLOCK: usize = 32 << 20;

/// Number of blocks kept: a file uses rows of only a few latents.
const KEPT: usize = 4;

/// The most recently read rows.
#[derive(Default)]
pub(super) struct RowCache(VecDeque<Block>);

/// A range of rows of a latent.
struct Block {
    /// The latent's position.
    latent: usize,
    first: usize,
    /// Size of a row in bytes.
    size: usize,
    bytes: Vec<u8>,
}

impl RowCache {
    /// Passes a row along the first axis to `write`: as bytes, or as a latent if it is large.
    pub(super) fn with<T>(
        &mut self,
        latent: &Latent,
        row: usize,
        write: impl FnOnce(Row<'_>) -> Result<T>,
    ) -> Result<T> {
        let rows = latent.shape().first().copied().unwrap_or(1);
        if rows == 1 {
            return write(Row::Latent(latent));
        }
        let size = usize::try_from(latent.payload_size() / rows.max(1) as u64).unwrap_or(usize::MAX);
        if size > BLOCK {
            return write(Row::Latent(&latent.rows(row..row.saturating_add(1))?));
        }
        let place = |block: &Block| {
            let start = row.checked_sub(block.first)?.checked_mul(block.size)?;
            let end = start.checked_add(block.size)?;
            (block.latent == latent.index() && end <= block.bytes.len()).then_some(start..end)
        };
        if !self.0.iter().any(|block| place(block).is_some()) {
            let last = row.saturating_add(BLOCK / size.max(1)).clamp(row, rows);
            // Earlier blocks of this latent are no longer needed, and neither is the oldest block.
            self.0.retain(|block| block.latent != latent.index());
            self.0.truncate(KEPT - 1);
            let mut bytes = Vec::new();
            latent.rows(row..last)?.write_to(&mut bytes)?;
            self.0.push_front(Block { latent: latent.index(), first: row, size, bytes });
        }
        let found = self.0.iter().find_map(|block| block.bytes.get(place(block)?));
        write(Row::Bytes(found.context("a latent is shorter than its shape")?))
    }
}

/// The values of a row.
pub(super) enum Row<'a> {
    Latent(&'a Latent),
    Bytes(&'a [u8]),
}
