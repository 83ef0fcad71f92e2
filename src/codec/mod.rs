//! Pure functions on bytes: SHA-256, zstd frames with their bounds, and byte shuffle. This module
//! does not depend on files or records.

mod byte_shuffle;
mod digest;
mod zstd;

pub(crate) use self::zstd::{
    BlockDecoder, FrameDecoder, FrameEncoder, MAX_BLOCK, MAX_FRAME_HEADER, Undecoded, compressed_size,
    frame_bound, is_valid_level,
};
pub(crate) use byte_shuffle::{SHUFFLE_BLOCK, shuffle, unshuffle};
pub(crate) use digest::Hasher;
pub use digest::{Digest, ParseDigestError};
