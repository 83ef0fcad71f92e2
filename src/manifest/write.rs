//! Writes the manifest: the JSON of a record, and the text around the records.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::extra::to_text;
use super::record::ChunkRecord;
use crate::error::Result;

/// Returns the JSON text of `chunks`, the list of records.
pub(crate) fn records_json(records: &[ChunkRecord]) -> Result<String> {
    to_text("chunks", &records)
}

/// The record's JSON in the manifest, with the members that the format does not define.
impl Serialize for ChunkRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_map(None)?;
        record.serialize_entry("index", &self.index)?;
        record.serialize_entry("type", &String::from_utf8_lossy(&self.kind.0))?;
        record.serialize_entry("flags", &flags_text(&self.flags))?;
        record.serialize_entry("offset", &self.offset)?;
        record.serialize_entry("compressed_size", &self.stored_size)?;
        record.serialize_entry("uncompressed_size", &self.payload_size)?;
        record.serialize_entry("hash", &self.sha256)?;
        record.serialize_entry("extra", &RecordExtra(self))?;
        record.serialize_entry("compressed", &self.compressed)?;
        self.unknown.serialize_into(&mut record)?;
        record.end()
    }
}

/// The `extra` of a record: the description of a latent, then other members.
struct RecordExtra<'a>(&'a ChunkRecord);

impl Serialize for RecordExtra<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut extra = serializer.serialize_map(None)?;
        if let Some(latent) = &self.0.latent {
            extra.serialize_entry("shape", &latent.shape)?;
            extra.serialize_entry("dtype", latent.dtype.name())?;
            if let Some(key) = &latent.key {
                extra.serialize_entry("key", key)?;
            }
            if let Some(part) = &latent.part {
                extra.serialize_entry("part", part)?;
            }
        }
        self.0.extra.serialize_into(&mut extra)?;
        extra.end()
    }
}

/// Returns flags as text. Flags from other files were also text there.
fn flags_text(flags: &[u8; 4]) -> Cow<'_, str> {
    let end = flags.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    String::from_utf8_lossy(flags.get(..end).unwrap_or_default())
}
