//! The state shared by all handles of one file: its output, its progress, and its chunks.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zerocopy::IntoBytes;

use super::array::Plan;
use super::buffers::Filled;
use super::options::WriteOptions;
use super::sink::Sink;
use crate::error::{Error, Fault, Result};
use crate::limits::Limits;
use crate::manifest::ChunkRecord;
use crate::wire::{CHUNK_HEADER_SIZE, FILE_HEADER_SIZE, FileHeader, Version};

/// Bytes to erase at a time.
const ERASE_BLOCK: usize = 256 << 10;

/// One unfinished file, shared by its writer and its streams.
pub(super) struct Session<'w> {
    pub(super) sink: Box<dyn Sink + 'w>,
    /// The path at which the file is published.
    path: Option<PathBuf>,
    pub(super) options: WriteOptions,
    /// Never locked while values are hashed, compressed or written, or while rayon or the caller's
    /// code is called.
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// The first free offset for the next chunk.
    pub(super) cursor: u64,
    /// The offset at which chunks must end.
    end: u64,
    /// The number of chunks that have a place.
    chunks: u64,
    /// The records of the written chunks.
    pub(super) records: Vec<ChunkRecord>,
    /// Whether a chunk needs version 1.1 for a reason that its record does not show.
    pub(super) needs_1_1: bool,
    /// The keys in use, and whether other latents may share them.
    keys: HashMap<String, bool>,
    /// Unfinished streams, in the order in which they were opened.
    pub(super) streams: BTreeMap<u64, Unfinished>,
    next_stream: u64,
    /// Completed parts of streams, in order of completion. They wait until there are enough to
    /// compress in parallel.
    pub(super) waiting: Vec<Waiting>,
    /// The reason why the file can no longer be finished.
    failed: Option<Failure>,
    pub(super) notes: Vec<String>,
}

/// The reason why a file can no longer be finished.
struct Failure {
    cause: String,
    fault: Fault,
    kind: Option<io::ErrorKind>,
}

/// A stream that is not finished.
#[derive(Clone)]
pub(super) struct Unfinished {
    pub(super) key: Option<String>,
    pub(super) expected: u64,
    pub(super) found: u64,
}

/// A part of a stream, checked and converted but not compressed.
pub(super) struct Waiting {
    pub(super) record: ChunkRecord,
    pub(super) payload: Filled,
}

impl State {
    /// Assigns the next free bytes to a chunk. With `alignment`, its payload starts at a multiple
    /// of that, after a gap. Returns the space of the gap and the chunk.
    pub(super) fn place(&mut self, stored_size: u64, alignment: Option<u64>) -> Result<Range<u64>> {
        let most = Limits::default().chunks;
        if self.chunks >= most {
            return Err(Error::argument(
                "chunks of a file",
                format!("at most {most}, the default limit of readers"),
                "one more",
            ));
        }
        let start = self.cursor;
        let align = |alignment: u64| {
            let payload = start.checked_add(CHUNK_HEADER_SIZE)?.checked_next_multiple_of(alignment.max(1))?;
            Some(payload - CHUNK_HEADER_SIZE)
        };
        let offset = alignment.map_or(Some(start), align);
        let end = offset.and_then(|offset| offset.checked_add(stored_size));
        let Some(end) = end.filter(|end| i64::try_from(*end).is_ok()) else {
            let problem =
                format!("a chunk of {stored_size} bytes after the first {start} would end past 2^63");
            return Err(Error::TooLarge { what: "the file".into(), problem });
        };
        if end > self.end {
            return Err(too_large_for_1_0(end));
        }
        self.cursor = end;
        self.chunks += 1;
        Ok(start..end)
    }

    /// Reserves the keys of a latent and of its parts.
    pub(super) fn reserve_keys(&mut self, plan: &Plan) -> Result<()> {
        let shares = plan.entry.shares_key;
        let keys: Vec<String> = plan.entry.key.iter().cloned().chain(plan.part_keys()).collect();
        let is_taken =
            |key: &&String| self.keys.get(*key).is_some_and(|others_share| !(shares && *others_share));
        match keys.iter().find(is_taken) {
            Some(key) => Err(Error::DuplicateKey { key: key.clone() }),
            None => {
                self.keys.extend(keys.into_iter().map(|key| (key, shares)));
                Ok(())
            }
        }
    }

    /// Releases the keys of a latent.
    pub(super) fn release_keys(&mut self, plan: &Plan) {
        self.release_parts(plan);
        // Other latents may still use a shared key.
        if let (Some(key), false) = (plan.entry.key(), plan.entry.shares_key) {
            self.keys.remove(key);
        }
    }

    /// Releases the keys of a latent's parts, because it is stored whole after all.
    pub(super) fn release_parts(&mut self, plan: &Plan) {
        for key in plan.part_keys() {
            self.keys.remove(&key);
        }
    }

    /// Registers a stream and returns its number.
    pub(super) fn open_stream(&mut self, key: Option<&str>, expected: u64) -> u64 {
        let id = self.next_stream;
        self.next_stream += 1;
        self.streams.insert(id, Unfinished { key: key.map(str::to_owned), expected, found: 0 });
        id
    }
}

impl<'w> Session<'w> {
    pub(super) fn start(
        sink: Box<dyn Sink + 'w>,
        path: Option<PathBuf>,
        options: WriteOptions,
    ) -> Result<Self> {
        let end = if options.max_version < Version::V1_1 { u64::from(u32::MAX) } else { u64::MAX };
        let state = State { cursor: FILE_HEADER_SIZE, end, ..State::default() };
        let session = Self { sink, path, options, state: Mutex::new(state) };
        // An incomplete file starts with zeros, which no reader accepts as GEN5.
        session.write(&[0; size_of::<FileHeader>()], 0)?;
        Ok(session)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Even if a thread panicked while it held the lock, the state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an error if an earlier write failed.
    pub(super) fn check_usable(&self) -> Result<()> {
        match &self.state().failed {
            Some(Failure { cause, fault, kind }) => {
                Err(Error::WriterFailed { cause: cause.clone(), fault: *fault, kind: *kind })
            }
            None => Ok(()),
        }
    }

    /// Returns an error if anything was written or a stream is open.
    pub(super) fn check_empty(&self) -> Result<()> {
        let state = self.state();
        if state.chunks == 0 && state.streams.is_empty() {
            return Ok(());
        }
        let found = format!("{} written and {} open streams", state.chunks, state.streams.len());
        Err(Error::argument("latents and other chunks of the new file", "none yet", found))
    }

    /// Records the reason why the file can no longer be finished. Only the first reason is kept.
    pub(super) fn fail(&self, error: &Error) {
        self.state().failed.get_or_insert_with(|| Failure {
            cause: format!("{error:#}"),
            fault: error.fault(),
            kind: error.io_kind(),
        });
    }

    /// Returns an error if the caller has cancelled, and records it.
    pub(super) fn check_cancelled(&self) -> Result<()> {
        self.options.cancelled.check().inspect_err(|error| self.fail(error))
    }

    /// Writes unless cancelled, and records a failure.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.check_cancelled()?;
        self.sink.write_all_at(bytes, offset).map_err(|error| {
            let error = self.io_error(&format!("write {} bytes at offset {offset} of", bytes.len()))(error);
            self.fail(&error);
            error
        })
    }

    /// Returns a function that adds the failed action, without the file, to an I/O error.
    pub(super) fn io_error(&self, action: &str) -> impl FnOnce(io::Error) -> Error + use<> {
        let name = self.path.as_ref().map_or_else(|| "the file".into(), |path| path.display().to_string());
        let action = format!("{action} {name}");
        let path = self.path.clone();
        move |source| Error::Io { action, path, source }
    }

    /// Writes a raw chunk's gap and header, together. Returns the offset of its payload.
    pub(super) fn write_head(&self, space: &Range<u64>, record: &ChunkRecord) -> Result<u64> {
        let payload = space.end - record.payload_size;
        let offset = payload - CHUNK_HEADER_SIZE;
        let mut head = vec![0; usize::try_from(offset - space.start).unwrap_or(0)];
        head.extend_from_slice(record.header().as_bytes());
        self.write(&head, space.start)?;
        Ok(payload)
    }

    /// Releases the space that one call was assigned. Space at the end becomes free again, if the
    /// bytes after the table can be cut off. The rest becomes gaps of zeros.
    pub(super) fn take_back(&self, mut spaces: Vec<Range<u64>>) -> Result<()> {
        {
            let mut state = self.state();
            state.chunks = state.chunks.saturating_sub(spaces.len() as u64);
            // Other threads may have been assigned space before, between and after these.
            let can_shrink = self.sink.is_positional();
            while let Some(space) = spaces.pop_if(|space| can_shrink && space.end == state.cursor) {
                state.cursor = space.start;
            }
        }
        spaces.into_iter().try_for_each(|space| self.erase(space))
    }

    /// Returns a guard that makes the file unusable if a panic drops it, because the data in
    /// progress is lost. Only the caller's own code can panic here.
    pub(super) fn guard(&self) -> PanicGuard<'_, 'w> {
        PanicGuard { session: self, panicking: std::thread::panicking() }
    }

    fn erase(&self, space: Range<u64>) -> Result<()> {
        let zeros = vec![0; ERASE_BLOCK];
        let mut at = space.start;
        while at < space.end {
            let size = usize::try_from(space.end - at).unwrap_or(ERASE_BLOCK).min(ERASE_BLOCK);
            self.write(zeros.get(..size).unwrap_or_default(), at)?;
            at += size as u64;
        }
        Ok(())
    }

    pub(super) fn progress(&self, bytes: usize) {
        self.options.progress.add(bytes as u64);
    }
}

/// See [`Session::guard`].
pub(super) struct PanicGuard<'s, 'w> {
    session: &'s Session<'w>,
    /// Whether the thread was already panicking, so that this writer is used during cleanup.
    panicking: bool,
}

impl Drop for PanicGuard<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.panicking {
            self.session.state().failed.get_or_insert_with(|| Failure {
                cause: "a panic in the caller's code".into(),
                fault: Fault::Caller,
                kind: None,
            });
        }
    }
}

/// Returns the error for a file of at least this size.
pub(super) fn too_large_for_1_0(bytes: u64) -> Error {
    let problem =
        format!("it would have {bytes} bytes or more, but a file of version 1.0 must be smaller than 4 GiB");
    Error::TooLarge { what: "the file".into(), problem }
}
