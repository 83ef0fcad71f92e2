//! The end of a file: the manifest with its table, then the file header.

use zerocopy::IntoBytes;

use super::buffers::Filled;
use super::encode::compress_whole;
use super::session::{Session, too_large_for_1_0};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::manifest::ChunkRecord;
use crate::wire::{
    CHUNK_HEADER_SIZE, ChunkType, FileHeader, IN_RESERVED, LARGE_FILE, MAGIC, NO_FLAGS, Version,
    size_in_header,
};

/// The level of the table's frame, whatever the level of the latents.
const TABLE_LEVEL: i32 = 3;

/// The data for the end of a file: the manifest, and the header's values for it.
pub(super) struct End<'a> {
    pub(super) chunk_count: usize,
    /// Whether version 1.0 may not have one of the chunks.
    pub(super) needs_1_1: bool,
    /// A function that returns the manifest's text for a file with this length and version.
    pub(super) manifest: &'a dyn Fn(u64, Version) -> Result<String>,
}

impl End<'_> {
    /// Returns the lowest version that can express these chunks in a file of this length. If a
    /// chunk is too large for version 1.0, so is the file.
    fn version(&self, length: u64) -> Version {
        if self.needs_1_1 || is_large(length) { Version::V1_1 } else { Version::V1_0 }
    }

    /// Returns the header of a file of `length` bytes whose table starts at `table_offset`.
    fn header(&self, table_offset: u64, length: u64) -> FileHeader {
        let Version { major: version_major, minor: version_minor } = self.version(length);
        let mut header = FileHeader {
            magic: MAGIC,
            version_major,
            version_minor,
            flags: 0.into(),
            chunk_table_offset: size_in_header(table_offset).into(),
            chunk_table_size: size_in_header(length - table_offset).into(),
            chunk_count: size_in_header(self.chunk_count as u64).into(), // at most what the limits allow
            file_size: size_in_header(length).into(),
            reserved: 0.into(),
        };
        if is_large(length) {
            header.flags = LARGE_FILE.into();
            header.chunk_table_offset = IN_RESERVED.into();
            header.chunk_table_size = 0.into();
            header.file_size = IN_RESERVED.into();
            header.reserved = table_offset.into();
        }
        header
    }

    /// Writes the table after the chunks, and then the header, which makes the file valid. Returns
    /// the file's length and version.
    pub(super) fn write(&self, session: &Session<'_>) -> Result<(u64, Version)> {
        let end = session.state().cursor;
        let (table, length) = fit_table(session, end, self)?;
        if self.version(length) > session.options.max_version {
            return Err(too_large_for_1_0(length));
        }
        let table = table.bytes();
        let offset = length - table.len() as u64;
        let mut bytes = vec![0; usize::try_from(offset - end).unwrap_or(0)];
        bytes.extend_from_slice(table);
        session.write(&bytes, end)?;
        session.write(self.header(offset, length).as_bytes(), 0)?;
        // Bytes of a call that failed in the end may remain after the table.
        let shrunk = if session.sink.is_positional() { session.sink.set_len(length) } else { Ok(()) };
        shrunk.and_then(|()| session.sink.flush()).map_err(session.io_error("write the end of"))?;
        Ok((length, self.version(length)))
    }
}

fn is_large(length: u64) -> bool {
    u32::try_from(length).is_err()
}

/// Returns the stored table of a file whose chunks end at `chunks_end`, and that file's length.
///
/// The length is part of the table, and affects its compressed size. In a third of all cases no
/// length is consistent with itself. So the length has some slack, and zero bytes before the table
/// fill the rest.
fn fit_table(session: &Session<'_>, chunks_end: u64, end: &End<'_>) -> Result<(Filled, u64)> {
    let stored = |length| stored_table(session, &(end.manifest)(length, end.version(length))?);
    let mut room = stored(chunks_end)?.bytes().len() as u64;
    loop {
        // A few different digits change the size by only a few bytes. If they change it by more,
        // the loop runs again.
        room += 16;
        let length = chunks_end + room;
        let table = stored(length)?;
        let size = table.bytes().len() as u64;
        if size <= room {
            return Ok((table, length));
        }
        room = size;
    }
}

/// Returns the manifest in its stored form.
fn stored_table(session: &Session<'_>, json: &str) -> Result<Filled> {
    let limit = Limits::default().table_bytes;
    if json.len() as u64 + CHUNK_HEADER_SIZE > limit {
        return Err(Error::argument(
            "manifest",
            format!("at most {limit} bytes, the default limit of readers"),
            format!("{} bytes", json.len()),
        ));
    }
    let mut record = ChunkRecord::new(ChunkType::MANIFEST, NO_FLAGS);
    record.payload_size = json.len() as u64;
    compress_whole(session, &record.header(), json.as_bytes(), TABLE_LEVEL)
}
