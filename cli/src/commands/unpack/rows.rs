//! Rows of latents, one after the other: read in blocks, since each of a compressed latent would decompress those before it.

use std::collections::HashMap;

use anyhow::{Context, Result};
use gen5::Latent;

/// Bytes of rows that are read together.
const BLOCK: usize = 64 << 20;

/// The rows of each latent that were read last.
#[derive(Default)]
pub(super) struct Rows(HashMap<usize, Block>);

/// Some rows of a latent.
struct Block {
    first: usize,
    /// Bytes of a row.
    size: usize,
    bytes: Vec<u8>,
}

impl Rows {
    /// Gives a row along the first axis to `write`: as bytes, or as the latent that it is if it is large.
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
        let has = |block: &Block| {
            let start = row.checked_sub(block.first)?.checked_mul(block.size)?;
            let end = start.checked_add(block.size)?;
            (end <= block.bytes.len()).then_some(start..end)
        };
        let found = self.0.get(&latent.index()).and_then(has);
        let range = if let Some(range) = found {
            range
        } else {
            let last = row.saturating_add(BLOCK / size.max(1)).clamp(row, rows);
            let mut bytes = Vec::new();
            latent.rows(row..last)?.write_to(&mut bytes)?;
            self.0.insert(latent.index(), Block { first: row, size, bytes });
            0..size
        };
        let block = self.0.get(&latent.index());
        write(Row::Bytes(
            block.and_then(|block| block.bytes.get(range)).context("a latent is shorter than its shape")?,
        ))
    }
}

/// The values of a row.
pub(super) enum Row<'a> {
    Latent(&'a Latent),
    Bytes(&'a [u8]),
}
