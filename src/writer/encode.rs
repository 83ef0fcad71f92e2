//! Turns values into frames: checks, converts, hashes, shuffles and compresses them.

use zerocopy::IntoBytes;

use super::buffers::Filled;
use super::input::Input;
use super::options::Storage;
use super::session::Session;
use crate::codec::{Digest, FrameEncoder, Hasher, SHUFFLE_BLOCK, frame_bound, shuffle};
use crate::element::Scratch;
use crate::error::{Error, Result};
use crate::manifest::ChunkRecord;
use crate::wire::ChunkHeader;

/// Bytes to check, convert, hash and compress at a time. They stay in cache between these steps.
const BLOCK: usize = 256 << 10;

/// A chunk to write: its record, and the values that become its payload.
pub(super) struct Job<'a> {
    pub(super) record: ChunkRecord,
    pub(super) input: Input<'a>,
}

/// An encoded chunk: compressed, or to be written without compression.
pub(super) enum Encoded {
    Raw,
    Frame(Filled, Digest),
}

/// Checks, converts, hashes, shuffles and compresses a chunk, block by block.
pub(super) fn encode_chunk(session: &Session<'_>, job: &Job<'_>) -> Result<Encoded> {
    if !job.record.compressed {
        return Ok(Encoded::Raw);
    }
    let shuffled = job.record.is_shuffled();
    let storage = if shuffled { Storage::Shuffled } else { Storage::Zstd };
    let level = session.options.level_for(storage);
    let input = &job.input;
    let mut scratch = Scratch::default();
    let mut groups = Vec::new();
    let mut hasher = Hasher::default();
    let frame = compress(session, &job.record.header(), input.size(), level, |encoder| {
        for step in input.steps(if shuffled { SHUFFLE_BLOCK } else { BLOCK }) {
            session.check_cancelled()?;
            input.prepare(step.clone(), &session.options, &mut scratch)?;
            let bytes = input.bytes(step, &scratch);
            hasher.update(bytes);
            if !shuffled {
                push(encoder, bytes)?;
                continue;
            }
            let size = input.dtype.size();
            groups.resize(bytes.len(), 0);
            shuffle(bytes, size, &mut groups);
            // Small groups would share a block of zstd, and its statistics.
            for group in groups.chunks((bytes.len() / size).max(1)) {
                push(encoder, group)?;
                encoder.end_block().map_err(|_| no_memory(group.len()))?;
            }
        }
        Ok(())
    })?;
    session.progress(input.size());
    Ok(Encoded::Frame(frame, hasher.finish()))
}

fn push(encoder: &mut FrameEncoder<'_>, bytes: &[u8]) -> Result<()> {
    encoder.push(bytes).map_err(|_| no_memory(bytes.len()))
}

/// Returns a memory error. Since the level is valid, zstd has no other reason to fail.
fn no_memory(bytes: usize) -> Error {
    Error::Memory { what: "compressing a chunk".into(), bytes: bytes as u64 }
}

/// Compresses one chunk into a frame: its header, then a payload of `size` bytes, which `fill`
/// pushes.
fn compress(
    session: &Session<'_>,
    header: &ChunkHeader,
    size: usize,
    level: i32,
    fill: impl FnOnce(&mut FrameEncoder<'_>) -> Result<()>,
) -> Result<Filled> {
    let content = size + size_of::<ChunkHeader>();
    let mut buffer = session.options.buffers.take(frame_bound(content))?;
    let mut encoder =
        FrameEncoder::new(level, content as u64, buffer.bytes_mut()).map_err(|_| no_memory(size))?;
    push(&mut encoder, header.as_bytes())?;
    fill(&mut encoder)?;
    let size = encoder.finish().map_err(|_| no_memory(size))?;
    Ok(Filled::new(buffer, size))
}

/// Compresses a chunk that is not a latent, with its payload in memory, into a frame.
pub(super) fn compress_whole(
    session: &Session<'_>,
    header: &ChunkHeader,
    payload: &[u8],
    level: i32,
) -> Result<Filled> {
    compress(session, header, payload.len(), level, |encoder| {
        payload.chunks(BLOCK).try_for_each(|block| {
            session.check_cancelled()?;
            push(encoder, block)
        })
    })
}
