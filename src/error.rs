//! Errors, grouped by whose fault they are.
//!
//! [`Error::fault`] says whether the system, the file, a limit or the caller is at fault.
//! [`Error::place`] and [`Error::path`] say where.
//!
//! ```
//! use std::io::ErrorKind;
//!
//! let error = gen5::Reader::open("no such file.gen5").unwrap_err();
//! assert_eq!(error.io_kind(), Some(ErrorKind::NotFound));
//! assert_eq!(error.path().unwrap().to_str(), Some("no such file.gen5"));
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::element::Dtype;
use crate::excerpt::quote;
use crate::wire::{ChunkType, Version};

/// A result with [`Error`] as its default error type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of reading or writing.
///
/// Each variant has the expected value, the actual value and the place. [`fault`](Self::fault)
/// returns whose fault the error is.
///
/// The system's error is the [`source`](std::error::Error::source) of [`Error::Io`]. So `{error}`
/// says what could not be done, and `{error:#}` also says why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- I/O ----
    /// The operating system, or the caller's reader or writer, returned an error.
    #[error(fmt = fmt_io)]
    #[non_exhaustive]
    Io {
        /// The failed action, with the path if there is one: `open batch.gen5`.
        action: String,
        /// The path of the file, if it has one.
        path: Option<PathBuf>,
        /// The system's error.
        source: io::Error,
    },
    /// The file to replace has changed since it was read. Nothing was written.
    #[error("{}", gen5_publish::Error::Outdated { path: path.clone(), change })]
    #[non_exhaustive]
    Outdated {
        /// The path of the file.
        path: PathBuf,
        /// `changed`, `replaced` or `removed`.
        change: &'static str,
    },

    // ---- format: the file is not valid ----
    /// The file does not start like a GEN5 file.
    #[error("not a GEN5 file: {problem}")]
    #[non_exhaustive]
    NotGen5 {
        /// The start of the file, or its length if it is too short.
        problem: String,
    },
    /// This build does not support the version of the file.
    #[error(
        "GEN5 version {version} is not supported: this build reads 1.0 and 1.1; a newer gen5 may read it"
    )]
    #[non_exhaustive]
    UnsupportedVersion {
        /// The header's version.
        version: Version,
    },
    /// The header has flag bits that this build does not support.
    #[error("the file header has unknown flags {flags:#06x}: a newer gen5 may read this file")]
    #[non_exhaustive]
    UnsupportedFlags {
        /// The header's flags.
        flags: u16,
    },
    /// A value in the header, the table or a record is not valid.
    #[error("{place}: {member} is {found}, expected {expected}")]
    #[non_exhaustive]
    Value {
        /// The place of the value.
        place: Place,
        /// The field or JSON member.
        member: String,
        /// The expected value.
        expected: String,
        /// The actual value.
        found: String,
    },
    /// The chunk table or the environment is not valid JSON, or not the expected JSON.
    #[error("{place}: {problem}")]
    #[non_exhaustive]
    Json {
        /// The place of the JSON text.
        place: Place,
        /// The parser's message.
        problem: String,
    },
    /// A zstd frame is damaged, or is not allowed by this format.
    #[error("{place}: {problem}")]
    #[non_exhaustive]
    Frame {
        /// The place of the frame.
        place: Place,
        /// The problem with the frame.
        problem: FrameProblem,
    },
    /// A chunk's own header contradicts its record in the table.
    #[error("{place}: the record says {what} {record}, the chunk itself {chunk}")]
    #[non_exhaustive]
    Contradiction {
        /// The place of the chunk.
        place: Place,
        /// `type`, `flags` or `size`.
        what: &'static str,
        /// The record's value.
        record: String,
        /// The chunk header's value.
        chunk: String,
    },
    /// Two chunks overlap.
    #[error(
        "{second} overlaps {first}, which ends at {first_end}; the Python package writes such \
         files when one `chunk_records` list is used for two files: write it again with a fresh \
         list"
    )]
    #[non_exhaustive]
    Overlap {
        /// The chunk that starts first.
        first: Box<Place>,
        /// The end of the first chunk.
        first_end: u64,
        /// The chunk that starts inside the first one.
        second: Box<Place>,
    },
    /// The file has a second image or a second environment.
    #[error("{second}: a file has at most one such chunk, and {first} already is one")]
    #[non_exhaustive]
    SecondChunk {
        /// The first one.
        first: Box<Place>,
        /// The second one.
        second: Box<Place>,
    },
    /// The parts of a latent do not make up the whole.
    #[error("{place}: the parts of latent {of:?} do not fit together: {problem}")]
    #[non_exhaustive]
    Parts {
        /// The part at which the problem was found.
        place: Place,
        /// The latent's key.
        of: String,
        /// The problem.
        problem: String,
    },

    // ---- integrity: the file was valid once ----
    /// The payload differs from the one that was written.
    #[error("{place}: the payload is damaged: its SHA-256 is {found}, but {expected} is recorded")]
    #[non_exhaustive]
    Hash {
        /// The place of the chunk.
        place: Place,
        /// The hash in the table.
        expected: Box<str>,
        /// The hash of the actual payload.
        found: Box<str>,
    },
    /// A component of the environment does not match its digest.
    #[error(
        "{place}: component {id:?} was altered: the SHA-256 of its text is {found}, but \
         {expected} is recorded"
    )]
    #[non_exhaustive]
    ComponentDigest {
        /// The place of the environment.
        place: Place,
        /// The component's id.
        id: String,
        /// The stored digest.
        expected: Box<str>,
        /// The digest of the stored text.
        found: Box<str>,
    },
    /// The file changed during reading.
    #[error("the file changed during reading: it had {expected} bytes, but reading stopped at {found}")]
    #[non_exhaustive]
    Changed {
        /// Its length when it was opened.
        expected: u64,
        /// The current end of the file, or the offset at which reading stopped.
        found: u64,
    },
    /// A part of the file has changed since the file was opened.
    #[error("{place}: it has changed since the file was opened")]
    #[non_exhaustive]
    Rewritten {
        /// The place that has changed.
        place: Place,
    },

    // ---- limits ----
    /// The file exceeds one of the [`Limits`](crate::Limits).
    #[error("{place}: {found} {unit} are over the limit of {limit} (`Limits::{name}`)")]
    #[non_exhaustive]
    Limit {
        /// The place that exceeds the limit.
        place: Place,
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
        /// The unit of the limit: `bytes`, `chunks`, `axes`.
        unit: &'static str,
        /// The current limit.
        limit: u64,
        /// The amount that the file needs.
        found: u64,
    },
    /// There is not enough memory.
    #[error("no memory for {what}: {bytes} bytes could not be allocated")]
    #[non_exhaustive]
    Memory {
        /// The purpose of the memory.
        what: String,
        /// The size of the allocation.
        bytes: u64,
    },

    // ---- caller ----
    /// The file has no latent with this key.
    #[error("no latent is called {}; {hint}", quote(key))]
    #[non_exhaustive]
    NoSuchLatent {
        /// The requested key.
        key: String,
        /// The existing keys, or some of them.
        hint: String,
    },
    /// Several latents have this key.
    #[error(
        "{count} latents are called {}: choose one by position with `latent_at`; the first is {first}",
        quote(key)
    )]
    #[non_exhaustive]
    AmbiguousKey {
        /// The requested key.
        key: String,
        /// The number of latents with this key.
        count: usize,
        /// The position of the first one.
        first: usize,
    },
    /// The requested type is not the type of the values.
    #[error("latent {latent} is {stored}, not {asked}: use `read_as` to convert it")]
    #[non_exhaustive]
    Dtype {
        /// The name of the latent.
        latent: String,
        /// Its dtype.
        stored: Dtype,
        /// The requested dtype.
        asked: Dtype,
    },
    /// The values cannot be borrowed from the file.
    #[error("latent {latent} cannot be borrowed: {reason}")]
    #[non_exhaustive]
    NotBorrowable {
        /// The name of the latent.
        latent: String,
        /// The reason, with a remedy.
        reason: NotBorrowable,
    },
    /// An argument is not valid, such as a position, a range or a buffer.
    #[error("{what}: expected {expected}, found {found}")]
    #[non_exhaustive]
    Argument {
        /// The argument.
        what: String,
        /// The expected value.
        expected: String,
        /// The actual value.
        found: String,
    },
    /// Another latent already has this key.
    #[error("the key {} is used twice: keys must be unique in a file", quote(key))]
    #[non_exhaustive]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A value is NaN or infinite.
    #[error("latent {}: element {index} is {value}; allow it with `WriteOptions::non_finite`", latent_name(key.as_deref()))]
    #[non_exhaustive]
    NonFinite {
        /// The latent's key, or `None` if it has none.
        key: Option<String>,
        /// Position of the first such element, in C order.
        index: u64,
        /// The value.
        value: f32,
    },
    /// A value is too large for the target dtype of a conversion.
    #[error(
        "latent {latent}: element {index} is {value}, which {dtype} would turn into infinity; keep its dtype"
    )]
    #[non_exhaustive]
    Overflow {
        /// The name of the latent.
        latent: String,
        /// Position of the first such element, in C order.
        index: u64,
        /// The value.
        value: f32,
        /// The target dtype.
        dtype: Dtype,
    },
    /// A stream did not get all its values.
    #[error(
        "latent {} was not finished: {found} of {expected} elements were pushed; push all, and call `finish` on its \
         stream",
        latent_name(key.as_deref())
    )]
    #[non_exhaustive]
    Incomplete {
        /// The latent's key, or `None` if it has none.
        key: Option<String>,
        /// The number of elements in its shape.
        expected: u64,
        /// The number of elements pushed.
        found: u64,
    },
    /// The metadata is not valid.
    #[error("metadata: {member} is {found}, expected {expected}")]
    #[non_exhaustive]
    Metadata {
        /// The member, as a path below `model_info`: `generation_settings.steps`.
        member: String,
        /// The expected value.
        expected: String,
        /// The actual value.
        found: String,
    },
    /// The image cannot be decoded.
    #[error("the image is damaged, or is not an image: {problem}")]
    #[non_exhaustive]
    Image {
        /// The decoder's message.
        problem: String,
    },
    /// The format cannot express something this large.
    #[error("{what} is too large: {problem}")]
    #[non_exhaustive]
    TooLarge {
        /// The object that is too large: `the file`, or a latent.
        what: String,
        /// Its size, and the largest size that the format can express.
        problem: String,
    },
    /// The file cannot be finished, because an earlier call failed.
    #[error("the file cannot be finished because an earlier write failed: {cause}")]
    #[non_exhaustive]
    WriterFailed {
        /// The text of that call's error.
        cause: String,
        /// Whose fault that error was.
        fault: Fault,
        /// The kind of the system's error, if it was one.
        kind: Option<io::ErrorKind>,
    },
    /// The function set with [`WriteOptions::cancel_when`](crate::WriteOptions::cancel_when) or
    /// [`ReadOptions::cancel_when`](crate::ReadOptions::cancel_when) returned true.
    #[error("cancelled")]
    Cancelled,
}

fn fmt_io(action: &str, _: &Option<PathBuf>, source: &io::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "could not {action}")?;
    if f.alternate() { write!(f, ": {source}") } else { Ok(()) }
}

/// Returns the name of a latent with this key for error messages.
pub(crate) fn latent_name(key: Option<&str>) -> String {
    key.map_or_else(|| "without a key".into(), quote)
}

/// The party at fault for an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The system: a missing file, a full disk, no memory.
    Io,
    /// The file: it is not GEN5, has an unsupported version, or is malformed.
    Format,
    /// The file: its contents have changed since it was written.
    Integrity,
    /// The file exceeds the limits.
    Limit,
    /// The caller.
    Caller,
}

impl Error {
    /// Returns whose fault the error is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::WriterFailed { fault, .. } => *fault,
            Self::Io { .. } | Self::Outdated { .. } | Self::Memory { .. } => Fault::Io,
            Self::NotGen5 { .. }
            | Self::UnsupportedVersion { .. }
            | Self::UnsupportedFlags { .. }
            | Self::Value { .. }
            | Self::Json { .. }
            | Self::Frame { .. }
            | Self::Contradiction { .. }
            | Self::Overlap { .. }
            | Self::SecondChunk { .. }
            | Self::Parts { .. } => Fault::Format,
            Self::Hash { .. }
            | Self::ComponentDigest { .. }
            | Self::Changed { .. }
            | Self::Rewritten { .. } => Fault::Integrity,
            Self::Limit { .. } => Fault::Limit,
            Self::NoSuchLatent { .. }
            | Self::AmbiguousKey { .. }
            | Self::Dtype { .. }
            | Self::NotBorrowable { .. }
            | Self::Argument { .. }
            | Self::DuplicateKey { .. }
            | Self::NonFinite { .. }
            | Self::Overflow { .. }
            | Self::Incomplete { .. }
            | Self::Metadata { .. }
            | Self::Image { .. }
            | Self::TooLarge { .. }
            | Self::Cancelled => Fault::Caller,
        }
    }

    /// Converts an error of the publishing crate. This is not a `From` implementation, because that
    /// would be public.
    pub(crate) fn of_publishing(error: gen5_publish::Error) -> Self {
        match error {
            gen5_publish::Error::Outdated { path, change } => Self::Outdated { path, change },
            gen5_publish::Error::Io { action, path, source } => Self::Io { action, path, source },
            gen5_publish::Error::Cancelled => Self::Cancelled,
            other => Self::io("publish the file")(io::Error::other(other)),
        }
    }

    /// Returns the place in the file, if the error has one.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Value { place, .. }
            | Self::Json { place, .. }
            | Self::Frame { place, .. }
            | Self::Contradiction { place, .. }
            | Self::Parts { place, .. }
            | Self::Hash { place, .. }
            | Self::ComponentDigest { place, .. }
            | Self::Rewritten { place }
            | Self::Limit { place, .. } => Some(place),
            Self::Overlap { second, .. } | Self::SecondChunk { second, .. } => Some(second),
            _ => None,
        }
    }

    /// Returns the path of the file that the system or another program made unavailable.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. } => path.as_deref(),
            Self::Outdated { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Returns the kind of the system's error, such as
    /// [`NotFound`](std::io::ErrorKind::NotFound).
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            Self::WriterFailed { kind, .. } => *kind,
            _ => None,
        }
    }

    pub(crate) fn argument(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Argument { what: what.into(), expected: expected.into(), found: found.into() }
    }

    pub(crate) fn limit(
        place: Place,
        name: &'static str,
        unit: &'static str,
        limit: u64,
        found: u64,
    ) -> Self {
        Self::Limit { place, name, unit, limit, found }
    }

    pub(crate) fn metadata(
        member: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Metadata { member: member.into(), expected: expected.into(), found: found.into() }
    }

    /// Returns a function that adds the failed action to an I/O error.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, path: None, source }
    }

    /// Returns a function that adds the failed action, a verb, and its path to an I/O error.
    pub(crate) fn io_at(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let action = format!("{verb} {}", path.display());
        let path = path.to_owned();
        move |source| Self::Io { action, path: Some(path), source }
    }
}

/// The kind is that of the system's error, if there is one. The error is inside, and
/// [`get_ref`](io::Error::get_ref) returns it.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        // Callers repeat a call that was interrupted, and this one must not be repeated.
        let kind = error.io_kind().filter(|kind| *kind != io::ErrorKind::Interrupted);
        Self::new(kind.unwrap_or(io::ErrorKind::Other), error)
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The file header: the first 32 bytes.
    Header,
    /// An environment that does not come from a file.
    Environment,
    /// The chunk table.
    Table {
        /// The offset of its start.
        offset: u64,
    },
    /// A chunk, or its record.
    Chunk {
        /// Its position in the table, from 0.
        index: usize,
        /// The offset of its start, if the record was readable up to that member.
        offset: Option<u64>,
        /// Its type, if known.
        kind: Option<ChunkType>,
        /// The key, if the chunk belongs to a latent with one.
        key: Option<Box<str>>,
    },
}

impl Place {
    /// Returns the position of the chunk in the table, from 0.
    pub fn chunk(&self) -> Option<usize> {
        match self {
            Self::Chunk { index, .. } => Some(*index),
            _ => None,
        }
    }

    /// Returns the offset in the file in bytes, if it is known.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Header => Some(0),
            Self::Table { offset } => Some(*offset),
            Self::Chunk { offset, .. } => *offset,
            Self::Environment => None,
        }
    }

    /// Returns the type of the chunk, if it is known.
    pub fn kind(&self) -> Option<ChunkType> {
        match self {
            Self::Chunk { kind, .. } => *kind,
            _ => None,
        }
    }

    /// Returns the key of the latent's chunk, if it has one. Long keys are shortened.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Chunk { key, .. } => key.as_deref(),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("file header"),
            Self::Environment => f.write_str("environment"),
            Self::Table { offset } => write!(f, "chunk table at offset {offset}"),
            Self::Chunk { index, offset, kind, key } => {
                write!(f, "chunk {index}")?;
                match (kind, key) {
                    (Some(kind), Some(key)) => write!(f, " ({kind} {key:?})")?,
                    (Some(kind), None) => write!(f, " ({kind})")?,
                    _ => {}
                }
                match offset {
                    Some(offset) => write!(f, " at offset {offset}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A problem with a zstd frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameProblem {
    /// The magic number is not that of a zstd frame.
    #[error("not a zstd frame: it starts with {found}")]
    NotZstd {
        /// The first bytes, in hexadecimal.
        found: String,
    },
    /// The data starts with a skippable frame, which the reference implementation cannot read.
    #[error("it starts with a skippable zstd frame")]
    Skippable,
    /// The frame does not record its content size.
    #[error("the zstd frame does not record its content size")]
    NoContentSize,
    /// The frame needs a dictionary.
    #[error("the zstd frame needs dictionary {id}")]
    Dictionary {
        /// The dictionary's ID.
        id: u32,
    },
    /// The content size does not match the record.
    #[error("the zstd frame holds {found} bytes, expected {expected}")]
    ContentSize {
        /// The size according to the record, including the chunk header.
        expected: u64,
        /// The size according to the frame.
        found: u64,
    },
    /// The frame ends early.
    #[error("the zstd frame is cut short")]
    Truncated,
    /// Other bytes follow the frame.
    #[error("{count} bytes follow the zstd frame")]
    Trailing {
        /// The number of extra bytes.
        count: u64,
    },
    /// zstd cannot decode the frame: damage, a wrong checksum, or a window over 2^27 bytes.
    #[error("the zstd frame is damaged (zstd: {message})")]
    Damaged {
        /// zstd's own message.
        message: &'static str,
    },
}

/// The reason why a latent cannot be borrowed as a slice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotBorrowable {
    /// The latent is compressed.
    #[error("it is compressed; `read` decompresses it")]
    Compressed,
    /// The values are in several chunks.
    #[error("it is stored in {count} parts; `read` joins them, and rows of one raw part can be borrowed")]
    Parts {
        /// The number of parts that the requested rows overlap.
        count: usize,
    },
    /// The bytes do not have the alignment of the type.
    #[error("its bytes start at address {address:#x}, not a multiple of {alignment}; `read` copies them")]
    Misaligned {
        /// Their address in memory.
        address: usize,
        /// The alignment that the dtype needs.
        alignment: usize,
    },
    /// The bytes of the file are not in memory.
    #[error("the file is not mapped; `Reader::map` maps it, and `read` copies the values")]
    NotMapped,
}
