//! Bytes in, bytes out: SHA-256 and zstd frames, with their bounds. Nothing here knows of files or records.

mod digest;
mod frame;

pub use digest::Digest;
pub(crate) use digest::Hasher;
pub(crate) use frame::{FrameDecoder, MAX_FRAME_HEADER, Step, compress, is_valid_level};
