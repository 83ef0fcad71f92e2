//! The end of a file: the manifest with its table, then the file header.

use serde::Serialize;
use serde::ser::Serializer;

use super::encode::compress_chunk;
use super::session::{NewRecord, Session, chunk_header};
use crate::codec::Digest;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::manifest::{Extra, Metadata, ModelInfo, Part, to_text};
use crate::wire::{CHUNK_HEADER_SIZE, ChunkType, FileHeader, MAGIC, VERSION};
use zerocopy::IntoBytes;

/// The level of the table's frame, whatever that of the latents.
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
    chunks: Vec<Record<'a>>,
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
    #[serde(rename = "type", serialize_with = "display")]
    kind: ChunkType,
    flags: String,
    offset: u64,
    compressed_size: u64,
    uncompressed_size: u64,
    hash: Digest,
    extra: RecordExtra<'a>,
    compressed: bool,
}

#[derive(Serialize)]
struct RecordExtra<'a> {
    #[serde(flatten)]
    latent: Option<LatentExtra<'a>>,
}

#[derive(Serialize)]
struct LatentExtra<'a> {
    shape: &'a [usize],
    dtype: &'static str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a Part>,
    #[serde(flatten)]
    extra: &'a Extra,
}

fn display<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn record(index: usize, record: &NewRecord) -> Record<'_> {
    Record {
        index,
        kind: record.kind,
        flags: String::from_utf8_lossy(&record.flags).trim_end_matches('\0').to_owned(),
        offset: record.place.offset,
        compressed_size: record.place.stored_size,
        uncompressed_size: record.payload_size,
        hash: record.sha256,
        extra: RecordExtra {
            latent: record.latent.as_ref().map(|latent| LatentExtra {
                shape: &latent.shape,
                dtype: latent.dtype.name(),
                key: &latent.key,
                part: latent.part.as_ref(),
                extra: &latent.extra,
            }),
        },
        compressed: record.compressed,
    }
}

/// Writes the table behind the chunks, and then the header, which makes the file one. Returns the file's length.
pub(super) fn write_table(session: &Session<'_>, records: &[NewRecord], metadata: &Metadata) -> Result<u64> {
    let end = session.state().cursor;
    let (table, length) = fit_table(end, records, metadata)?;
    let offset = length - table.len() as u64;
    let mut bytes = vec![0; usize::try_from(offset - end).unwrap_or(0)];
    bytes.extend_from_slice(&table);
    session.write(&bytes, end)?;

    let header = FileHeader {
        magic: MAGIC,
        version_major: VERSION.0,
        version_minor: VERSION.1,
        flags: 0.into(),
        chunk_table_offset: in_header(offset)?.into(),
        chunk_table_size: in_header(table.len() as u64)?.into(),
        chunk_count: in_header(records.len() as u64)?.into(),
        file_size: in_header(length)?.into(),
        reserved: 0.into(),
    };
    session.write(header.as_bytes(), 0)?;
    // Behind the table may be what a call wrote that was refused in the end.
    let shrunk = if session.sink.is_positional() { session.sink.set_len(length) } else { Ok(()) };
    shrunk.and_then(|()| session.sink.flush()).map_err(Error::io("write the end of the file"))?;
    Ok(length)
}

fn in_header(value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::TooLarge {
        what: format!("a file of {value} bytes, of which 4 GiB is the limit"),
    })
}

/// The stored table of a file whose chunks end at `end`, and that file's length.
///
/// The length stands in the table, whose compressed size depends on it, and a third of the time no length fits itself.
/// So the length is chosen with some slack, and zero bytes before the table use up what is left of that.
fn fit_table(end: u64, records: &[NewRecord], metadata: &Metadata) -> Result<(Vec<u8>, u64)> {
    let mut room = stored_table(end, records, metadata)?.len() as u64;
    loop {
        // A few digits that differ change the size by a few bytes; should they change it by more, there is a next time.
        room += 16;
        let length = end + room;
        let table = stored_table(length, records, metadata)?;
        let size = table.len() as u64;
        if size <= room {
            return Ok((table, length));
        }
        room = size;
    }
}

fn stored_table(file_size: u64, records: &[NewRecord], metadata: &Metadata) -> Result<Vec<u8>> {
    let root = Root {
        gen5_metadata: Body {
            file_info: FileInfo {
                magic: "GEN5",
                version_major: VERSION.0,
                version_minor: VERSION.1,
                file_size,
                chunk_count: records.len(),
                beside: &metadata.in_file_info,
            },
            model_info: metadata.model_info(),
            chunks: records.iter().enumerate().map(|(index, new)| record(index, new)).collect(),
            beside: &metadata.beside_model_info,
        },
        beside: &metadata.beside_manifest,
    };
    let json = to_text("the manifest", &root)?;
    let limit = Limits::default().table_bytes;
    if json.len() as u64 + CHUNK_HEADER_SIZE > limit {
        let expected = format!("at most {limit} bytes, as readers expect");
        let (what, found) = ("manifest".into(), format!("{} bytes", json.len()));
        return Err(Error::Argument { what, expected, found });
    }
    compress_chunk(&chunk_header(ChunkType::MANIFEST, None, json.len() as u64)?, json.as_bytes(), TABLE_LEVEL)
}
