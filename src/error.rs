//! Everything that can go wrong, grouped by whose fault it is.

use std::fmt;
use std::io;

use crate::element::Dtype;
use crate::shorten::quote;
use crate::wire::ChunkType;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why reading or writing did not work.
///
/// Each variant says what was expected, what was found, and where; [`fault`](Self::fault) says whose fault it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- I/O -------------------------------------------------------------------------------------------------
    /// The operating system refused, or the caller's reader or writer did.
    #[error("could not {action}: {error}")]
    Io {
        /// What was being done, with the path where there is one: `open batch.gen5`.
        action: String,
        /// What the system said. It is part of this error's text, and so not its source: a chain says it once.
        error: io::Error,
    },
    /// The file that was to be replaced is not the one that was read any more. Nothing was written.
    #[error(
        "could not replace {path}: another program has {change} it since it was read, so nothing was written; start again \
         from what is there now"
    )]
    Outdated {
        /// Where it is.
        path: String,
        /// `changed`, `replaced` or `removed`.
        change: &'static str,
    },

    // ---- format: the file is not what it should be -----------------------------------------------------------
    /// The file does not start as a GEN5 file does.
    #[error("not a GEN5 file: {problem}")]
    NotGen5 {
        /// What it starts with, or how short it is.
        problem: String,
    },
    /// A version that this build does not read.
    #[error(
        "GEN5 version {major}.{minor} is not supported: this build reads 1.0 and 1.1; a newer gen5 may read it"
    )]
    UnsupportedVersion {
        /// The header's major version.
        major: u8,
        /// The header's minor version.
        minor: u8,
    },
    /// Flag bits that this build does not know.
    #[error("the file header has unknown flags {flags:#06x}: a newer gen5 may read this file")]
    UnsupportedFlags {
        /// The header's flags.
        flags: u16,
    },
    /// A value in the header, the table or a record is not what it must be.
    #[error("{place}: {member} is {found}, expected {expected}")]
    Value {
        /// Where.
        place: Place,
        /// Which field or JSON member.
        member: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The chunk table or the environment is not the JSON it should be.
    #[error("{place}: {problem}")]
    Json {
        /// Where.
        place: Place,
        /// What the parser said.
        problem: String,
    },
    /// A zstd frame is not one that this format allows, or is damaged.
    #[error("{place}: {problem}")]
    Frame {
        /// Where.
        place: Place,
        /// What is wrong with it.
        problem: FrameProblem,
    },
    /// A chunk's own header contradicts its record in the table.
    #[error("{place}: the record says {what} {record}, the chunk itself {chunk}")]
    Contradiction {
        /// Where.
        place: Place,
        /// `type`, `flags` or `size`.
        what: &'static str,
        /// The record's value.
        record: String,
        /// The chunk header's value.
        chunk: String,
    },
    /// Two chunks share bytes.
    #[error(
        "{second} overlaps {first}, which ends at {first_end}; the Python package writes such files when one \
         `chunk_records` list is used for two of them: write it again with a fresh list"
    )]
    Overlap {
        /// The chunk that starts first.
        first: Box<Place>,
        /// Where it ends.
        first_end: u64,
        /// The chunk that starts inside it.
        second: Box<Place>,
    },
    /// A second image or a second environment.
    #[error("{second}: a file has at most one such chunk, and {first} is one already")]
    SecondChunk {
        /// The one found first.
        first: Box<Place>,
        /// The other.
        second: Box<Place>,
    },
    /// The parts of a latent do not make up the whole.
    #[error("{place}: the parts of latent {of:?} do not fit together: {problem}")]
    Parts {
        /// The part where it was noticed.
        place: Place,
        /// The latent's name.
        of: String,
        /// What is wrong.
        problem: String,
    },

    // ---- integrity: it was right once ------------------------------------------------------------------------
    /// The payload is not the one that was written.
    #[error("{place}: the payload is damaged: its SHA-256 is {found}, recorded is {expected}")]
    Hash {
        /// Where.
        place: Place,
        /// The hash in the table.
        expected: Box<str>,
        /// The hash of what is there.
        found: Box<str>,
    },
    /// A component of the environment does not match its digest.
    #[error(
        "{place}: component {id:?} was altered: the SHA-256 of its text is {found}, recorded is {expected}"
    )]
    ComponentDigest {
        /// Where.
        place: Place,
        /// The component's id.
        id: String,
        /// The digest that is stored.
        expected: Box<str>,
        /// The digest of what is stored.
        found: Box<str>,
    },
    /// The file changed under the reader.
    #[error("the file changed while it was read: it had {expected} bytes, reading stopped at {found}")]
    Changed {
        /// Its length when it was opened.
        expected: u64,
        /// Where it ends now, or where reading stopped.
        found: u64,
    },
    /// A part of the file is not what it was when the file was opened.
    #[error("{place}: it was changed since the file was opened")]
    Rewritten {
        /// Which part.
        place: Place,
    },

    // ---- limits ----------------------------------------------------------------------------------------------
    /// More than the [`Limits`](crate::Limits) allow.
    #[error("{place}: {found} {unit} are over the limit of {limit} (`Limits::{name}`)")]
    Limit {
        /// Where.
        place: Place,
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
        /// What is counted: `bytes`, `chunks`, `axes`.
        unit: &'static str,
        /// The limit in force.
        limit: u64,
        /// What the file asks for.
        found: u64,
    },
    /// The machine has no memory left for this.
    #[error("no memory for {what}: {bytes} bytes could not be allocated")]
    Memory {
        /// For what.
        what: String,
        /// How much.
        bytes: u64,
    },

    // ---- caller ----------------------------------------------------------------------------------------------
    /// There is no latent of this name.
    #[error("no latent is called {}; {hint}", quote(key))]
    NoSuchLatent {
        /// The name asked for.
        key: String,
        /// The names there are, or some of them.
        hint: String,
    },
    /// Several latents have this name.
    #[error(
        "{count} latents are called {}: take one by position with `latent_at`, the first is {first}",
        quote(key)
    )]
    AmbiguousKey {
        /// The name asked for.
        key: String,
        /// How many have it.
        count: usize,
        /// The position of the first.
        first: usize,
    },
    /// The values have another type than the one asked for.
    #[error("latent {latent} is {stored}, not {asked}: `read_as` converts")]
    Dtype {
        /// Which latent.
        latent: String,
        /// Its dtype.
        stored: Dtype,
        /// The dtype asked for.
        asked: Dtype,
    },
    /// The values cannot be borrowed from the file.
    #[error("latent {latent} cannot be borrowed: {reason}")]
    NotBorrowable {
        /// Which latent.
        latent: String,
        /// Why not, and what to do.
        reason: NotBorrowable,
    },
    /// A position, a range or a buffer does not fit.
    #[error("{what}: expected {expected}, found {found}")]
    Argument {
        /// What was given.
        what: String,
        /// What it should be.
        expected: String,
        /// What it was.
        found: String,
    },
    /// A name is taken.
    #[error("the key {} is used twice: keys of latents are unique in a file", quote(key))]
    DuplicateKey {
        /// The name.
        key: String,
    },
    /// A value is NaN or infinite.
    #[error("latent {}: element {index} is {value}; allow it with `WriteOptions::non_finite`", latent_name(key.as_deref()))]
    NonFinite {
        /// Which latent; `None` if it has no key.
        key: Option<String>,
        /// Position of the first such element, in C order.
        index: u64,
        /// The value.
        value: f32,
    },
    /// A value is too large for the dtype it is to be converted to.
    #[error(
        "latent {latent}: element {index} is {value}, which {dtype} would turn into infinity; keep its dtype"
    )]
    Overflow {
        /// Which latent.
        latent: String,
        /// Position of the first such element, in C order.
        index: u64,
        /// The value.
        value: f32,
        /// What it was to be converted to.
        dtype: Dtype,
    },
    /// A stream did not get all its values.
    #[error(
        "latent {} was not finished: {found} of {expected} elements were pushed; push all, and call `finish` on its \
         stream",
        latent_name(key.as_deref())
    )]
    Incomplete {
        /// Which latent; `None` if it has no key.
        key: Option<String>,
        /// Elements that its shape asks for.
        expected: u64,
        /// Elements that came.
        found: u64,
    },
    /// Metadata that the format does not allow.
    #[error("metadata: {member} is {found}, expected {expected}")]
    Metadata {
        /// Which member, from `model_info` down: `generation_settings.steps`.
        member: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The image cannot be decoded.
    #[error("the image is damaged, or is not an image: {problem}")]
    Image {
        /// What the decoder said.
        problem: String,
    },
    /// The format has no way to express this.
    #[error("{what} is too large: {problem}")]
    TooLarge {
        /// What is too large: `the file`, or a latent.
        what: String,
        /// How large it would be, and what the format can express.
        problem: String,
    },
    /// An earlier call left the file unfinished.
    #[error("the file cannot be finished, since an earlier write failed: {cause}")]
    WriterFailed {
        /// That call's error.
        cause: String,
    },
    /// What [`WriteOptions::cancel_when`](crate::WriteOptions::cancel_when) or
    /// [`ReadOptions::cancel_when`](crate::ReadOptions::cancel_when) asks said yes.
    #[error("cancelled")]
    Cancelled,
}

/// How errors call a latent of this key.
pub(crate) fn latent_name(key: Option<&str>) -> String {
    key.map_or_else(|| "without a key".into(), quote)
}

/// Whose fault an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The system's: a file that is missing, a full disk, no memory.
    Io,
    /// The file's: it is not GEN5, of a version that is not known, or wrongly put together.
    Format,
    /// The file's: what it holds has changed since it was written.
    Integrity,
    /// The file asks for more than the limits allow.
    Limit,
    /// The caller's.
    Caller,
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Io { .. } | Self::Outdated { .. } | Self::Memory { .. } | Self::WriterFailed { .. } => {
                Fault::Io
            }
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

    /// An error of publishing, as this library words it. It is no `From`, which would be public.
    pub(crate) fn of_publishing(error: gen5_publish::Error) -> Self {
        match error {
            gen5_publish::Error::Outdated { path, change } => Self::Outdated { path, change },
            gen5_publish::Error::Io { action, error } => Self::Io { action, error },
            gen5_publish::Error::Cancelled => Self::Cancelled,
            other => Self::Io { action: "publish the file".into(), error: io::Error::other(other) },
        }
    }

    /// Puts words to a refusal of the operating system.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |error| Self::Io { action, error }
    }
}

/// Where in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The 32 bytes at the start.
    Header,
    /// An environment that is not in a file.
    Environment,
    /// The chunk table.
    Table {
        /// Where it starts.
        offset: u64,
    },
    /// A chunk, or its record.
    Chunk {
        /// Its position in the table, from 0.
        index: usize,
        /// Where it starts, if its record could be read so far.
        offset: Option<u64>,
        /// What it holds, if known.
        kind: Option<ChunkType>,
        /// The latent's key, if it is one and has one.
        key: Option<Box<str>>,
    },
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

/// What is wrong with a zstd frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameProblem {
    /// It does not start as a frame does.
    #[error("not a zstd frame: it starts with {found}")]
    NotZstd {
        /// The first bytes, as hexadecimal.
        found: String,
    },
    /// It starts with a skippable frame, which the reference stumbles over.
    #[error("a skippable zstd frame stands in front")]
    Skippable,
    /// It does not tell how much it holds.
    #[error("the zstd frame carries no content size")]
    NoContentSize,
    /// It needs a dictionary.
    #[error("the zstd frame asks for dictionary {id}")]
    Dictionary {
        /// The dictionary's number.
        id: u32,
    },
    /// Its content is not as long as the record says.
    #[error("the zstd frame holds {found} bytes, expected {expected}")]
    ContentSize {
        /// What the record asks for, header included.
        expected: u64,
        /// What the frame says.
        found: u64,
    },
    /// It ends early.
    #[error("the zstd frame is cut short")]
    Truncated,
    /// It is followed by something.
    #[error("{count} bytes follow the zstd frame")]
    Trailing {
        /// How many.
        count: u64,
    },
    /// zstd cannot decode it: damage, a wrong checksum, or a window over 2^27 bytes.
    #[error("the zstd frame is damaged (zstd: {message})")]
    Damaged {
        /// zstd's own words.
        message: &'static str,
    },
}

/// Why a latent cannot be borrowed as a slice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotBorrowable {
    /// It has to be decompressed.
    #[error("it is compressed; `read` decompresses it")]
    Compressed,
    /// It lies in several chunks.
    #[error("it is stored in {count} parts; `read` joins them, and rows of one raw part can be borrowed")]
    Parts {
        /// How many parts the rows asked for touch.
        count: usize,
    },
    /// Its bytes do not start where such values may.
    #[error("its bytes start at address {address:#x}, not a multiple of {alignment}; `read` copies them")]
    Misaligned {
        /// Where they are in memory.
        address: usize,
        /// What the dtype needs.
        alignment: usize,
    },
    /// The bytes of the file are not in memory.
    #[error("the file is not mapped; `Reader::map` maps it, `read` copies")]
    NotMapped,
}
