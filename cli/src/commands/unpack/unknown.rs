//! Output files for chunks of unknown types.

use std::path::Path;

use anyhow::Result;
use gen5::Reader;
use serde::Serialize;

use crate::names::file_names;
use crate::output::folder::{create_folder, write};
use crate::unknown::{UnknownChunk, unknown_chunks};

/// The folder for these files inside the output folder.
const UNKNOWN: &str = "unknown";

/// The location of a chunk: an element of `index.json`.
#[derive(Serialize)]
pub(super) struct IndexedChunk {
    /// Relative to the folder that holds `index.json`.
    pub(super) file: String,
    #[serde(flatten)]
    chunk: UnknownChunk,
}

/// The files for chunks of unknown types: `unknown/3-MASK.bin`.
pub(super) fn plan_chunks(reader: &Reader) -> Vec<IndexedChunk> {
    let chunks: Vec<UnknownChunk> = unknown_chunks(reader).map(UnknownChunk::of).collect();
    let stems: Vec<String> = chunks.iter().map(|chunk| format!("{}-{}", chunk.index, chunk.kind)).collect();
    let names = file_names(stems.iter().map(|stem| Some(stem.as_str())), "bin");
    let entry = |(chunk, name)| IndexedChunk { file: format!("{UNKNOWN}/{name}"), chunk };
    chunks.into_iter().zip(names).map(entry).collect()
}

/// Writes the decompressed payloads of these chunks.
pub(super) fn write_chunks(reader: &Reader, entries: &[IndexedChunk], folder: &Path) -> Result<()> {
    if !entries.is_empty() {
        create_folder(&folder.join(UNKNOWN))?;
    }
    entries.iter().try_for_each(|entry| write(&folder.join(&entry.file), &reader.payload(entry.chunk.index)?))
}
