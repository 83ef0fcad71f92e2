//! Checks every hash, in parallel.

use rayon::prelude::*;

use super::payload::{PayloadReader, read_payload};
use super::{Inner, Reader};
use crate::error::{Error, Fault, Result};
use crate::manifest::ChunkRecord;
use crate::snapshot::Environment;
use crate::wire::ChunkType;

/// The result of [`Reader::verify_chunks`]: one report per chunk, in table order.
///
/// ```
/// # use gen5::{Metadata, Reader, WriteOptions};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("batch.gen5");
/// # let mut writer = WriteOptions::new().create(&path)?;
/// # writer.latent("noise", &[2], &[0.5_f32, 1.5])?;
/// # writer.finish(&Metadata::builder("Stable Diffusion 3", "3.0").build()?)?;
/// let report = Reader::open(&path)?.verify_chunks(|_| {});
/// for chunk in report.damaged() {
///     eprintln!("chunk {} is damaged: {:?}", chunk.index, chunk.error);
/// }
/// assert!(report.is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct VerifyReport {
    chunks: Vec<ChunkReport>,
}

/// The result for one chunk.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChunkReport {
    /// Position in the table, from 0.
    pub index: usize,
    /// Size of the payload in bytes.
    pub payload_size: u64,
    /// The damage, or the reason why the chunk was not checked: it could not be read, exceeds a
    /// limit, did not fit into memory, or the check was cancelled. [`Error::fault`] distinguishes
    /// these cases.
    pub error: Option<Error>,
}

impl ChunkReport {
    /// Returns whether the chunk is damaged: its error is a format or integrity error.
    pub fn is_damaged(&self) -> bool {
        let fault = self.error.as_ref().map(Error::fault);
        matches!(fault, Some(Fault::Format | Fault::Integrity))
    }

    /// Returns whether the chunk could not be checked: its error is not about its contents.
    pub fn is_unchecked(&self) -> bool {
        self.error.is_some() && !self.is_damaged()
    }

    /// Returns the priority of the error: damage first, then chunks that could not be checked, then
    /// cancelled chunks.
    fn rank(&self) -> Option<u8> {
        match &self.error {
            None => None,
            Some(_) if self.is_damaged() => Some(0),
            Some(Error::Cancelled) => Some(2),
            Some(_) => Some(1),
        }
    }
}

impl VerifyReport {
    /// Returns the reports of all chunks.
    pub fn chunks(&self) -> &[ChunkReport] {
        &self.chunks
    }

    /// Returns the damaged chunks, among those that could be checked.
    pub fn damaged(&self) -> impl Iterator<Item = &ChunkReport> {
        self.chunks.iter().filter(|chunk| chunk.is_damaged())
    }

    /// Returns the chunks that could not be checked.
    pub fn unchecked(&self) -> impl Iterator<Item = &ChunkReport> {
        self.chunks.iter().filter(|chunk| chunk.is_unchecked())
    }

    /// Returns whether every chunk was checked and is undamaged.
    pub fn is_ok(&self) -> bool {
        self.chunks.iter().all(|chunk| chunk.error.is_none())
    }

    /// Returns the total size of all payloads in bytes.
    pub fn payload_size(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.payload_size).sum()
    }

    /// Returns this report if every chunk was checked and is undamaged.
    ///
    /// # Errors
    ///
    /// The error of the first damaged chunk. If no chunk is damaged but some could not be checked,
    /// the first error that explains why, or [`Error::Cancelled`] if there is only that.
    pub fn into_result(mut self) -> Result<Self> {
        let errors = self.chunks.iter_mut().filter_map(|chunk| Some((chunk.rank()?, &mut chunk.error)));
        match errors.min_by_key(|(rank, _)| *rank).and_then(|(_, error)| error.take()) {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

impl Reader {
    /// Checks every chunk of the file: its header against its record, its frame, the SHA-256 of its
    /// payload, and the digest of every component of the environment. Chunks are checked in
    /// parallel, in the caller's rayon pool.
    ///
    /// # Errors
    ///
    /// The same errors as [`VerifyReport::into_result`]: the error of the first damaged chunk in
    /// the table. [`verify_chunks`](Self::verify_chunks) reports all of them.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.verify_chunks(|_| {}).into_result()
    }

    /// Checks every chunk as [`verify`](Self::verify) does, and reports on each.
    ///
    /// `progress` is called from several threads at intervals, with the number of payload bytes
    /// checked since its last call. So is the function of
    /// [`ReadOptions::progress`](crate::ReadOptions::progress).
    #[must_use = "only the report says which chunks are damaged"]
    pub fn verify_chunks(&self, progress: impl Fn(u64) + Sync) -> VerifyReport {
        let chunks = self
            .chunks()
            .par_iter()
            .map(|record| ChunkReport {
                index: record.index(),
                payload_size: record.payload_size(),
                error: verify_chunk(&self.inner, record, &progress).err(),
            })
            .collect();
        VerifyReport { chunks }
    }
}

fn verify_chunk(inner: &Inner, record: &ChunkRecord, progress: &(impl Fn(u64) + Sync)) -> Result<()> {
    let cancelled = &inner.options.cancelled;
    cancelled.check()?;
    if record.kind() == ChunkType::ENVIRONMENT {
        let json = read_payload(&inner.source, record, &inner.options.limits, true, inner.watch())?;
        progress(record.payload_size());
        return Environment::read(&json, &record.place()).map(|_| ());
    }
    let mut payload = PayloadReader::open(&inner.source, record, true)?;
    payload.blocks(record.payload_size(), |block| {
        progress(block.len() as u64);
        inner.watch().add(block.len())
    })?;
    payload.finish()
}
