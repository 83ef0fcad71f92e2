//! The record of one chunk, as the reader checks it and the writer completes it.

use std::ops::Range;

use super::extra::Extra;
use crate::codec::Digest;
use crate::element::Dtype;
use crate::error::{Error, Place, Result};
use crate::excerpt::shorten;
use crate::wire::{CHUNK_HEADER_SIZE, ChunkHeader, ChunkType, size_in_header};

/// A chunk, as its record in the table describes it. The record is consistent and lies inside the
/// file.
#[derive(Clone, Debug)]
pub struct ChunkRecord {
    pub(crate) index: usize,
    pub(crate) kind: ChunkType,
    pub(crate) flags: [u8; 4],
    pub(crate) offset: u64,
    pub(crate) stored_size: u64,
    pub(crate) payload_size: u64,
    pub(crate) compressed: bool,
    pub(crate) sha256: Digest,
    pub(crate) latent: Option<LatentRecord>,
    pub(crate) extra: Extra,
    pub(crate) unknown: Extra,
}

/// The other members in the record of a latent's chunk.
#[derive(Clone, Debug)]
pub(crate) struct LatentRecord {
    /// The key, or `None` if it is missing or not a string. Such a latent is available only by
    /// position.
    pub(crate) key: Option<String>,
    pub(crate) dtype: Dtype,
    /// Whether the bytes of its elements are shuffled before compression.
    pub(crate) shuffled: bool,
    pub(crate) shape: Vec<usize>,
    /// Boxed, because few records have one and records are moved around while they are checked.
    pub(crate) part: Option<Box<Part>>,
}

/// The part of a latent in a chunk: slices of the whole along `axis`, starting at `start`. The
/// chunk's own shape has the number of slices.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Part {
    /// The latent's key.
    pub of: String,
    /// Position of the part, from 0.
    pub index: usize,
    /// Number of parts.
    pub count: usize,
    /// The axis along which the latent is cut: the first that is longer than 1.
    pub axis: usize,
    /// Position of the first slice.
    pub start: usize,
    /// Shape of the whole latent.
    pub shape: Vec<usize>,
}

impl ChunkRecord {
    /// Returns the position in the table, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the type of the chunk.
    pub fn kind(&self) -> ChunkType {
        self.kind
    }

    /// Returns the flags of the chunk header. For a latent, they encode the dtype.
    pub fn flags(&self) -> [u8; 4] {
        self.flags
    }

    /// Returns the offset of the chunk in the file, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the size in the file in bytes, including the 12-byte header.
    pub fn stored_size(&self) -> u64 {
        self.stored_size
    }

    /// Returns the size of the decompressed payload in bytes, without the header.
    pub fn payload_size(&self) -> u64 {
        self.payload_size
    }

    /// Returns whether the chunk is stored as a zstd frame.
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Returns whether the bytes of the elements were shuffled before compression
    /// ([`Compression::Shuffled`](crate::Compression::Shuffled)).
    pub fn is_shuffled(&self) -> bool {
        self.latent.as_ref().is_some_and(|latent| latent.shuffled)
    }

    /// Returns the recorded SHA-256 of the decompressed payload.
    pub fn sha256(&self) -> Digest {
        self.sha256
    }

    /// Returns the key of a latent's chunk. A part has its own key; [`Part::of`] is the latent's
    /// key.
    pub fn key(&self) -> Option<&str> {
        self.latent.as_ref().and_then(|latent| latent.key.as_deref())
    }

    /// Returns the type of the elements, if this is a latent's chunk.
    pub fn dtype(&self) -> Option<Dtype> {
        self.latent.as_ref().map(|latent| latent.dtype)
    }

    /// Returns the shape of the values in this chunk, if it is a latent's. For a part, this is the
    /// shape of the part.
    pub fn shape(&self) -> Option<&[usize]> {
        self.latent.as_ref().map(|latent| latent.shape.as_slice())
    }

    /// Returns whether this latent's chunk is raw and its values are aligned to the element size.
    /// If the file is mapped, such values can be borrowed.
    pub fn is_raw_and_aligned(&self) -> bool {
        let aligned = |dtype: Dtype| self.payload_offset().is_multiple_of(dtype.size() as u64);
        !self.compressed && self.dtype().is_some_and(aligned)
    }

    /// Returns the description of the part in this chunk, if the latent is stored in parts.
    pub fn part(&self) -> Option<&Part> {
        self.latent.as_ref().and_then(|latent| latent.part.as_deref())
    }

    /// Returns the members of the record's `extra`, except those that describe a latent.
    pub fn extra(&self) -> &Extra {
        &self.extra
    }

    /// Returns the members of the record itself that the format does not define.
    pub fn unknown(&self) -> &Extra {
        &self.unknown
    }

    /// Returns the place of this chunk for error messages.
    pub(crate) fn place(&self) -> Place {
        Place::Chunk {
            index: self.index,
            offset: Some(self.offset),
            kind: Some(self.kind),
            key: self.key().map(|key| shorten(key).into()),
        }
    }

    /// Returns an error unless its payload has this digest.
    pub(crate) fn check_digest(&self, found: Digest) -> Result<()> {
        if found == self.sha256 {
            return Ok(());
        }
        let expected = self.sha256.to_text();
        Err(Error::Hash { place: self.place(), expected, found: found.to_text() })
    }

    /// Returns the offset of a raw chunk's payload in the file.
    pub(crate) fn payload_offset(&self) -> u64 {
        self.offset + CHUNK_HEADER_SIZE
    }

    /// Returns the offset of the chunk's end.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.stored_size
    }

    /// Returns the key of the latent that the chunk belongs to.
    pub(crate) fn latent_key(&self) -> Option<&str> {
        self.part().map_or(self.key(), |part| Some(&part.of))
    }

    /// Returns whether its dtype or its byte shuffle needs version 1.1.
    pub(crate) fn needs_1_1(&self) -> bool {
        self.latent.as_ref().is_some_and(|latent| latent.dtype.needs_1_1(latent.shuffled))
    }

    /// Returns the record of a chunk to write. Its place and its hash are unknown, and its payload
    /// is raw and empty.
    pub(crate) fn new(kind: ChunkType, flags: [u8; 4]) -> Self {
        Self {
            index: 0,
            kind,
            flags,
            offset: 0,
            stored_size: 0,
            payload_size: 0,
            compressed: false,
            sha256: Digest([0; 32]),
            latent: None,
            extra: Extra::new(),
            unknown: Extra::new(),
        }
    }

    /// Returns the header of the chunk.
    pub(crate) fn header(&self) -> ChunkHeader {
        let size = size_in_header(self.payload_size).into();
        ChunkHeader { kind: self.kind.0, flags: self.flags, size }
    }

    /// Sets the place of the chunk. A frame fills its space in the file; a raw chunk ends with its
    /// space, after a gap that aligns its payload.
    pub(crate) fn set_place(&mut self, space: &Range<u64>) {
        let size = space.end - space.start;
        self.stored_size = if self.compressed { size } else { self.payload_size + CHUNK_HEADER_SIZE };
        self.offset = space.end - self.stored_size;
    }
}
