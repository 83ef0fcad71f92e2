//! From values to chunks in the file: checked, converted, hashed, compressed and written, side by side.
//!
//! Chunks get their places in the order in which they came, so a file's bytes do not depend on the number of threads.

use half::f16;
use rayon::prelude::*;
use zerocopy::IntoBytes;

use super::array::check_values;
use super::options::DEFAULT_PART_SIZE;
use super::session::{BLOCK, LatentChunk, NewRecord, Placement, Session, chunk_header};
use crate::codec::{Digest, Hasher, compress};
use crate::element::Values;
use crate::error::{Error, Result};
use crate::wire::{CHUNK_HEADER_SIZE, ChunkHeader, ChunkType};

/// A chunk to be written.
pub(super) struct Job<'a> {
    pub(super) chunk: LatentChunk,
    pub(super) compressed: bool,
    /// Position of its first element in the latent, for errors.
    pub(super) first: usize,
    pub(super) payload: Payload<'a>,
}

/// What a chunk is made of.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    /// Values as the caller gave them.
    Values(Values<'a>),
    /// Bytes that were checked and converted already.
    Ready(&'a [u8]),
}

impl Job<'_> {
    /// Bytes of the payload.
    fn size(&self) -> usize {
        match self.payload {
            Payload::Values(values) => values.len() * self.chunk.dtype.size(),
            Payload::Ready(bytes) => bytes.len(),
        }
    }

    fn header(&self) -> Result<ChunkHeader> {
        chunk_header(ChunkType::LATENT, Some(self.chunk.dtype), self.size() as u64)
    }

    /// Hands the payload to `take`, block by block; with `check`, values that must not be written are refused.
    fn blocks(
        &self,
        session: &Session<'_>,
        check: bool,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let values = match self.payload {
            Payload::Ready(bytes) => return bytes.chunks(BLOCK).try_for_each(take),
            Payload::Values(values) => values,
        };
        let step = BLOCK / values.dtype().size();
        let mut scratch: Vec<f16> = Vec::new();
        for start in (0..values.len()).step_by(step) {
            let block = values.slice(start..(start + step).min(values.len()));
            if check {
                let (key, first) = (self.chunk.latent_key(), self.first + start);
                check_values(block, key, first, self.chunk.dtype, &session.options)?;
            }
            take(block.bytes_as(self.chunk.dtype, &mut scratch))?;
        }
        Ok(())
    }
}

/// A chunk on its way: compressed, or to be written as it is.
enum Encoded {
    Raw,
    Frame { bytes: Vec<u8>, sha256: Digest },
}

/// Writes chunks of latents. If one is refused, none of them is in the file. If it is for a value, the next chunk gets the
/// place that the first of these had.
pub(super) fn write_jobs(session: &Session<'_>, jobs: &[Job<'_>]) -> Result<()> {
    let _guard = session.guard();
    if !session.sink.is_positional() {
        // What was written could not be cut off, so that nothing is written before all values are known to be good.
        first_error(jobs.par_iter().map(|job| job.blocks(session, true, |_| Ok(()))).collect())?;
    }
    let (mut places, mut records) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
    let mut rest = jobs;
    while !rest.is_empty() {
        let (window, behind) = rest.split_at(window_len(session, rest));
        if let Err(error) = write_window(session, window, &mut places, &mut records) {
            if !matches!(error, Error::Io { .. }) {
                session.take_back(places)?;
            }
            return Err(error);
        }
        rest = behind;
    }
    session.state().records.append(&mut records);
    Ok(())
}

/// All of the results, or the error of the first that is one: in the order of the jobs, not of time.
fn first_error<T>(results: Vec<Result<T>>) -> Result<Vec<T>> {
    results.into_iter().collect()
}

/// Bytes that compressed chunks, or parts that wait to be, may come to in memory: about one part for each thread.
pub(super) fn memory_budget(session: &Session<'_>) -> u64 {
    let part = session.options.part_size.unwrap_or(DEFAULT_PART_SIZE).max(1 << 20);
    part.saturating_mul(rayon::current_num_threads() as u64)
}

/// How many of the jobs are worked on together: compressed chunks are kept in memory until they are placed.
fn window_len(session: &Session<'_>, jobs: &[Job<'_>]) -> usize {
    let budget = memory_budget(session);
    let mut held = 0_u64;
    let fits = jobs.iter().take_while(|job| {
        held = held.saturating_add(if job.compressed { job.size() as u64 } else { 0 });
        held <= budget
    });
    fits.count().max(1)
}

fn write_window(
    session: &Session<'_>,
    jobs: &[Job<'_>],
    places: &mut Vec<Placement>,
    records: &mut Vec<NewRecord>,
) -> Result<()> {
    let encoded = first_error(jobs.par_iter().map(|job| encode(session, job)).collect())?;
    let sizes = jobs.iter().zip(&encoded).map(|(job, encoded)| match encoded {
        Encoded::Frame { bytes, .. } => (bytes.len() as u64, None),
        Encoded::Raw => (job.size() as u64 + CHUNK_HEADER_SIZE, Some(session.options.alignment)),
    });
    let placed = session.state().place_all(sizes)?;
    places.extend_from_slice(&placed);
    // A sink that takes one thread at a time is the caller's code. It is called from this thread alone, and so may use
    // rayon itself.
    let side_by_side = session.sink.is_positional();
    let alone = side_by_side && jobs.len() == 1;
    let write = |((job, encoded), &place): ((&Job<'_>, Encoded), &Placement)| match encoded {
        Encoded::Frame { bytes, sha256 } => session.write(&bytes, place.offset).map(|()| sha256),
        Encoded::Raw => write_raw(session, job, place, alone),
    };
    let written = if side_by_side {
        jobs.par_iter().zip(encoded).zip(&placed).map(write).collect()
    } else {
        jobs.iter().zip(encoded).zip(&placed).map(write).collect()
    };
    let digests = first_error(written)?;
    records.extend(jobs.iter().zip(placed).zip(digests).map(|((job, place), sha256)| NewRecord {
        kind: ChunkType::LATENT,
        flags: job.chunk.dtype.flags(),
        place,
        payload_size: job.size() as u64,
        compressed: job.compressed,
        sha256,
        latent: Some(job.chunk.clone()),
    }));
    Ok(())
}

fn encode(session: &Session<'_>, job: &Job<'_>) -> Result<Encoded> {
    if !job.compressed {
        return Ok(Encoded::Raw);
    }
    let converted;
    let mut hasher = Hasher::default();
    let payload = match job.payload {
        Payload::Values(values) if values.dtype() == job.chunk.dtype => {
            job.blocks(session, true, |block| {
                hasher.update(block);
                Ok(())
            })?;
            values.as_bytes()
        }
        Payload::Values(_) => {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(job.size()).map_err(|_| no_memory(job.size()))?;
            job.blocks(session, true, |block| {
                hasher.update(block);
                bytes.extend_from_slice(block);
                Ok(())
            })?;
            converted = bytes;
            &converted
        }
        Payload::Ready(bytes) => {
            hasher.update(bytes);
            bytes
        }
    };
    let bytes = compress_chunk(&job.header()?, payload, session.options.level)?;
    session.progress(payload.len());
    Ok(Encoded::Frame { bytes, sha256: hasher.finish() })
}

/// One chunk as a frame.
pub(super) fn compress_chunk(header: &ChunkHeader, payload: &[u8], level: i32) -> Result<Vec<u8>> {
    // With a level that was checked, zstd has no other reason to refuse.
    compress(header.as_bytes(), payload, level).map_err(|_| no_memory(payload.len()))
}

fn no_memory(bytes: usize) -> Error {
    Error::Memory { what: "compressing a chunk".into(), bytes: bytes as u64 }
}

/// Writes a raw chunk, and returns the hash of its payload. A chunk that has the machine for itself is hashed on one
/// thread while it is written on another.
fn write_raw(session: &Session<'_>, job: &Job<'_>, place: Placement, alone: bool) -> Result<Digest> {
    session.write_head(place, &job.header()?)?;
    let mut hasher = Hasher::default();
    let mut at = place.payload_offset();
    let mut write = |block: &[u8]| {
        session.write(block, at)?;
        at += block.len() as u64;
        session.progress(block.len());
        Ok(())
    };
    if alone && job.size() > BLOCK {
        let mut hash = |block: &[u8]| {
            hasher.update(block);
            Ok(())
        };
        let (hashed, written) =
            rayon::join(|| job.blocks(session, true, &mut hash), || job.blocks(session, false, &mut write));
        written.and(hashed)?;
    } else {
        job.blocks(session, true, |block| {
            hasher.update(block);
            write(block)
        })?;
    }
    Ok(hasher.finish())
}
