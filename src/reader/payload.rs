//! Reads a chunk's payload: compares the chunk header with the record and hashes the payload.

use std::ops::Range;

use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::frame::{Frame, Owner, WholeFrame};
use super::memory::allocate;
use super::watch::Watch;
use crate::codec::{Hasher, SHUFFLE_BLOCK, unshuffle};
use crate::error::{Error, FrameProblem, Result};
use crate::limits::Limits;
use crate::manifest::ChunkRecord;
use crate::source::Source;
use crate::wire::{CHUNK_HEADER_SIZE, ChunkHeader, ChunkType, NO_FLAGS, size_in_header};

/// Bytes to read, decode or hash at a time. A block is small enough to be still in cache when it is
/// hashed.
const BLOCK: usize = 512 << 10;

/// Bytes between two calls of the caller's functions.
const WATCHED_BLOCK: usize = 8 << 20;

/// Decompresses the chunk table and returns its JSON text.
pub(crate) fn read_table(source: &Source, offset: u64, size: u64, limit: u64) -> Result<Vec<u8>> {
    let owner = Owner::Table { offset };
    let frame = WholeFrame::open(source, offset..offset + size, owner)?;
    let content = frame.content_size();
    if content > limit {
        return Err(Error::limit(owner.place(), "table_bytes", "bytes", limit, content));
    }
    let Some(text_size) = content.checked_sub(CHUNK_HEADER_SIZE) else {
        return Err(owner.fail(FrameProblem::ContentSize { expected: CHUNK_HEADER_SIZE, found: content }));
    };
    let mut text = allocate(text_size, "the chunk table")?;
    let check = |header: &_| check_header(header, ChunkType::MANIFEST, NO_FLAGS, text_size, owner);
    frame.read(&mut text, check, |_| Ok(()))?;
    Ok(text)
}

/// Compares a chunk's header with the type, flags and size from its record.
fn check_header(
    header: &ChunkHeader,
    kind: ChunkType,
    flags: [u8; 4],
    size: u64,
    owner: Owner<'_>,
) -> Result<()> {
    let (what, record, chunk) = if header.kind != kind.0 {
        ("type", kind.to_string(), header.kind.escape_ascii().to_string())
    } else if header.flags != flags {
        ("flags", flags.escape_ascii().to_string(), header.flags.escape_ascii().to_string())
    } else if header.size.get() != size_in_header(size) {
        ("size", size.to_string(), header.size.to_string())
    } else {
        return Ok(());
    };
    Err(Error::Contradiction { place: owner.place(), what, record, chunk })
}

/// Compares a chunk's header with its record.
fn check_chunk_header(header: &ChunkHeader, record: &ChunkRecord) -> Result<()> {
    check_header(header, record.kind, record.flags, record.payload_size, Owner::Chunk(record))
}

/// The source of a chunk's payload.
enum Content<'a> {
    /// The bytes are stored in the file without compression.
    Raw,
    /// The bytes are decompressed.
    Frame(Box<Frame<'a>>),
    /// The bytes are decompressed and then unshuffled.
    Shuffled(Box<Shuffled<'a>>),
}

/// A payload whose bytes are shuffled within each block of [`SHUFFLE_BLOCK`].
struct Shuffled<'a> {
    frame: Frame<'a>,
    /// Bytes per element.
    size: usize,
    /// Bytes of the payload in blocks that are not decoded yet.
    left: u64,
    /// A block as decoded from the frame, still shuffled.
    groups: Vec<u8>,
    /// The values of a block that was only partly requested, and the range that is not returned
    /// yet.
    block: Vec<u8>,
    ready: Range<usize>,
}

impl Shuffled<'_> {
    /// Fills `output`, which must not be longer than the rest of the payload.
    fn read_exact(&mut self, mut output: &mut [u8]) -> Result<()> {
        while !output.is_empty() {
            let next = usize::try_from(self.left).unwrap_or(usize::MAX).min(SHUFFLE_BLOCK);
            if self.ready.is_empty() && output.len() >= next && next > 0 {
                let (whole, rest) = output.split_at_mut(next);
                self.decode(next)?;
                unshuffle(&self.groups, self.size, whole);
                output = rest;
                continue;
            }
            if self.ready.is_empty() {
                self.decode(next)?;
                self.block.resize(next, 0);
                unshuffle(&self.groups, self.size, &mut self.block);
                self.ready = 0..next;
            }
            let ready = self.block.get(self.ready.clone()).unwrap_or_default();
            let count = ready.len().min(output.len());
            if count == 0 {
                return Err(self.frame.owner().fail(FrameProblem::Truncated));
            }
            let (part, rest) = output.split_at_mut(count);
            part.copy_from_slice(ready.split_at(count).0);
            self.ready.start += count;
            output = rest;
        }
        Ok(())
    }

    /// Decodes the next block, of `size` bytes.
    fn decode(&mut self, size: usize) -> Result<()> {
        self.groups.resize(size, 0);
        self.left -= size as u64;
        self.frame.read_exact(&mut self.groups)
    }
}

/// Reads the payload of one chunk from start to end.
pub(crate) struct PayloadReader<'a> {
    source: &'a Source,
    record: &'a ChunkRecord,
    content: Content<'a>,
    passed: Passed,
}

/// The part of a payload that was read or skipped.
struct Passed {
    /// Its length in bytes.
    bytes: u64,
    /// Its hash, if the hash is checked.
    hasher: Option<Hasher>,
}

impl Passed {
    /// Adds the next bytes of the payload.
    fn add(&mut self, block: &[u8]) {
        self.bytes += block.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(block);
        }
    }
}

impl<'a> PayloadReader<'a> {
    /// Opens a chunk and compares its header with the record. With `check_hash`,
    /// [`finish`](Self::finish) compares the hash of the payload.
    pub(crate) fn open(source: &'a Source, record: &'a ChunkRecord, check_hash: bool) -> Result<Self> {
        let mut header = ChunkHeader::new_zeroed();
        let mut content = Content::Raw;
        if record.compressed {
            let owner = Owner::Chunk(record);
            let (mut opened, found) = Frame::open(source, record.offset..record.end(), owner)?;
            owner.expect_content(found, record.payload_size + CHUNK_HEADER_SIZE)?;
            opened.read_exact(header.as_mut_bytes())?;
            content = match record.dtype().filter(|_| record.is_shuffled()) {
                None => Content::Frame(Box::new(opened)),
                Some(dtype) => Content::Shuffled(Box::new(Shuffled {
                    frame: opened,
                    size: dtype.size(),
                    left: record.payload_size,
                    groups: Vec::new(),
                    block: Vec::new(),
                    ready: 0..0,
                })),
            };
        } else {
            source.read_exact_at(header.as_mut_bytes(), record.offset)?;
        }
        check_chunk_header(&header, record)?;
        let passed = Passed { bytes: 0, hasher: check_hash.then(Hasher::default) };
        Ok(Self { source, record, content, passed })
    }

    fn left(&self) -> u64 {
        self.record.payload_size - self.passed.bytes
    }

    /// Returns the number of bytes to request at a time.
    fn block_size(&self) -> usize {
        match self.content {
            Content::Raw | Content::Frame(_) => BLOCK,
            Content::Shuffled(_) => SHUFFLE_BLOCK,
        }
    }

    /// Fills `output` with the next bytes; the caller ensures that enough are left.
    pub(crate) fn read_exact(&mut self, output: &mut [u8]) -> Result<()> {
        for block in output.chunks_mut(self.block_size()) {
            match &mut self.content {
                Content::Raw => {
                    self.source.read_exact_at(block, self.record.payload_offset() + self.passed.bytes)?;
                }
                Content::Frame(frame) => frame.read_exact(block)?,
                Content::Shuffled(shuffled) => shuffled.read_exact(block)?,
            }
            self.passed.add(block);
        }
        Ok(())
    }

    /// Skips the next `count` bytes. They are still decoded and hashed where needed.
    pub(crate) fn skip(&mut self, count: u64) -> Result<()> {
        if matches!(self.content, Content::Raw) && self.passed.hasher.is_none() {
            self.passed.bytes += count;
            return Ok(());
        }
        self.blocks(count, |_| Ok(()))
    }

    /// Passes the next `count` bytes to `take`, block by block, borrowed from the file or from the
    /// decoder's memory.
    pub(crate) fn blocks(&mut self, mut count: u64, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut scratch = Vec::new();
        while count > 0 {
            let size = usize::try_from(count).unwrap_or(usize::MAX).min(self.block_size());
            let start = self.record.payload_offset() + self.passed.bytes;
            let block = match &mut self.content {
                Content::Raw => self.source.borrow(start..start + size as u64)?,
                Content::Frame(frame) => Some(frame.next_bytes(size)?),
                Content::Shuffled(_) => None,
            };
            if let Some(block) = block {
                count -= block.len() as u64;
                self.passed.add(block);
                take(block)?;
                continue;
            }
            scratch.resize(size, 0);
            self.read_exact(&mut scratch)?;
            count -= size as u64;
            take(&scratch)?;
        }
        Ok(())
    }

    /// Finishes the chunk. With `check_hash`, reads the rest of the chunk and compares the hash. A
    /// frame that was read in full must end there.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.passed.hasher.is_some() {
            self.skip(self.left())?;
        }
        if self.left() == 0 {
            match &mut self.content {
                Content::Raw => {}
                Content::Frame(frame) => frame.finish()?,
                Content::Shuffled(shuffled) => shuffled.frame.finish()?,
            }
        }
        self.passed.hasher.map_or(Ok(()), |hasher| self.record.check_digest(hasher.finish()))
    }
}

/// Returns the whole payload of a chunk in memory, if the limits allow it.
pub(crate) fn read_payload(
    source: &Source,
    record: &ChunkRecord,
    limits: &Limits,
    check_hash: bool,
    watch: Watch<'_>,
) -> Result<Vec<u8>> {
    let (name, limit) = match record.kind {
        ChunkType::IMAGE => ("image_bytes", limits.image_bytes),
        ChunkType::ENVIRONMENT => ("environment_bytes", limits.environment_bytes),
        _ => ("latent_bytes", limits.latent_bytes),
    };
    if record.payload_size > limit {
        return Err(Error::limit(record.place(), name, "bytes", limit, record.payload_size));
    }
    let mut payload = allocate(record.payload_size, &record.place().to_string())?;
    read_payload_into(source, record, check_hash, watch, &mut payload)?;
    Ok(payload)
}

/// Reads the whole payload of a chunk into `payload`, which has the same length.
pub(crate) fn read_payload_into(
    source: &Source,
    record: &ChunkRecord,
    check_hash: bool,
    watch: Watch<'_>,
    payload: &mut [u8],
) -> Result<()> {
    if !record.compressed || record.is_shuffled() {
        let mut reader = PayloadReader::open(source, record, check_hash)?;
        for block in payload.chunks_mut(WATCHED_BLOCK) {
            reader.read_exact(block)?;
            watch.add(block.len())?;
        }
        return reader.finish();
    }
    let mut hasher = check_hash.then(Hasher::default);
    let hash = |block: &[u8]| {
        if let Some(hasher) = &mut hasher {
            hasher.update(block);
        }
        watch.add(block.len())
    };
    let owner = Owner::Chunk(record);
    let frame = WholeFrame::open(source, record.offset..record.end(), owner)?;
    owner.expect_content(frame.content_size(), record.payload_size + CHUNK_HEADER_SIZE)?;
    frame.read(payload, |header| check_chunk_header(header, record), hash)?;
    hasher.map_or(Ok(()), |hasher| record.check_digest(hasher.finish()))
}

/// Applies `view` to the payload of a raw chunk in place and returns its result, or `None` if the
/// payload cannot be borrowed.
///
/// With `check_hash`, the hash of the same bytes is compared after `view`, which may reject them
/// first.
pub(crate) fn borrow_payload<'a, V>(
    source: &'a Source,
    record: &ChunkRecord,
    check_hash: bool,
    watch: Watch<'_>,
    view: impl FnOnce(&'a [u8]) -> Result<V>,
) -> Result<Option<V>> {
    if record.compressed {
        return Ok(None);
    }
    let Some(chunk) = source.borrow(record.offset..record.end())? else { return Ok(None) };
    let Ok((header, payload)) = ChunkHeader::read_from_prefix(chunk) else {
        return Err(Error::Changed { expected: record.end(), found: record.offset + chunk.len() as u64 });
    };
    check_chunk_header(&header, record)?;
    let seen = view(payload)?;
    if check_hash {
        let mut hasher = Hasher::default();
        for block in payload.chunks(WATCHED_BLOCK) {
            hasher.update(block);
            watch.cancelled.check()?;
        }
        record.check_digest(hasher.finish())?;
    }
    Ok(Some(seen))
}
