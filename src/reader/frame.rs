//! Decodes frames of a file, piece by piece or whole. Each block is decoded directly to its
//! destination.

use std::io;
use std::ops::Range;

use zerocopy::{FromZeros, IntoBytes};

use super::memory::allocate;
use crate::codec::{BlockDecoder, FrameDecoder, MAX_BLOCK, MAX_FRAME_HEADER, Undecoded};
use crate::error::{Error, FrameProblem, Place, Result};
use crate::manifest::ChunkRecord;
use crate::source::Source;
use crate::wire::{CHUNK_HEADER_SIZE, ChunkHeader};

/// The most bytes to read ahead of a frame that cannot be borrowed.
const INPUT_BLOCK: usize = 256 << 10;

/// The owner of the bytes that are read. It becomes a [`Place`] only in an error.
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
            Undecoded::Library(problem) => {
                let error = io::Error::new(io::ErrorKind::Unsupported, problem);
                Error::io(format!("decompress {}", self.place()))(error)
            }
        }
    }

    /// Returns an error if a frame's content size is not the expected one.
    pub(super) fn expect_content(self, found: u64, expected: u64) -> Result<()> {
        if found == expected { Ok(()) } else { Err(self.fail(FrameProblem::ContentSize { expected, found })) }
    }
}

/// The stored bytes of a frame, from the first one.
struct Stored<'a> {
    source: &'a Source,
    owner: Owner<'a>,
    /// The range of the bytes that are not consumed yet.
    rest: Range<u64>,
    /// The bytes of `rest` that are already read, if the source cannot be borrowed from.
    buffer: Vec<u8>,
    buffered: Range<usize>,
}

impl<'a> Stored<'a> {
    fn new(source: &'a Source, rest: Range<u64>, owner: Owner<'a>) -> Self {
        Self { source, owner, rest, buffer: Vec::new(), buffered: 0..0 }
    }

    /// Returns at least `count` of the next bytes, or fewer at the end.
    fn peek(&mut self, count: usize) -> Result<&[u8]> {
        if let Some(bytes) = self.source.borrow(self.rest.clone())? {
            return Ok(bytes);
        }
        self.read_ahead(count)?;
        Ok(self.buffer.get(self.buffered.clone()).unwrap_or_default())
    }

    /// Consumes the next `count` bytes. Returns an error if fewer are left, or if the decoder wants
    /// none, since the frame is then truncated.
    fn next(&mut self, count: usize) -> Result<&[u8]> {
        let bytes = match self.source.borrow(self.rest.clone())? {
            Some(bytes) => bytes.get(..count),
            None => {
                self.read_ahead(count)?;
                let taken = self.buffered.start..self.buffered.start + count;
                let is_there = taken.end <= self.buffered.end;
                self.buffered.start = taken.end.min(self.buffered.end);
                self.buffer.get(taken).filter(|_| is_there)
            }
        };
        let bytes = bytes.filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| self.owner.fail(FrameProblem::Truncated))?;
        self.rest.start += count as u64;
        Ok(bytes)
    }

    /// Reads the next bytes into the buffer, if it holds fewer than `count` and more are left.
    fn read_ahead(&mut self, count: usize) -> Result<()> {
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
        Ok(())
    }

    /// Checks that no bytes are left.
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
    /// The range of the decoder's ring that is decoded and not consumed yet.
    ready: Range<usize>,
}

impl<'a> Frame<'a> {
    /// Opens the frame in `stored` and also returns the size of its content.
    pub(super) fn open(source: &'a Source, stored: Range<u64>, owner: Owner<'a>) -> Result<(Self, u64)> {
        let mut stored = Stored::new(source, stored, owner);
        let prefix = stored.peek(MAX_FRAME_HEADER)?;
        let decoder = FrameDecoder::new(prefix).map_err(|problem| owner.fail(problem))?;
        let content = decoder.content_size();
        Ok((Self { stored, decoder, ready: 0..0 }, content))
    }

    pub(super) fn owner(&self) -> Owner<'a> {
        self.stored.owner
    }

    /// Decodes the next piece, which may be empty, after everything ready was consumed.
    fn step(&mut self) -> Result<()> {
        let owner = self.owner();
        let input = self.stored.next(self.decoder.wanted())?;
        self.ready = self.decoder.decode(input).map_err(|problem| owner.fail(problem))?;
        Ok(())
    }

    /// Returns the next bytes of the content, at least one and at most `most`, in the decoder's
    /// memory.
    pub(super) fn next_bytes(&mut self, most: usize) -> Result<&[u8]> {
        while self.ready.is_empty() {
            self.step()?;
        }
        let start = self.ready.start;
        self.ready.start = self.ready.end.min(start.saturating_add(most));
        Ok(self.decoder.ring().get(start..self.ready.start).unwrap_or_default())
    }

    /// Fills `output`, which must not be longer than the rest of the content.
    pub(super) fn read_exact(&mut self, mut output: &mut [u8]) -> Result<()> {
        while !output.is_empty() {
            let bytes = self.next_bytes(output.len())?;
            let (now, later) = output.split_at_mut(bytes.len());
            now.copy_from_slice(bytes);
            output = later;
        }
        Ok(())
    }

    /// Checks that the content ends here with the right checksum, and that nothing follows the
    /// frame.
    pub(super) fn finish(&mut self) -> Result<()> {
        while self.decoder.wanted() > 0 {
            self.step()?;
        }
        self.stored.finish()
    }
}

/// A frame that is decoded in one piece, into the caller's memory.
pub(super) struct WholeFrame<'a> {
    stored: Stored<'a>,
    decoder: BlockDecoder,
}

impl<'a> WholeFrame<'a> {
    /// Opens the frame in `stored`.
    pub(super) fn open(source: &'a Source, stored: Range<u64>, owner: Owner<'a>) -> Result<Self> {
        let mut stored = Stored::new(source, stored, owner);
        let prefix = stored.peek(MAX_FRAME_HEADER)?;
        let decoder = BlockDecoder::new(prefix).map_err(|problem| owner.fail(problem))?;
        Ok(Self { stored, decoder })
    }

    /// Returns the size of the content in bytes: a chunk's header and its payload.
    pub(super) fn content_size(&self) -> u64 {
        self.decoder.content_size()
    }

    /// Decodes the chunk's header and its payload. The header is passed to `check_header`; the
    /// payload fills `payload`, which has the same length. Each block of the payload is passed to
    /// `each`, in order, when it is decoded.
    pub(super) fn read(
        mut self,
        payload: &mut [u8],
        check_header: impl FnOnce(&ChunkHeader) -> Result<()>,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        // The first block holds the header and the start of the payload, so it needs memory of its
        // own. All others are decoded in place.
        let first_size = self.content_size().min(CHUNK_HEADER_SIZE + MAX_BLOCK as u64);
        let mut first = allocate(first_size, "a block of a frame")?;
        let mut header = ChunkHeader::new_zeroed();
        let mut filled = 0;
        while filled < header.as_bytes().len() {
            filled += self.decode(&[], &mut first, filled)?;
        }
        let (head, values) = first.split_at(filled).0.split_at(header.as_bytes().len());
        header.as_mut_bytes().copy_from_slice(head);
        check_header(&header)?;

        let (start, _) = payload.split_at_mut(values.len().min(payload.len()));
        start.copy_from_slice(values.split_at(start.len()).0);
        each(start)?;
        let mut at = start.len();
        while self.decoder.wanted() > 0 {
            let decoded = self.decode(head, payload, at)?;
            each(payload.get(at..at + decoded).unwrap_or_default())?;
            at += decoded;
        }
        if at < payload.len() {
            return Err(self.stored.owner.fail(FrameProblem::Truncated));
        }
        self.stored.finish()
    }

    /// Decodes one step to `memory` at `at`, and returns the number of decoded bytes, which may be
    /// 0. `older`, and `memory` before `at`, hold the bytes decoded before.
    fn decode(&mut self, older: &[u8], memory: &mut [u8], at: usize) -> Result<usize> {
        let owner = self.stored.owner;
        let input = self.stored.next(self.decoder.wanted())?;
        self.decoder.decode(input, older, memory, at).map_err(|problem| owner.fail(problem))
    }
}
