//! How to write a file.

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
use crate::error::{Error, Result};

/// Whether latents are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// What suits the values: a few blocks spread over them are tried, and a latent that shrinks to 85% or less is
    /// compressed. Noise in float32 and float16 stays raw, in bfloat16 it shrinks to 78%; the summary tells what was chosen.
    #[default]
    Auto,
    /// Raw: a mapped file gives them as slices.
    None,
    /// zstd, at level 3 unless another is set.
    Zstd,
    /// zstd behind a byte shuffle, at level -100 unless another is set: latents that are mostly noise become smaller than with
    /// zstd alone (float16 85% instead of 92%, bfloat16 67 instead of 78, float32 84 instead of 92), are written a third to a half
    /// faster, and read almost twice as fast. **Files with it are of version 1.1, which the Python package
    /// `gen5` does not read.**
    Shuffled,
}

impl Compression {
    /// How latents are stored; `None` if their values decide.
    pub(super) fn storage(self) -> Option<Storage> {
        match self {
            Self::Auto => None,
            Self::None => Some(Storage::Raw),
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

/// The level of zstd unless another is set.
const DEFAULT_LEVEL: i32 = 3;

/// The same behind a byte shuffle. What repeats there does so by chance, and costs more than it saves: float32 noise comes to
/// 83.5% at this level and to 84.1% at level 1, in less than half the time.
const SHUFFLED_LEVEL: i32 = -100;

/// What becomes of values that are NaN or infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NonFinite {
    /// They are refused, as by the reference.
    #[default]
    Refuse,
    /// They are kept. A conversion to float16 that makes an infinity of a finite value is refused all the same.
    Keep,
}

/// The size of parts, unless another is asked for.
pub(super) const DEFAULT_PART_SIZE: u64 = 64 << 20;

/// Called with a number of bytes that have been taken care of.
type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// How to write a file.
///
/// Compressed chunks are made in memory that the options keep: two parts for each thread, and one for each stream that was
/// open at the same time. Whoever writes file after file from clones of the same options does not pay for fresh memory each
/// time. It is freed with the last clone and the last writer.
///
/// ```no_run
/// use gen5::{Compression, WriteOptions};
///
/// let writer = WriteOptions::new().compression(Compression::Zstd).level(1).float16(true).create("batch.gen5")?;
/// # Ok::<(), gen5::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct WriteOptions {
    pub(super) compression: Compression,
    level: Option<i32>,
    pub(super) float16: bool,
    pub(super) non_finite: NonFinite,
    pub(super) alignment: u64,
    pub(super) part_size: Option<u64>,
    pub(super) compatible: bool,
    pub(super) sync: bool,
    pub(super) progress: Option<Progress>,
    pub(super) cancelled: Cancelled,
    /// The only file that may be replaced, if it is given.
    pub(crate) original: Option<Arc<Original>>,
    /// Shared by all writers that come of clones of these options.
    pub(super) buffers: Arc<Pool>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            compression: Compression::Auto,
            level: None,
            float16: false,
            non_finite: NonFinite::Refuse,
            alignment: 64,
            part_size: Some(DEFAULT_PART_SIZE),
            compatible: false,
            sync: true,
            progress: None,
            cancelled: Cancelled::default(),
            original: None,
            buffers: Arc::default(),
        }
    }
}

impl WriteOptions {
    /// The defaults, which each method names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether latents are compressed. Default [`Compression::Auto`].
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The level of zstd, from -131072 (fastest) to 22 (smallest for most data). Default 3, and -100 for
    /// [`Compression::Shuffled`].
    ///
    /// Below 0 less and less is looked for that repeats, and bytes are still coded by how often they occur, which is most of
    /// what there is to gain with latents. (zstd's own negative levels leave that out.)
    /// Up to level 3 the window is 512 KiB: it stays in cache, which is faster for values that are mostly noise, and
    /// repetitions farther apart are not found. Higher levels have the windows that zstd gives them.
    pub fn level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// The level for a latent that is stored like this, or for what is no latent.
    pub(super) fn level_for(&self, storage: Storage) -> i32 {
        self.level.unwrap_or(match storage {
            Storage::Raw | Storage::Zstd => DEFAULT_LEVEL,
            Storage::Shuffled => SHUFFLED_LEVEL,
        })
    }

    /// Whether values of other types are rounded to float16, to nearest, ties to even. Default no.
    pub fn float16(mut self, float16: bool) -> Self {
        self.float16 = float16;
        self
    }

    /// What becomes of NaN and infinity. Default [`NonFinite::Refuse`].
    pub fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.non_finite = non_finite;
        self
    }

    /// Values of raw latents start at a multiple of this many bytes, a power of two from 4 to 2^21. Default 64.
    pub fn alignment(mut self, alignment: u64) -> Self {
        self.alignment = alignment;
        self
    }

    /// A compressed latent of more bytes than this is cut into parts of about as many, which are compressed and
    /// decompressed side by side; `None` never cuts. Default 64 MiB.
    pub fn part_size(mut self, bytes: Option<u64>) -> Self {
        self.part_size = bytes;
        self
    }

    /// Whether the file has to be of version 1.0, which the Python package `gen5` reads. What needs 1.1 is refused as soon
    /// as it is known: bfloat16, byte shuffle, chunks of unknown types, and 4 GiB or more. Default no.
    pub fn compatible(mut self, compatible: bool) -> Self {
        self.compatible = compatible;
        self
    }

    /// Whether a file under a path is on the disk, not only in the system's cache, before
    /// [`Writer::finish`] returns. Default yes. Without it the folder is not searched for what a killed process has left of
    /// that path, either, which would take long for very many files of one folder.
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// Has `progress` called now and then, from several threads, with the number of bytes of values that were written
    /// since its last call. Values of a call that is refused in the end may be among them.
    pub fn progress(mut self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// Polls `cancelled` before each write and between blocks that are compressed, from several threads. Once it returns true,
    /// the call that is under way gives [`Error::Cancelled`], and the file cannot be finished any more: it is not published.
    pub fn cancel_when(mut self, cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.cancelled = Cancelled::when(cancelled);
        self
    }

    /// Starts a file at `path`. It is written under a temporary name beside it, and takes the place of what is there
    /// when it is finished: of whatever is there then, unless [`replacing`](Self::replacing) names a file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be written to, or if something other than a file is there;
    /// [`Error::Argument`] for options out of range.
    pub fn create(self, path: impl AsRef<Path>) -> Result<Writer<'static>> {
        let replace = self.replace();
        self.start(Target::Path { path: path.as_ref(), replace })
    }

    /// As [`create`](Self::create), for a path where nothing is, neither now nor when the file is finished.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), and [`Error::Io`] if something is there.
    pub fn create_new(self, path: impl AsRef<Path>) -> Result<Writer<'static>> {
        self.start(Target::Path { path: path.as_ref(), replace: Replace::Nothing })
    }

    /// Starts a file in one that is open already, such as one that has no name: from its start, with nothing of what is in
    /// it. It is written at offsets, from several threads, and nobody else should write to it meanwhile. After an
    /// error its contents are unspecified; [`sync`](Self::sync) has no effect.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it is no regular file, cannot be written to, or is open for appending; [`Error::Argument`] for
    /// options out of range.
    pub fn write_file(self, file: File) -> Result<Writer<'static>> {
        self.start(Target::Open(file))
    }

    /// What a file under a path may replace.
    pub(crate) fn replace(&self) -> Replace {
        self.original.clone().map_or(Replace::Anything, Replace::Only)
    }

    fn start(self, target: Target<'_>) -> Result<Writer<'static>> {
        let options = self.check()?;
        let (file, draft) = target.open(options.sync).map_err(Error::of_publishing)?;
        Writer::start(options, Box::new(file), draft)
    }

    /// Starts a file in anything that can write and seek, at the place where it stands; pass `&mut` to keep it.
    /// Nothing should follow there, since a reader wants the file to end with its table. `out` is called from one thread at
    /// a time; from the threads that call the writer and its streams, never from others.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] from `out`; [`Error::Argument`] for options out of range.
    pub fn write_to<'w>(self, out: impl Write + Seek + Send + 'w) -> Result<Writer<'w>> {
        let options = self.check()?;
        let sink = SeekSink::new(out).map_err(Error::io("find the position to write at"))?;
        Writer::start(options, Box::new(sink), None)
    }

    fn check(self) -> Result<Self> {
        let refuse = |what: &str, expected: &str, found: String| {
            Err(Error::Argument { what: what.into(), expected: expected.into(), found })
        };
        if let Some(level) = self.level.filter(|&level| !is_valid_level(level)) {
            return refuse("compression level", "from -131072 to 22", level.to_string());
        }
        if !self.alignment.is_power_of_two() || !(4..=MAX_ALIGNMENT).contains(&self.alignment) {
            return refuse("alignment", "a power of two from 4 to 2^21", self.alignment.to_string());
        }
        if self.part_size == Some(0) {
            return refuse("part size", "at least 1", "0".into());
        }
        Ok(self)
    }
}

/// A huge page: more would only waste space, and the gap is written from memory.
const MAX_ALIGNMENT: u64 = 1 << 21;

impl fmt::Debug for WriteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteOptions")
            .field("compression", &self.compression)
            .field("level", &self.level)
            .field("float16", &self.float16)
            .field("non_finite", &self.non_finite)
            .field("alignment", &self.alignment)
            .field("part_size", &self.part_size)
            .field("compatible", &self.compatible)
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}
