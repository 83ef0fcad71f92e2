//! Chunks of types that this version does not know, written by a newer version or another program.
//! Commands either copy them or report that they drop them.

use std::collections::BTreeMap;

use gen5::Reader;
use gen5::chunk::ChunkRecord;
use serde::Serialize;

/// Maximum number of types named in a note.
const NAMED: usize = 5;

/// The JSON report of a chunk of an unknown type.
#[derive(Serialize)]
pub(crate) struct UnknownChunk {
    /// Its position among the records.
    pub(crate) index: usize,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Eight hexadecimal digits.
    pub(crate) flags: String,
    pub(crate) payload_size: u64,
    pub(crate) sha256: String,
}

impl UnknownChunk {
    pub(crate) fn of(record: &ChunkRecord) -> Self {
        Self {
            index: record.index(),
            kind: record.kind().to_string(),
            flags: flags(record),
            payload_size: record.payload_size(),
            sha256: record.sha256().to_string(),
        }
    }
}

/// The flags of a chunk as hexadecimal digits.
pub(crate) fn flags(record: &ChunkRecord) -> String {
    record.flags().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The chunks of unknown types, in the order of the records.
pub(crate) fn unknown_chunks(reader: &Reader) -> impl Iterator<Item = &ChunkRecord> {
    reader.chunks().iter().filter(|record| !record.kind().is_known())
}

/// The number of chunks and their types: `2 chunks of unknown type MASK`.
pub(crate) fn describe(reader: &Reader) -> Option<String> {
    let mut types: BTreeMap<String, usize> = BTreeMap::new();
    for record in unknown_chunks(reader) {
        *types.entry(record.kind().to_string()).or_default() += 1;
    }
    let total: usize = types.values().sum();
    let chunks = if total == 1 { "chunk" } else { "chunks" };
    let mut names: Vec<&str> = types.keys().map(String::as_str).take(NAMED).collect();
    let more = types.len().saturating_sub(NAMED);
    let rest = format!("{more} more");
    if more > 0 {
        names.push(&rest);
    }
    match &*names {
        [] => None,
        [only] => Some(format!("{total} {chunks} of unknown type {only}")),
        [some @ .., last] => {
            Some(format!("{total} {chunks} of unknown types {} and {last}", some.join(", ")))
        }
    }
}
