//! What reading may cost.

/// Bounds on what a file can make the reader do, checked before memory is allocated.
///
/// The bounds on decompressed sizes are absolute, not ratios: a latent of zeros honestly compresses 30,000 to 1.
/// The defaults refuse no file that this crate writes; only to read a compressed latent of over 64 GiB in one call,
/// `latent_bytes` has to be raised. Lower them where files come from strangers and memory is short: a reader and its metadata
/// take at most eight times the memory of the table's text, and 16 MiB for tags.
///
/// Others may be added, so that a value is best made of the defaults:
///
/// ```
/// let limits = gen5::Limits { latent_bytes: 1 << 30, ..gen5::Limits::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the chunk table, both as stored and decompressed. Default 128 MiB, room for 262,144 records. Parsed, it takes up
    /// to eight times as much.
    pub table_bytes: u64,
    /// Records in the chunk table. Default 262,144.
    pub chunks: u64,
    /// Tags in the metadata, checked when [`Reader::metadata`](crate::Reader::metadata) reads it. Each is an allocation. Default
    /// 262,144.
    pub tags: u64,
    /// Axes of a latent. Default 64, which is also numpy's.
    pub rank: u64,
    /// Bytes of one compressed chunk when decompressed. Default 2^32, all that the format can express.
    pub chunk_bytes: u64,
    /// Bytes that one call allocates to return a latent, rows of one, several latents together, or a chunk of unknown type.
    /// Default 2^36 (64 GiB).
    pub latent_bytes: u64,
    /// Bytes of the image, looked at when it is read. Default 1 GiB.
    pub image_bytes: u64,
    /// Bytes of the environment's JSON, looked at when it is read. Default 16 MiB.
    pub environment_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            table_bytes: 128 << 20,
            chunks: 1 << 18,
            tags: 1 << 18,
            rank: 64,
            chunk_bytes: 1 << 32,
            latent_bytes: 1 << 36,
            image_bytes: 1 << 30,
            environment_bytes: 16 << 20,
        }
    }
}
