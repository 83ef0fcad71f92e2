//! Checking every hash, in parallel.

use rayon::prelude::*;

use super::payload::{PayloadReader, read_payload};
use super::{Inner, Reader};
use crate::environment::Environment;
use crate::error::{Error, Fault, Result};
use crate::manifest::ChunkRecord;
use crate::wire::ChunkType;

/// What [`Reader::verify_chunks`] found, chunk by chunk, in the order of the table.
#[derive(Debug)]
pub struct VerifyReport {
    chunks: Vec<ChunkReport>,
}

/// What was found of one chunk.
#[derive(Debug)]
#[non_exhaustive]
pub struct ChunkReport {
    /// Position in the table, from 0.
    pub index: usize,
    /// Bytes of its payload.
    pub payload_size: u64,
    /// What is wrong with it, or why that is not known: it could not be read, is over a limit, there was no memory, or the
    /// check was cancelled. [`Error::fault`] tells one from the other.
    pub error: Option<Error>,
}

impl ChunkReport {
    /// Whether it is not as it was written: its error is one of format or integrity.
    pub fn is_damaged(&self) -> bool {
        let fault = self.error.as_ref().map(Error::fault);
        matches!(fault, Some(Fault::Format | Fault::Integrity))
    }

    /// Whether it could not be checked: its error says nothing of the chunk itself.
    pub fn is_unchecked(&self) -> bool {
        self.error.is_some() && !self.is_damaged()
    }

    /// How much its error says: damage first, then what could not be checked, then what was not.
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
    /// Every chunk, damaged or not.
    pub fn chunks(&self) -> &[ChunkReport] {
        &self.chunks
    }

    /// The chunks that are damaged, of those that could be checked.
    pub fn damaged(&self) -> impl Iterator<Item = &ChunkReport> {
        self.chunks.iter().filter(|chunk| chunk.is_damaged())
    }

    /// The chunks that could not be checked.
    pub fn unchecked(&self) -> impl Iterator<Item = &ChunkReport> {
        self.chunks.iter().filter(|chunk| chunk.is_unchecked())
    }

    /// Whether all were checked, and none is damaged.
    pub fn is_ok(&self) -> bool {
        self.chunks.iter().all(|chunk| chunk.error.is_none())
    }

    /// Bytes of all payloads together.
    pub fn payload_size(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.payload_size).sum()
    }

    /// The error of the first chunk that is damaged, or this report if none is.
    ///
    /// # Errors
    ///
    /// That error. If none is damaged, but not all could be checked, the first error that says why; [`Error::Cancelled`] if
    /// it is that alone.
    pub fn into_result(mut self) -> Result<Self> {
        let errors = self.chunks.iter_mut().filter_map(|chunk| Some((chunk.rank()?, &mut chunk.error)));
        match errors.min_by_key(|(rank, _)| *rank).and_then(|(_, error)| error.take()) {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

impl Reader {
    /// Checks every chunk of the file: its header against its record, its frame, the SHA-256 of its payload, and the
    /// digest of every component of the environment. Chunks are checked in parallel, in the caller's rayon pool.
    ///
    /// # Errors
    ///
    /// As [`VerifyReport::into_result`]: the error of the first chunk in the table that is damaged.
    /// [`verify_chunks`](Self::verify_chunks) tells of all.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.verify_chunks(|_| {}).into_result()
    }

    /// Checks every chunk as [`verify`](Self::verify) does, and reports on each. `progress` is called from several
    /// threads, now and then, with the number of payload bytes checked since its last call.
    #[must_use = "what is damaged is told by the report alone"]
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
        let json = read_payload(&inner.source, record, &inner.options.limits, true)?;
        progress(record.payload_size());
        return Environment::read(&json, &record.place()).map(|_| ());
    }
    let mut payload = PayloadReader::open(&inner.source, record, true)?;
    payload.blocks(record.payload_size(), |block| {
        progress(block.len() as u64);
        cancelled.check()
    })?;
    payload.finish()
}
