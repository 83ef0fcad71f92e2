//! Options for writing a file.

use std::fmt;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::Arc;

use gen5_publish::{Original, Replace, Target};

use super::Writer;
use super::buffers::Pool;
use super::sink::SeekSink;
use crate::cancelled::Cancelled;
use crate::codec::is_valid_level;
use crate::element::Dtype;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::wire::Version;

/// How latents are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Compresses a latent if that saves enough space. A few blocks spread over its values are
    /// compressed as a trial, and the latent is compressed if they shrink to 85% or less.
    ///
    /// Noise in float32 and float16 stays raw; in bfloat16 it shrinks to 78%. The summary reports
    /// the choice.
    #[default]
    Auto,
    /// Stores latents raw, so that a mapped file can return them as slices.
    Raw,
    /// Compresses with zstd, at level 3 unless another is set.
    Zstd,
    /// Compresses with zstd after a byte shuffle, at level -100 unless another is set.
    ///
    /// Latents that are mostly noise become smaller than with zstd alone (float16 85% instead of
    /// 92%, bfloat16 67% instead of 78%, float32 84% instead of 92%), are written a third to a half
    /// faster, and are read almost twice as fast. **Such files have version 1.1, which the Python
    /// package `gen5` does not read.**
    Shuffled,
}

impl Compression {
    /// Returns how latents are stored, or `None` if their values decide.
    pub(super) fn storage(self) -> Option<Storage> {
        match self {
            Self::Auto => None,
            Self::Raw => Some(Storage::Raw),
            Self::Zstd => Some(Storage::Zstd),
            Self::Shuffled => Some(Storage::Shuffled),
        }
    }
}

/// How one latent is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    Raw,
    Zstd,
    Shuffled,
}

/// The default zstd level.
const DEFAULT_LEVEL: i32 = 3;

/// The default zstd level after a byte shuffle. Matches in shuffled bytes are accidental, and cost
/// more than they save: float32 noise shrinks to 83.5% at this level and to 84.1% at level 1, in
/// less than half the time.
const SHUFFLED_LEVEL: i32 = -100;

/// How NaN and infinite values are handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NonFinite {
    /// Rejects them, like the reference implementation.
    #[default]
    Refuse,
    /// Keeps them. A conversion to float16 that would turn a finite value into infinity is still an
    /// error.
    Keep,
}

/// The default size of parts.
pub(super) const DEFAULT_PART_SIZE: u64 = 64 << 20;

/// Options for writing a file.
///
/// Compressed chunks are built in memory that the options keep: two parts for each thread, and one
/// for each stream that was open at the same time. A program that writes file after file from
/// clones of the same options reuses this memory. It is freed with the last clone and the last
/// writer.
///
/// ```no_run
/// use gen5::{Compression, Dtype, WriteOptions};
///
/// let options = WriteOptions::new().compression(Compression::Zstd).level(1).dtype(Dtype::F16);
/// let writer = options.create("batch.gen5")?;
/// # Ok::<(), gen5::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct WriteOptions {
    pub(super) compression: Compression,
    level: Option<i32>,
    pub(super) dtype: Option<Dtype>,
    pub(super) non_finite: NonFinite,
    pub(super) alignment: u64,
    pub(super) part_size: Option<u64>,
    pub(super) max_version: Version,
    pub(super) sync: bool,
    pub(super) progress: Progress,
    pub(super) cancelled: Cancelled,
    /// The only file that may be replaced, if set.
    pub(crate) original: Option<Arc<Original>>,
    /// Shared by all writers that come from clones of these options.
    pub(super) buffers: Arc<Pool>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            compression: Compression::Auto,
            level: None,
            dtype: None,
            non_finite: NonFinite::Refuse,
            alignment: 64,
            part_size: Some(DEFAULT_PART_SIZE),
            max_version: Version::LATEST,
            sync: true,
            progress: Progress::default(),
            cancelled: Cancelled::default(),
            original: None,
            buffers: Arc::default(),
        }
    }
}

impl WriteOptions {
    /// Returns the default options; each method documents its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether latents are compressed. The default is [`Compression::Auto`].
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the zstd level, from -131072 (fastest) to 22 (smallest for most data). The default is
    /// 3, or -100 for [`Compression::Shuffled`].
    ///
    /// Negative levels search for fewer matches and are faster, but keep entropy coding, which
    /// gives most of the gain on latents (zstd's own negative levels turn it off). Up to level 3
    /// the window is 512 KiB. It stays in cache, which is faster for values that are mostly noise,
    /// but repetitions farther apart are not found. Higher levels use zstd's own window sizes.
    pub fn level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// Returns the level for a latent with this storage, or for other chunks.
    pub(super) fn level_for(&self, storage: Storage) -> i32 {
        self.level.unwrap_or(match storage {
            Storage::Raw | Storage::Zstd => DEFAULT_LEVEL,
            Storage::Shuffled => SHUFFLED_LEVEL,
        })
    }

    /// Sets the dtype in which values are stored. By default, they keep the dtype in which they are
    /// given. [`Entry::dtype`](crate::Entry::dtype) overrides this for one latent, and describes
    /// the conversion.
    pub fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = Some(dtype);
        self
    }

    /// Sets how NaN and infinite values are handled. The default is [`NonFinite::Refuse`].
    pub fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.non_finite = non_finite;
        self
    }

    /// Sets the alignment of the values of raw latents: a power of two from 4 to 2^21 bytes. The
    /// default is 64.
    pub fn alignment(mut self, alignment: u64) -> Self {
        self.alignment = alignment;
        self
    }

    /// Sets the size in bytes above which a compressed latent is cut into parts of about this size.
    /// Parts are compressed and decompressed in parallel. `None` never cuts. The default is 64 MiB.
    pub fn part_size(mut self, bytes: Option<u64>) -> Self {
        self.part_size = bytes;
        self
    }

    /// Sets the highest version that the file may have. The default is
    /// [`Version::LATEST`]. A file
    /// always has the lowest version that can express it.
    ///
    /// The Python package `gen5` reads [`Version::V1_0`]. With it, anything that needs version 1.1
    /// is an error as soon as it is known: bfloat16, byte shuffle, chunks of unknown types, and
    /// files of 4 GiB or more.
    pub fn max_version(mut self, version: Version) -> Self {
        self.max_version = version;
        self
    }

    /// Sets whether [`Writer::finish`] waits until a file at a path is on the disk, not only in the
    /// system's cache. The default is yes.
    ///
    /// Without it, the folder is also not searched for temporary files that a killed process has
    /// left for this path, which would be slow for very many files in one folder.
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// Sets a function that is called at intervals, from several threads, with the number of bytes
    /// of values written since its last call. These can include values of a call that fails in the
    /// end.
    pub fn progress(mut self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Progress::to(progress);
        self
    }

    /// Sets a function that is polled, from several threads, before each write and between blocks
    /// that are compressed. Once it returns true, the current call returns [`Error::Cancelled`],
    /// and the file can no longer be finished or published.
    pub fn cancel_when(mut self, cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.cancelled = Cancelled::when(cancelled);
        self
    }

    /// Starts a file at `path`.
    ///
    /// It is written under a temporary name in the same folder. When it is finished, it replaces
    /// any file that is at the path by then, unless [`replacing`](Self::replacing) restricts this
    /// to one file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder is not writable, or if something other than a file is at the
    /// path; [`Error::Argument`] for options out of range.
    pub fn create(self, path: impl AsRef<Path>) -> Result<Writer<'static>> {
        let replace = self.original.clone().map_or(Replace::Anything, Replace::Only);
        self.start(Target::Path { path: path.as_ref(), replace })
    }

    /// Starts a file at `path` like [`create`](Self::create), but requires that the path is free,
    /// both now and when the file is finished.
    ///
    /// # Errors
    ///
    /// The same errors as [`create`](Self::create), and [`Error::Io`] if something is at the path.
    pub fn create_new(self, path: impl AsRef<Path>) -> Result<Writer<'static>> {
        self.start(Target::Path { path: path.as_ref(), replace: Replace::Nothing })
    }

    /// Writes to a file that is already open, such as an unnamed temporary file. Its previous
    /// contents are discarded.
    ///
    /// The file is written from its start, at offsets, from several threads; nothing else may write
    /// to it meanwhile. After an error its contents are unspecified. [`sync`](Self::sync) has no
    /// effect. It must not be the file of a reader that is still in use, since its contents are
    /// discarded at once.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it is not a regular file, is not writable, or is open for appending;
    /// [`Error::Argument`] for options out of range.
    pub fn to_file(self, file: File) -> Result<Writer<'static>> {
        self.start(Target::Open(file))
    }

    fn start(self, target: Target<'_>) -> Result<Writer<'static>> {
        let options = self.check()?;
        let (file, draft) = target.open(options.sync).map_err(Error::of_publishing)?;
        Writer::start(options, Box::new(file), draft)
    }

    /// Writes to any writer that can seek, from its current position. Pass `&mut` to keep the
    /// writer.
    ///
    /// Nothing may follow that position, since a GEN5 file must end with its table. `out` is called
    /// from one thread at a time, and only from threads that call the writer or its streams.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] from `out`; [`Error::Argument`] for options out of range.
    pub fn to_writer<'w>(self, out: impl Write + Seek + Send + 'w) -> Result<Writer<'w>> {
        let options = self.check()?;
        let sink = SeekSink::new(out).map_err(Error::io("find the position to write at"))?;
        Writer::start(options, Box::new(sink), None)
    }

    fn check(self) -> Result<Self> {
        if let Some(level) = self.level.filter(|&level| !is_valid_level(level)) {
            return Err(Error::argument("compression level", "from -131072 to 22", level.to_string()));
        }
        if !self.alignment.is_power_of_two() || !(4..=MAX_ALIGNMENT).contains(&self.alignment) {
            let found = self.alignment.to_string();
            return Err(Error::argument("alignment", "a power of two from 4 to 2^21", found));
        }
        if ![Version::V1_0, Version::V1_1].contains(&self.max_version) {
            return Err(Error::argument("max_version", "1.0 or 1.1", self.max_version.to_string()));
        }
        if self.part_size == Some(0) {
            return Err(Error::argument("part size", "at least 1", "0"));
        }
        Ok(self)
    }
}

/// The size of a huge page. A larger alignment would only waste space, and the gap is written from
/// memory.
const MAX_ALIGNMENT: u64 = 1 << 21;

impl fmt::Debug for WriteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteOptions")
            .field("compression", &self.compression)
            .field("level", &self.level)
            .field("dtype", &self.dtype)
            .field("non_finite", &self.non_finite)
            .field("alignment", &self.alignment)
            .field("part_size", &self.part_size)
            .field("max_version", &self.max_version)
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}
