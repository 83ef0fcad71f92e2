//! The JSON members that describe how a latent is stored, the same in every command.

use gen5::chunk::ChunkRecord;
use gen5::{Latent, LatentSummary};
use serde::Serialize;

/// A latent stored in a file.
#[derive(Serialize)]
pub(crate) struct StoredLatent<'a> {
    pub(crate) index: usize,
    pub(crate) key: Option<&'a str>,
    pub(crate) dtype: &'static str,
    pub(crate) shape: &'a [usize],
    pub(crate) payload_size: u64,
    pub(crate) stored_size: u64,
    pub(crate) compressed: bool,
    pub(crate) shuffled: bool,
    pub(crate) parts: usize,
}

impl<'a> StoredLatent<'a> {
    /// A latent of an open file.
    pub(crate) fn of(latent: &'a Latent) -> Self {
        Self {
            index: latent.index(),
            key: latent.key(),
            dtype: latent.dtype().name(),
            shape: latent.shape(),
            payload_size: latent.payload_size(),
            stored_size: latent.chunks().map(ChunkRecord::stored_size).sum(),
            compressed: latent.chunks().any(ChunkRecord::is_compressed),
            shuffled: latent.chunks().any(ChunkRecord::is_shuffled),
            parts: latent.chunks().count(),
        }
    }

    /// A latent that was just written.
    pub(crate) fn written((index, latent): (usize, &'a LatentSummary)) -> Self {
        Self {
            index,
            key: latent.key.as_deref(),
            dtype: latent.dtype.name(),
            shape: &latent.shape,
            payload_size: latent.payload_size,
            stored_size: latent.stored_size,
            compressed: latent.compressed,
            shuffled: latent.shuffled,
            parts: latent.parts,
        }
    }

    /// The storage in one word.
    pub(crate) fn how(&self) -> &'static str {
        match (self.shuffled, self.compressed) {
            (true, _) => "shuffled",
            (false, true) => "zstd",
            (false, false) => "raw",
        }
    }
}
