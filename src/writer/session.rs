//! The state shared by all handles of one file: its output, its progress, and its chunks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::array::{Piece, Plan};
use super::buffers::Filled;
use super::options::{Storage, WriteOptions};
use super::sink::Sink;
use crate::codec::Digest;
use crate::element::Dtype;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::manifest::{Extra, Part};
use crate::wire::{CHUNK_HEADER_SIZE, ChunkHeader, ChunkType, FILE_HEADER_SIZE, FileHeader, size_in_header};
use zerocopy::IntoBytes;

/// Bytes to erase at a time.
const ERASE_BLOCK: usize = 256 << 10;

/// One unfinished file, shared by its writer and its streams.
pub(super) struct Session<'w> {
    pub(super) sink: Box<dyn Sink + 'w>,
    /// The file's name in error messages.
    pub(super) name: String,
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
    pub(super) records: Vec<NewRecord>,
    /// The keys in use, and whether other latents may share them.
    keys: HashMap<String, bool>,
    /// Unfinished streams, in the order in which they were opened.
    pub(super) streams: BTreeMap<u64, Unfinished>,
    next_stream: u64,
    /// Completed parts of streams, in order of completion. They wait until there are enough to
    /// compress in parallel.
    pub(super) waiting: Vec<Waiting>,
    /// The reason why the file can no longer be finished.
    failed: Option<String>,
    pub(super) notes: Vec<String>,
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
    pub(super) chunk: LatentChunk,
    pub(super) payload: Filled,
}

/// A record for the table.
pub(super) struct NewRecord {
    pub(super) kind: ChunkType,
    pub(super) flags: [u8; 4],
    pub(super) place: Placement,
    pub(super) payload_size: u64,
    pub(super) compressed: bool,
    pub(super) sha256: Digest,
    pub(super) latent: Option<LatentChunk>,
    /// Members of `extra`, except those that describe a latent, and of the record itself.
    pub(super) extra: Extra,
    pub(super) unknown: Extra,
    /// Whether version 1.0 may not have this chunk, for a reason other than its dtype and storage.
    pub(super) is_newer: bool,
}

/// The additional members of a latent's chunk.
#[derive(Clone)]
pub(super) struct LatentChunk {
    pub(super) key: Option<String>,
    pub(super) shape: Arc<[usize]>,
    pub(super) dtype: Dtype,
    pub(super) storage: Storage,
    pub(super) part: Option<Part>,
    pub(super) extra: Extra,
    pub(super) unknown: Extra,
}

impl LatentChunk {
    pub(super) fn new(plan: &Plan, piece: &Piece) -> Self {
        Self {
            key: piece.key.clone(),
            shape: Arc::clone(&piece.shape),
            dtype: plan.dtype,
            storage: plan.storage,
            part: piece.part.clone(),
            extra: plan.entry.extra.clone(),
            unknown: plan.entry.unknown.clone(),
        }
    }

    /// Returns the key of the latent that the chunk belongs to.
    pub(super) fn latent_key(&self) -> Option<&str> {
        self.part.as_ref().map_or(self.key.as_deref(), |part| Some(&part.of))
    }

    /// Returns the header for its payload of `size` bytes.
    pub(super) fn header(&self, size: u64) -> ChunkHeader {
        chunk_header(ChunkType::LATENT, self.flags(), size)
    }

    fn flags(&self) -> [u8; 4] {
        self.dtype.flags(self.storage == Storage::Shuffled)
    }

    /// Returns its record, after it was written.
    pub(super) fn into_record(mut self, place: Placement, payload_size: u64, sha256: Digest) -> NewRecord {
        let (extra, unknown) = (std::mem::take(&mut self.extra), std::mem::take(&mut self.unknown));
        NewRecord {
            kind: ChunkType::LATENT,
            flags: self.flags(),
            place,
            payload_size,
            compressed: self.storage != Storage::Raw,
            sha256,
            latent: Some(self),
            extra,
            unknown,
            is_newer: false,
        }
    }
}

/// The place of a chunk in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    /// The start of the gap before the chunk.
    pub(super) gap: u64,
    /// The start of the chunk.
    pub(super) offset: u64,
    /// Its size in the file in bytes, including the header.
    pub(super) stored_size: u64,
}

impl Placement {
    pub(super) fn end(self) -> u64 {
        self.offset + self.stored_size
    }

    /// Returns the start of a raw chunk's payload.
    pub(super) fn payload_offset(self) -> u64 {
        self.offset + CHUNK_HEADER_SIZE
    }
}

impl State {
    /// Assigns the next free bytes to a chunk. With `alignment`, its payload starts at a multiple
    /// of that.
    pub(super) fn place(&mut self, stored_size: u64, alignment: Option<u64>) -> Result<Placement> {
        let most = Limits::default().chunks;
        if self.chunks >= most {
            let (what, expected) = ("chunks of a file".into(), format!("at most {most}, as readers expect"));
            return Err(Error::Argument { what, expected, found: "one more".into() });
        }
        let gap = self.cursor;
        let align = |alignment: u64| {
            let payload = gap.checked_add(CHUNK_HEADER_SIZE)?.checked_next_multiple_of(alignment.max(1))?;
            Some(payload - CHUNK_HEADER_SIZE)
        };
        let offset = alignment.map_or(Some(gap), align);
        let Some((offset, end)) = offset.and_then(|offset| Some((offset, offset.checked_add(stored_size)?)))
        else {
            let problem = format!("a chunk of {stored_size} bytes behind its {gap} would end past 2^64");
            return Err(Error::TooLarge { what: "the file".into(), problem });
        };
        if end > self.end {
            return Err(too_large_for_1_0(end));
        }
        let placement = Placement { gap, offset, stored_size };
        self.cursor = end;
        self.chunks += 1;
        Ok(placement)
    }

    /// Reserves the keys of a latent and of its parts.
    pub(super) fn reserve_keys(&mut self, plan: &Plan) -> Result<()> {
        let shares = plan.entry.shares_key;
        let parts =
            (plan.piece_count() > 1).then(|| plan.pieces().map(|piece| piece.key)).into_iter().flatten();
        let keys: Vec<String> = std::iter::once(plan.entry.key.clone()).chain(parts).flatten().collect();
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
        for key in plan.pieces().filter(|piece| piece.part.is_some()).filter_map(|piece| piece.key) {
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
    pub(super) fn start(sink: Box<dyn Sink + 'w>, name: String, options: WriteOptions) -> Result<Self> {
        let end = if options.compatible { u64::from(u32::MAX) } else { u64::MAX };
        let state = State { cursor: FILE_HEADER_SIZE, end, ..State::default() };
        let session = Self { sink, name, options, state: Mutex::new(state) };
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
            Some(cause) => Err(Error::WriterFailed { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// Records the reason why the file can no longer be finished. Only the first reason is kept.
    pub(super) fn fail(&self, error: &Error) {
        self.state().failed.get_or_insert_with(|| error.to_string());
    }

    /// Returns an error if the caller has cancelled, and records it.
    pub(super) fn check_cancelled(&self) -> Result<()> {
        self.options.cancelled.check().inspect_err(|error| self.fail(error))
    }

    /// Writes unless cancelled, and records a failure.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.check_cancelled()?;
        self.sink.write_all_at(bytes, offset).map_err(|error| {
            let action = format!("write {} bytes at offset {offset} of {}", bytes.len(), self.name);
            let error = Error::Io { action, error };
            self.fail(&error);
            error
        })
    }

    /// Writes a raw chunk's gap and header, together, before its payload.
    pub(super) fn write_head(&self, place: Placement, header: &ChunkHeader) -> Result<()> {
        let mut head = vec![0; usize::try_from(place.offset - place.gap).unwrap_or(0)];
        head.extend_from_slice(header.as_bytes());
        self.write(&head, place.gap)
    }

    /// Releases the places that one call was assigned. Places at the end become free again, if the
    /// bytes after the table can be cut off. The others become gaps of zeros.
    pub(super) fn take_back(&self, mut places: Vec<Placement>) -> Result<()> {
        {
            let mut state = self.state();
            state.chunks = state.chunks.saturating_sub(places.len() as u64);
            // Other threads may have been assigned places before, between and after these.
            let can_shrink = self.sink.is_positional();
            while let Some(place) = places.pop_if(|place| can_shrink && place.end() == state.cursor) {
                state.cursor = place.gap;
            }
        }
        places.into_iter().try_for_each(|place| self.erase(place))
    }

    /// Returns a guard that makes the file unusable if a panic drops it, because the data in
    /// progress is lost. Only the caller's own code can panic here.
    pub(super) fn guard(&self) -> PanicGuard<'_, 'w> {
        PanicGuard { session: self, panicking: std::thread::panicking() }
    }

    fn erase(&self, place: Placement) -> Result<()> {
        let zeros = vec![0; ERASE_BLOCK];
        let mut at = place.gap;
        while at < place.end() {
            let size = usize::try_from(place.end() - at).unwrap_or(ERASE_BLOCK).min(ERASE_BLOCK);
            self.write(zeros.get(..size).unwrap_or_default(), at)?;
            at += size as u64;
        }
        Ok(())
    }

    pub(super) fn progress(&self, bytes: usize) {
        if let Some(progress) = &self.options.progress {
            progress(bytes as u64);
        }
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
            self.session.state().failed.get_or_insert_with(|| "a panic in the caller's code".into());
        }
    }
}

/// Returns the error for a file of at least this size.
pub(super) fn too_large_for_1_0(bytes: u64) -> Error {
    let problem = format!("it would have {bytes} bytes or more, and one of version 1.0 has less than 4 GiB");
    Error::TooLarge { what: "the file".into(), problem }
}

/// Returns the header of a chunk.
pub(super) fn chunk_header(kind: ChunkType, flags: [u8; 4], payload_size: u64) -> ChunkHeader {
    ChunkHeader { kind: kind.0, flags, size: size_in_header(payload_size).into() }
}
