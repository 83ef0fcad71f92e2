//! Limits on the resources that reading may use.

/// Limits on the resources that a file can make the reader use. They are checked before memory is
/// allocated.
///
/// The limits on decompressed sizes are absolute, not ratios, because a valid latent of zeros can
/// compress 30,000 to 1. The defaults accept every file that this crate writes; only reading a
/// compressed latent of over 64 GiB in one call needs a higher `latent_bytes`.
///
/// Lower the limits if files are untrusted and memory is short. A reader and its metadata take at
/// most eight times the memory of the table's text, plus 16 MiB for tags.
///
/// ```
/// let limits = gen5::Limits::default().latent_bytes(1 << 30).image_bytes(64 << 20);
/// # assert_eq!(limits.latent_bytes, 1 << 30);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the chunk table, both stored and decompressed. The default is 128 MiB, enough for
    /// 262,144 records. The parsed table takes up to eight times this size.
    pub table_bytes: u64,
    /// Records in the chunk table. The default is 262,144.
    pub chunks: u64,
    /// Tags in the metadata, each of which is an allocation. The limit is checked when
    /// [`Reader::metadata`](crate::Reader::metadata) reads the metadata. The default is 262,144.
    pub tags: u64,
    /// Axes of a latent. The default is 64, which is also numpy's limit.
    pub rank: u64,
    /// Bytes of one compressed chunk after decompression. The default is 2^32, the most that the
    /// format can express.
    pub chunk_bytes: u64,
    /// Bytes that one call allocates to return a latent, rows of one, several latents together, or
    /// a chunk of unknown type. The default is 2^36 (64 GiB).
    pub latent_bytes: u64,
    /// Bytes of the image, checked when it is read. The default is 1 GiB.
    pub image_bytes: u64,
    /// Bytes of the environment's JSON, checked when it is read. The default is 16 MiB.
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

impl Limits {
    /// Sets [`table_bytes`](Self#structfield.table_bytes), the most bytes of the chunk table, stored and decompressed.
    pub fn table_bytes(mut self, table_bytes: u64) -> Self {
        self.table_bytes = table_bytes;
        self
    }

    /// Sets [`chunks`](Self#structfield.chunks), the most records in the chunk table.
    pub fn chunks(mut self, chunks: u64) -> Self {
        self.chunks = chunks;
        self
    }

    /// Sets [`tags`](Self#structfield.tags), the most tags in the metadata.
    pub fn tags(mut self, tags: u64) -> Self {
        self.tags = tags;
        self
    }

    /// Sets [`rank`](Self#structfield.rank), the most axes of a latent.
    pub fn rank(mut self, rank: u64) -> Self {
        self.rank = rank;
        self
    }

    /// Sets [`chunk_bytes`](Self#structfield.chunk_bytes), the most bytes of one compressed chunk after decompression.
    pub fn chunk_bytes(mut self, chunk_bytes: u64) -> Self {
        self.chunk_bytes = chunk_bytes;
        self
    }

    /// Sets [`latent_bytes`](Self#structfield.latent_bytes), the most bytes that one call allocates for latents.
    pub fn latent_bytes(mut self, latent_bytes: u64) -> Self {
        self.latent_bytes = latent_bytes;
        self
    }

    /// Sets [`image_bytes`](Self#structfield.image_bytes), the most bytes of the image.
    pub fn image_bytes(mut self, image_bytes: u64) -> Self {
        self.image_bytes = image_bytes;
        self
    }

    /// Sets [`environment_bytes`](Self#structfield.environment_bytes), the most bytes of the environment's JSON.
    pub fn environment_bytes(mut self, environment_bytes: u64) -> Self {
        self.environment_bytes = environment_bytes;
        self
    }
}
