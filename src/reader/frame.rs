//! Frames of a file: piece by piece, or whole, each block decoded right where it belongs.

use std::ops::Range;

use zerocopy::{FromZeros, IntoBytes};

use super::memory::allocate;
use crate::codec::{BlockDecoder, FrameDecoder, MAX_BLOCK, MAX_FRAME_HEADER, Step, Undecoded};
use crate::error::{Error, FrameProblem, Place, Result};
use crate::manifest::ChunkRecord;
use crate::source::Source;
use crate::wire::{CHUNK_HEADER_SIZE, ChunkHeader};

/// The most that is read ahead of a frame where it cannot be borrowed.
const INPUT_BLOCK: usize = 256 << 10;

/// Whose bytes are read. Only an error makes a [`Place`] of it.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    Table { offset: u64 },
    Chunk(&'a ChunkRecord),
}

impl Owner<'_> {
    pub(super) fn place(self) -> Place {
        match self {
            Self::Table { offset } => Place::Table { offset },
            Self::Chunk(record) => record.place(),
        }
    }

    pub(super) fn fail(self, problem: impl Into<Undecoded>) -> Error {
        match problem.into() {
            Undecoded::Problem(problem) => Error::Frame { place: self.place(), problem },
            Undecoded::Memory { bytes } => {
                Error::Memory { what: format!("decompressing {}", self.place()), bytes }
            }
        }
    }

    /// Refuses a frame that does not hold as many bytes as it has to.
    pub(super) fn expect_content(self, found: u64, expected: u64) -> Result<()> {
        match found == expected {
            true => Ok(()),
            false => Err(self.fail(FrameProblem::ContentSize { expected, found })),
        }
    }
}

/// The bytes of a frame as they are stored, from the first on.
struct Stored<'a> {
    source: &'a Source,
    owner: Owner<'a>,
    /// Where the bytes are that were not taken yet.
    rest: Range<u64>,
    /// What was read of them already, if the source cannot be borrowed from.
    buffer: Vec<u8>,
    buffered: Range<usize>,
}

impl<'a> Stored<'a> {
    fn new(source: &'a Source, rest: Range<u64>, owner: Owner<'a>) -> Self {
        Self { source, owner, rest, buffer: Vec::new(), buffered: 0..0 }
    }

    /// The next bytes: `count` of them or more, fewer only where there are no more.
    fn peek(&mut self, count: usize) -> Result<&[u8]> {
        if let Some(bytes) = self.source.borrow(self.rest.clone())? {
            return Ok(bytes);
        }
        let left = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
        let there = self.buffered.len();
        if there < count.min(left) {
            let size = left.min(count.max(INPUT_BLOCK));
            self.buffer.copy_within(self.buffered.clone(), 0);
            self.buffer.resize(size, 0);
            let missing = self.buffer.get_mut(there..).unwrap_or_default();
            self.source.read_exact_at(missing, self.rest.start + there as u64)?;
            self.buffered = 0..size;
        }
        Ok(self.buffer.get(self.buffered.clone()).unwrap_or_default())
    }

    /// Passes over the next `count` bytes, which were there.
    fn take(&mut self, count: usize) {
        self.rest.start += count as u64;
        self.buffered.start = self.buffered.end.min(self.buffered.start + count);
    }

    /// Checks that nothing is left.
    fn finish(&self) -> Result<()> {
        match self.rest.end - self.rest.start {
            0 => Ok(()),
            count => Err(self.owner.fail(FrameProblem::Trailing { count })),
        }
    }
}

/// A frame that is decoded piece by piece.
pub(super) struct Frame<'a> {
    stored: Stored<'a>,
    decoder: FrameDecoder,
    done: bool,
}

impl<'a> Frame<'a> {
    /// Opens the frame in `stored`; returns the size of its content, too.
    pub(super) fn open(source: &'a Source, stored: Range<u64>, owner: Owner<'a>) -> Result<(Self, u64)> {
        let mut stored = Stored::new(source, stored, owner);
        let prefix = stored.peek(MAX_FRAME_HEADER)?;
        let (decoder, content) = FrameDecoder::new(prefix).map_err(|problem| owner.fail(problem))?;
        Ok((Self { stored, decoder, done: false }, content))
    }

    pub(super) fn owner(&self) -> Owner<'a> {
        self.stored.owner
    }

    /// Decodes once into `output`, reading what is needed for that. Returns the bytes produced; 0 only if the frame is
    /// done, or `output` is full or empty.
    fn step(&mut self, output: &mut [u8]) -> Result<usize> {
        loop {
            let owner = self.owner();
            let input = self.stored.peek(1)?;
            let is_at_end = input.is_empty();
            let step = self.decoder.step(input, output).map_err(|problem| owner.fail(problem))?;
            let Step { consumed, produced, done } = step;
            self.stored.take(consumed);
            self.done = done;
            if produced > 0 || done || output.is_empty() && consumed == 0 {
                return Ok(produced);
            }
            if is_at_end {
                return Err(owner.fail(FrameProblem::Truncated));
            }
        }
    }

    /// Fills `output`, which is no longer than what is left of the content.
    pub(super) fn read_exact(&mut self, mut output: &mut [u8]) -> Result<()> {
        while !output.is_empty() {
            if self.done {
                return Err(self.owner().fail(FrameProblem::Truncated));
            }
            let produced = self.step(output)?;
            output = output.split_at_mut(produced).1;
        }
        Ok(())
    }

    /// Checks that the content ends here with the right checksum, and that nothing stands behind the frame.
    pub(super) fn finish(&mut self) -> Result<()> {
        if !self.done {
            self.step(&mut [])?;
        }
        if !self.done {
            return Err(self.owner().fail(FrameProblem::Truncated));
        }
        self.stored.finish()
    }
}

/// Decodes the whole frame of a chunk: its header, which is given to `check_header`, and its payload into `payload`,
/// which is as long. Blocks of the payload are given to `each`, in their order, when they are there.
pub(super) fn read_whole(
    source: &Source,
    record: &ChunkRecord,
    payload: &mut [u8],
    check_header: impl FnOnce(&ChunkHeader) -> Result<()>,
    mut each: impl FnMut(&[u8]),
) -> Result<()> {
    let owner = Owner::Chunk(record);
    // The block that the header is in starts elsewhere; those behind it are decoded in place.
    let first_size = (CHUNK_HEADER_SIZE + payload.len() as u64).min(CHUNK_HEADER_SIZE + MAX_BLOCK as u64);
    let mut first = allocate(first_size, "a block of a frame")?;
    let mut blocks =
        Blocks::open(Stored::new(source, record.offset..record.end(), owner), payload.len() as u64)?;

    let mut header = ChunkHeader::new_zeroed();
    let (mut missing, mut room, mut values) = (header.as_mut_bytes(), first.as_mut_slice(), [].as_slice());
    while !missing.is_empty() {
        let decoded;
        (decoded, room) = blocks.next(room)?;
        let (bytes, behind) = decoded.split_at(decoded.len().min(missing.len()));
        let (now, later) = missing.split_at_mut(bytes.len());
        now.copy_from_slice(bytes);
        (missing, values) = (later, behind);
    }
    check_header(&header)?;

    let (start, mut room) = payload.split_at_mut(values.len().min(payload.len()));
    start.copy_from_slice(values);
    each(start);
    while !blocks.are_done() {
        let decoded;
        (decoded, room) = blocks.next(room)?;
        each(decoded);
    }
    match room.is_empty() {
        true => blocks.stored.finish(),
        false => Err(owner.fail(FrameProblem::Truncated)),
    }
}

/// A frame that is decoded into memory which stays as it is until all is decoded.
struct Blocks<'a, 'o> {
    stored: Stored<'a>,
    decoder: BlockDecoder<'o>,
}

impl<'a, 'o> Blocks<'a, 'o> {
    /// Opens the frame of a chunk whose payload has this size.
    fn open(mut stored: Stored<'a>, payload_size: u64) -> Result<Self> {
        let owner = stored.owner;
        let prefix = stored.peek(MAX_FRAME_HEADER)?;
        let (decoder, content) = BlockDecoder::new(prefix).map_err(|problem| owner.fail(problem))?;
        owner.expect_content(content, payload_size + CHUNK_HEADER_SIZE)?;
        Ok(Self { stored, decoder })
    }

    fn are_done(&self) -> bool {
        self.decoder.wanted() == 0
    }

    /// Decodes a step into `room`: what came of it, which may be nothing, and the room that is left.
    fn next(&mut self, room: &'o mut [u8]) -> Result<(&'o [u8], &'o mut [u8])> {
        let owner = self.stored.owner;
        let wanted = match self.decoder.wanted() {
            0 => return Err(owner.fail(FrameProblem::Truncated)),
            wanted => wanted,
        };
        let input = self.stored.peek(wanted)?;
        let input = input.get(..wanted).ok_or_else(|| owner.fail(FrameProblem::Truncated))?;
        let decoded = self.decoder.decode(input, room).map_err(|problem| owner.fail(problem))?;
        self.stored.take(wanted);
        Ok(decoded)
    }
}
