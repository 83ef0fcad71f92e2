//! Opening: checks the file header, the chunk table and the records, each before the next is
//! trusted.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gen5_publish::Patience;
use zerocopy::{FromZeros, IntoBytes};

use super::{Inner, OpenFile, Reader, payload};
use crate::cancelled::Cancelled;
use crate::error::{Error, Place, Result};
use crate::limits::Limits;
use crate::manifest::{Manifest, TableContext, lay_out};
use crate::progress::Progress;
use crate::source::Source;
use crate::wire::{FILE_HEADER_SIZE, FileHeader, IN_RESERVED, LARGE_FILE, MAGIC, Version};

/// Options for opening a file.
///
/// ```no_run
/// let reader = gen5::ReadOptions::new().check_hashes(true).open("batch.gen5")?;
/// # Ok::<(), gen5::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ReadOptions {
    pub(super) limits: Limits,
    pub(super) check_hashes: bool,
    pub(super) cancelled: Cancelled,
    pub(super) progress: Progress,
    lock: Option<Duration>,
}

impl ReadOptions {
    /// Returns the default options: the default limits, and hashes checked only by
    /// [`Reader::verify`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limits on the resources that a file may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets whether every read of a payload checks its SHA-256. Each chunk that is read is then
    /// hashed in full, even for a few rows and in [`Latent::as_slice`](crate::Latent::as_slice).
    pub fn check_hashes(mut self, check: bool) -> Self {
        self.check_hashes = check;
        self
    }

    /// Sets a function that is polled, from several threads, to cancel reads of latents and other
    /// chunks, and verification.
    ///
    /// It is called between blocks of at most a few megabytes. Once it returns true, these calls
    /// return [`Error::Cancelled`], and [`Reader::verify_chunks`] reports that error for each chunk
    /// not yet checked. Borrowing takes no time and does not call it, unless
    /// [`check_hashes`](Self::check_hashes) requires a hash.
    pub fn cancel_when(mut self, cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.cancelled = Cancelled::when(cancelled);
        self
    }

    /// Sets a function that is called at intervals, from several threads, with the number of bytes
    /// of payloads that were read or verified since its last call. These can include values of a call that
    /// fails in the end. Borrowed values are not read, so they do not count.
    pub fn progress(mut self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Progress::to(progress);
        self
    }

    /// Locks the file before reading it, for a program that replaces the file with a new version.
    /// By default, files are not locked.
    ///
    /// Programs that do so run one after another, and each sees the result of the one before it. If
    /// another program holds the lock, opening waits at most `longest` and polls
    /// [`cancel_when`](Self::cancel_when) meanwhile. The lock is held until the reader, its clones
    /// and its latents are dropped.
    ///
    /// The lock is advisory: it does not stop other readers, or programs that do not use the lock.
    /// Files in memory and files that were already open are not locked. Windows and file systems
    /// without locks do not lock either; there,
    /// [`WriteOptions::replacing`](crate::WriteOptions::replacing) still detects changes by other
    /// programs.
    pub fn lock(mut self, longest: Duration) -> Self {
        self.lock = Some(longest);
        self
    }

    /// Opens a file for positioned reads.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be opened or is not a regular file, and with kind
    /// `TimedOut` if it cannot be [locked](Self::lock) in time. An error of the format or limit
    /// group if the header, the table or the records are not valid.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Reader> {
        let source = Source::open(path.as_ref(), self.patience().as_ref())?;
        self.read(source)
    }

    /// Reads a file that is already open, such as an unnamed temporary file, with positioned reads.
    ///
    /// # Errors
    ///
    /// The same errors as [`open`](Self::open).
    pub fn from_file(self, file: File) -> Result<Reader> {
        self.read(Source::of_file(file)?)
    }

    /// Maps a file into memory.
    ///
    /// # Safety
    ///
    /// The same contract as [`Reader::map`].
    ///
    /// # Errors
    ///
    /// The same errors as [`open`](Self::open).
    #[allow(unsafe_code)]
    pub unsafe fn map(self, path: impl AsRef<Path>) -> Result<Reader> {
        // SAFETY: the caller guarantees that nothing changes the file while the reader, which owns
        // the source, is alive.
        let source = unsafe { Source::map(path.as_ref(), self.patience().as_ref()) }?;
        self.read(source)
    }

    /// Reads a file that is in memory.
    ///
    /// # Errors
    ///
    /// The same errors as [`open`](Self::open), except file system errors.
    pub fn from_bytes(self, bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Reader> {
        self.read(Source::from_bytes(Box::new(bytes)))
    }

    /// Returns how long to wait for a lock, if locking was requested.
    fn patience(&self) -> Option<Patience<'_>> {
        self.lock.map(|longest| Patience { longest, cancelled: Box::new(|| self.cancelled.is_due()) })
    }

    fn read(self, source: Source) -> Result<Reader> {
        let table = read_header(&source, &self.limits)?;
        let text = payload::read_table(&source, table.offset, table.size, self.limits.table_bytes)?;
        let context = TableContext {
            offset: table.offset,
            chunk_count: u64::from(table.header.chunk_count.get()),
            version: table.header.version(),
            limits: &self.limits,
        };
        let manifest = Manifest::parse(text, &context)?;
        let layout = lay_out(&manifest.records)?;
        let file = OpenFile { source, table, manifest, layout, names: OnceLock::new() };
        Ok(Reader { inner: Arc::new(Inner { file: Arc::new(file), options: self }) })
    }
}

/// The location of the table, from a file header whose fields have all been checked.
pub(super) struct Table {
    pub(super) header: FileHeader,
    pub(super) offset: u64,
    pub(super) size: u64,
}

fn read_header(source: &Source, limits: &Limits) -> Result<Table> {
    let length = source.len();
    let mut header = FileHeader::new_zeroed();
    let magic_length = length.min(4);
    let magic = header.magic.get_mut(..usize::try_from(magic_length).unwrap_or(4)).unwrap_or_default();
    source.read_exact_at(magic, 0)?;
    if header.magic != MAGIC {
        let found = header.magic.escape_ascii();
        return Err(Error::NotGen5 {
            problem: match length {
                0 => "it is empty".into(),
                _ => format!("it starts with \"{found}\", not with \"GEN5\""),
            },
        });
    }
    if length < FILE_HEADER_SIZE {
        let problem = format!("it has {length} bytes, but the file header alone has {FILE_HEADER_SIZE}");
        return Err(Error::NotGen5 { problem });
    }
    source.read_exact_at(header.as_mut_bytes(), 0)?;

    let version = header.version();
    if !(Version::V1_0..=Version::V1_1).contains(&version) {
        return Err(Error::UnsupportedVersion { version });
    }
    let (offset, size) = find_table(&header, length)?;
    let chunk_count = u64::from(header.chunk_count.get());
    for (name, unit, limit, found) in
        [("table_bytes", "bytes", limits.table_bytes, size), ("chunks", "chunks", limits.chunks, chunk_count)]
    {
        if found > limit {
            return Err(Error::Limit { place: Place::Table { offset }, name, unit, limit, found });
        }
    }
    Ok(Table { header, offset, size })
}

/// Returns the offset and the size of the table in a file of `length` bytes.
fn find_table(header: &FileHeader, length: u64) -> Result<(u64, u64)> {
    let refuse = |member: &str, expected: String, found: u64| {
        Err(Error::Value { place: Place::Header, member: member.into(), expected, found: found.to_string() })
    };
    let flags = header.flags.get();
    let is_large = flags & LARGE_FILE != 0;
    if flags & !LARGE_FILE != 0 {
        return Err(Error::UnsupportedFlags { flags });
    }
    if is_large && header.version() < Version::V1_1 {
        return refuse("flags", "0, because large files have version 1.1".into(), flags.into());
    }
    let file_size = header.file_size.get();
    let table_size = header.chunk_table_size.get();
    let (member, offset) = if is_large {
        for (member, expected, found) in [
            ("chunk_table_offset", IN_RESERVED, header.chunk_table_offset.get()),
            ("chunk_table_size", 0, table_size),
            ("file_size", IN_RESERVED, file_size),
        ] {
            if found != expected {
                return refuse(member, format!("{expected}, as in every large file"), found.into());
            }
        }
        ("reserved", header.reserved.get())
    } else {
        if header.reserved.get() != 0 {
            return refuse("reserved", "0".into(), header.reserved.get());
        }
        if u64::from(file_size) != length {
            let hint = if length < u64::from(file_size) {
                "it may be cut short: copy or download it again".to_owned()
            } else {
                format!("something may have been appended: remove everything after byte {file_size}")
            };
            return refuse(
                "file_size",
                format!("{length}, the length of the file ({hint})"),
                file_size.into(),
            );
        }
        ("chunk_table_offset", u64::from(header.chunk_table_offset.get()))
    };
    if offset < FILE_HEADER_SIZE || offset > length {
        let expected = format!("from {FILE_HEADER_SIZE} to {length}, where the table is in the file");
        return refuse(member, expected, offset);
    }
    let size = length - offset;
    if !is_large && u64::from(table_size) != size {
        let expected = format!("{size}, so that the table ends with the file");
        return refuse("chunk_table_size", expected, table_size.into());
    }
    Ok((offset, size))
}
