//! Bytes in, bytes out: SHA-256, zstd frames with their bounds, byte shuffle. Nothing here knows of files or records.

mod blocks;
mod digest;
mod frame;
mod shuffle;

pub(crate) use blocks::{BlockDecoder, MAX_BLOCK};
pub(crate) use digest::Hasher;
pub use digest::{Digest, ParseDigestError};
pub(crate) use frame::{
    FrameDecoder, FrameEncoder, MAX_FRAME_HEADER, Step, Undecoded, compressed_size, frame_bound,
    is_valid_level,
};
pub(crate) use shuffle::{SHUFFLE_BLOCK, shuffle, unshuffle};
