//! Limits on the memory that pictures take, whatever a file claims. All are in bytes.

/// Memory for an image that is decoded: the encoded bytes, the decoder, the pixels, and the copy
/// that rotation needs. Decoding an image that would take more is an error. A program that decodes
/// several at the same time can share this amount between them, as
/// [`image_memory`](crate::image_memory) says how much one takes.
pub const IMAGE_MEMORY: u64 = 1 << 30;

/// Memory for the pictures of a latent, by default.
pub const LATENT_MEMORY: u64 = 256 << 20;

/// Memory for the pictures of all latents of a file that are viewed together.
pub const VIEW_MEMORY: u64 = 512 << 20;
