//! From values to chunks in the file: checked, converted, hashed, compressed and written, side by side.
//!
//! Chunks get their places in the order in which they came, so a file's bytes do not depend on the number of threads.

use rayon::prelude::*;
use zerocopy::IntoBytes;

use super::buffers::Filled;
use super::input::{Input, Scratch};
use super::options::{DEFAULT_PART_SIZE, Storage};
use super::raw::write_values;
use super::session::{LatentChunk, NewRecord, Placement, Session};
use crate::codec::{Digest, FrameEncoder, Hasher, SHUFFLE_BLOCK, frame_bound, shuffle};
use crate::error::{Error, Result};
use crate::wire::{CHUNK_HEADER_SIZE, ChunkHeader};

/// Bytes that are checked, converted, hashed and compressed at a time: they stay in cache between these.
const BLOCK: usize = 256 << 10;

/// A chunk to be written.
pub(super) struct Job<'a> {
    pub(super) chunk: LatentChunk,
    pub(super) input: Input<'a>,
}

impl Job<'_> {
    fn is_raw(&self) -> bool {
        self.chunk.storage == Storage::Raw
    }

    /// Bytes of the payload.
    fn size(&self) -> u64 {
        self.input.size() as u64
    }
}

/// A chunk on its way: compressed, or to be written as it is.
enum Encoded {
    Raw,
    Frame(Filled, Digest),
}

/// Writes chunks of latents. If one is refused, none of them is in the file. If it is for a value, the next chunk gets the
/// place that the first of these had.
pub(super) fn write_jobs(session: &Session<'_>, jobs: &[Job<'_>]) -> Result<()> {
    let _guard = session.guard();
    if !session.sink.is_positional() {
        // What was written could not be cut off, so that nothing is written before all values are known to be good.
        first_error(jobs.par_iter().map(|job| job.input.check(&session.options)).collect())?;
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

/// How many of the jobs are worked on together. Compressed chunks are kept in memory until they are placed: one for each
/// thread, or more if they come to no more than a part for each.
fn window_len(session: &Session<'_>, jobs: &[Job<'_>]) -> usize {
    let threads = rayon::current_num_threads();
    let part = session.options.part_size.unwrap_or(DEFAULT_PART_SIZE).max(1 << 20);
    let budget = part.saturating_mul(threads as u64);
    let (mut held, mut count) = (0_u64, 0);
    let fits = jobs.iter().take_while(|job| {
        if !job.is_raw() {
            held = held.saturating_add(job.size());
            count += 1;
        }
        count <= threads || held <= budget
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
        Encoded::Frame(frame, _) => (frame.bytes().len() as u64, None),
        Encoded::Raw => (job.size().saturating_add(CHUNK_HEADER_SIZE), Some(session.options.alignment)),
    });
    let placed = session.state().place_all(sizes)?;
    places.extend_from_slice(&placed);
    let write = |((job, encoded), &place): ((&Job<'_>, Encoded), &Placement)| match encoded {
        Encoded::Frame(frame, sha256) => {
            session.write(frame.bytes(), place.offset)?;
            frame.recycle(&session.buffers);
            Ok(sha256)
        }
        Encoded::Raw => {
            session.write_head(place, &job.chunk.header(job.size()))?;
            let mut hasher = Hasher::default();
            write_values(session, &job.input, place.payload_offset(), &mut hasher)?;
            Ok(hasher.finish())
        }
    };
    // A sink that takes one thread at a time is the caller's code: it is called from this thread alone.
    let written = if session.sink.is_positional() {
        jobs.par_iter().zip(encoded).zip(&placed).map(write).collect()
    } else {
        jobs.iter().zip(encoded).zip(&placed).map(write).collect()
    };
    let digests = first_error(written)?;
    records.extend(
        jobs.iter()
            .zip(placed)
            .zip(digests)
            .map(|((job, place), sha256)| job.chunk.clone().into_record(place, job.size(), sha256)),
    );
    Ok(())
}

/// Checks, converts, hashes, shuffles and compresses a chunk, block by block.
fn encode(session: &Session<'_>, job: &Job<'_>) -> Result<Encoded> {
    let shuffled = match job.chunk.storage {
        Storage::Raw => return Ok(Encoded::Raw),
        Storage::Zstd => false,
        Storage::Shuffled => true,
    };
    let (input, level) = (&job.input, session.options.level_for(job.chunk.storage));
    let (mut scratch, mut groups) = (Scratch::new(), Vec::new());
    let mut hasher = Hasher::default();
    let frame = compress(session, &job.chunk.header(job.size()), input.size(), level, |push| {
        for step in input.steps(if shuffled { SHUFFLE_BLOCK } else { BLOCK }) {
            input.prepare(step.clone(), &session.options, &mut scratch)?;
            let bytes = input.bytes(step, &scratch);
            hasher.update(bytes);
            if shuffled {
                groups.resize(bytes.len(), 0);
                shuffle(bytes, input.dtype.size(), &mut groups);
                push(&groups)?;
            } else {
                push(bytes)?;
            }
        }
        Ok(())
    })?;
    session.progress(input.size());
    Ok(Encoded::Frame(frame, hasher.finish()))
}

/// One chunk as a frame: its header, then a payload of `size` bytes, which `fill` pushes.
fn compress(
    session: &Session<'_>,
    header: &ChunkHeader,
    size: usize,
    level: i32,
    fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
) -> Result<Filled> {
    // With a level that was checked, zstd has no other reason to refuse.
    let failed = |_| Error::Memory { what: "compressing a chunk".into(), bytes: size as u64 };
    let content = size + size_of::<ChunkHeader>();
    let mut buffer = session.buffers.take(frame_bound(content))?;
    let mut encoder = FrameEncoder::new(level, content as u64, buffer.bytes_mut()).map_err(failed)?;
    encoder.push(header.as_bytes()).map_err(failed)?;
    fill(&mut |bytes| encoder.push(bytes).map_err(failed))?;
    let size = encoder.finish().map_err(failed)?;
    Ok(Filled::new(buffer, size))
}

/// A chunk as a frame whose payload is in memory, and no latent.
pub(super) fn compress_whole(
    session: &Session<'_>,
    header: &ChunkHeader,
    payload: &[u8],
    level: i32,
) -> Result<Filled> {
    compress(session, header, payload.len(), level, |push| push(payload))
}
