//! zstd frames (RFC 8878): one for each compressed chunk. A frame must record its content size,
//! need no dictionary, have a window of at most 2^27 bytes, and be the only data. Frames written
//! here have a checksum.
//!
//! One decoder reads all frames, block by block. [`BlockDecoder`] receives the memory for each
//! block and the bytes before it, so whole chunks are decoded in place. [`FrameDecoder`] passes it
//! a ring, for content that is read in pieces. Both see the same bytes before a block, so they
//! return the same content or the same error.

mod blocks;
mod encode;
mod failure;
mod head;
mod kept;
mod library;
mod stream;
#[cfg(test)]
mod testing;

pub(crate) use blocks::BlockDecoder;
pub(crate) use encode::{FrameEncoder, compressed_size, frame_bound, is_valid_level};
pub(crate) use failure::Undecoded;
pub(crate) use head::{MAX_BLOCK, MAX_FRAME_HEADER};
pub(crate) use stream::FrameDecoder;
