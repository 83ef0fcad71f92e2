//! The end of a file: the manifest with its table, then the file header.

use std::borrow::Cow;

use serde::Serialize;

use super::buffers::Filled;
use super::encode::compress_whole;
use super::options::Storage;
use super::session::{LatentChunk, NewRecord, Session, chunk_header, too_large_for_1_0};
use crate::codec::Digest;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::manifest::{Extra, Metadata, ModelInfo, Part, to_text};
use crate::wire::{
    CHUNK_HEADER_SIZE, ChunkType, FileHeader, IN_RESERVED, LARGE_FILE, MAGIC, NO_FLAGS, VERSION_1_0,
    VERSION_1_1, size_in_header,
};
use zerocopy::IntoBytes;

/// The level of the table's frame, whatever the level of the latents.
const TABLE_LEVEL: i32 = 3;

#[derive(Serialize)]
struct Root<'a> {
    gen5_metadata: Body<'a>,
    #[serde(flatten)]
    beside: &'a Extra,
}

#[derive(Serialize)]
struct Body<'a> {
    file_info: FileInfo<'a>,
    model_info: &'a ModelInfo,
    chunks: &'a Records<'a>,
    #[serde(flatten)]
    beside: &'a Extra,
}

#[derive(Serialize)]
struct FileInfo<'a> {
    magic: &'static str,
    version_major: u8,
    version_minor: u8,
    file_size: u64,
    chunk_count: usize,
    #[serde(flatten)]
    beside: &'a Extra,
}

#[derive(Serialize)]
struct Record<'a> {
    index: usize,
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    flags: Cow<'a, str>,
    offset: u64,
    compressed_size: u64,
    uncompressed_size: u64,
    hash: Digest,
    extra: RecordExtra<'a>,
    compressed: bool,
    #[serde(flatten)]
    unknown: &'a Extra,
}

#[derive(Serialize)]
struct RecordExtra<'a> {
    #[serde(flatten)]
    latent: Option<LatentExtra<'a>>,
    #[serde(flatten)]
    extra: &'a Extra,
}

#[derive(Serialize)]
struct LatentExtra<'a> {
    shape: &'a [usize],
    dtype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a Part>,
}

/// The records of a file.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Records<'a>(Vec<Record<'a>>);

impl<'a> Records<'a> {
    fn of(records: &'a [NewRecord]) -> Self {
        Self(records.iter().enumerate().map(|(index, new)| record(index, new)).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A function that returns the text of a manifest for a file with this length, version and records.
pub(crate) type ManifestText<'a> = dyn Fn(u64, (u8, u8), &Records<'_>) -> Result<String> + 'a;

/// Returns flags as text. Flags from other files were also text there.
fn tag(flags: &[u8; 4]) -> Cow<'_, str> {
    let end = flags.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    String::from_utf8_lossy(flags.get(..end).unwrap_or_default())
}

fn record(index: usize, record: &NewRecord) -> Record<'_> {
    Record {
        index,
        kind: String::from_utf8_lossy(&record.kind.0),
        flags: tag(&record.flags),
        offset: record.place.offset,
        compressed_size: record.place.stored_size,
        uncompressed_size: record.payload_size,
        hash: record.sha256,
        extra: RecordExtra {
            latent: record.latent.as_ref().map(|latent| LatentExtra {
                shape: &latent.shape,
                dtype: latent.dtype.name(),
                key: latent.key.as_deref(),
                part: latent.part.as_ref(),
            }),
            extra: &record.extra,
        },
        compressed: record.compressed,
        unknown: &record.unknown,
    }
}

/// The data for the end of a file: the manifest, and the header's values for it.
pub(super) struct End<'a> {
    pub(super) chunk_count: usize,
    /// Whether a chunk has a type that version 1.0 does not have.
    pub(super) is_newer: bool,
    /// A function that returns the manifest's text for a file with this length and version.
    pub(super) manifest: &'a dyn Fn(u64, (u8, u8)) -> Result<String>,
}

impl End<'_> {
    /// Returns the lowest version that can express these chunks in a file of this length. If a
    /// chunk is too large for version 1.0, so is the file.
    fn version(&self, length: u64) -> (u8, u8) {
        if self.is_newer || is_large(length) { VERSION_1_1 } else { VERSION_1_0 }
    }

    /// Returns the header of a file of `length` bytes whose table starts at `table_offset`.
    fn header(&self, table_offset: u64, length: u64) -> FileHeader {
        let (version_major, version_minor) = self.version(length);
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
    pub(super) fn write(&self, session: &Session<'_>) -> Result<(u64, (u8, u8))> {
        let end = session.state().cursor;
        let (table, length) = fit_table(session, end, self)?;
        if session.options.compatible && self.version(length) > VERSION_1_0 {
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
        let action = format!("write the end of {}", session.name);
        shrunk.and_then(|()| session.sink.flush()).map_err(Error::io(action))?;
        Ok((length, self.version(length)))
    }
}

fn is_large(length: u64) -> bool {
    u32::try_from(length).is_err()
}

/// Writes the end of a file with these chunks. Returns the file's length and version.
pub(super) fn write_table(
    session: &Session<'_>,
    records: &[NewRecord],
    manifest: &ManifestText<'_>,
) -> Result<(u64, (u8, u8))> {
    let is_newer = |record: &NewRecord| {
        let needs_1_1 = |latent: &LatentChunk| latent.dtype.needs_1_1(latent.storage == Storage::Shuffled);
        record.is_newer || record.latent.as_ref().is_some_and(needs_1_1)
    };
    let texts = Records::of(records);
    let end = End {
        chunk_count: records.len(),
        is_newer: records.iter().any(is_newer),
        manifest: &|file_size, version| manifest(file_size, version, &texts),
    };
    end.write(session)
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
        let expected = format!("at most {limit} bytes, as readers expect");
        let (what, found) = ("manifest".into(), format!("{} bytes", json.len()));
        return Err(Error::Argument { what, expected, found });
    }
    let header = chunk_header(ChunkType::MANIFEST, NO_FLAGS, json.len() as u64);
    compress_whole(session, &header, json.as_bytes(), TABLE_LEVEL)
}

/// Returns a manifest with this metadata.
pub(super) fn manifest(
    file_size: u64,
    version: (u8, u8),
    records: &Records<'_>,
    metadata: &Metadata,
) -> Result<String> {
    let root = Root {
        gen5_metadata: Body {
            file_info: FileInfo {
                magic: "GEN5",
                version_major: version.0,
                version_minor: version.1,
                file_size,
                chunk_count: records.len(),
                beside: &metadata.in_file_info,
            },
            model_info: metadata.model_info(),
            chunks: records,
            beside: &metadata.beside_model_info,
        },
        beside: &metadata.beside_manifest,
    };
    to_text("the manifest", &root)
}
