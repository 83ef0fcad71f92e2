//! Writes a file with the chunks of another, byte for byte at the same offsets, and with a table of
//! its own.

use super::end::End;
use super::{Summary, Writer, summarize};
use crate::error::{Error, Result};
use crate::manifest::{ChunkRecord, FileMembers, Outline};
use crate::wire::{FILE_HEADER_SIZE, Version};

/// Bytes to copy at a time.
const BLOCK: usize = 1 << 20;

/// The chunks of another file.
pub(crate) struct ChunkSource<'a> {
    pub(crate) records: &'a [ChunkRecord],
    /// Whether version 1.0 may not have one of them.
    pub(crate) needs_1_1: bool,
    /// A function that fills a buffer with the bytes at an offset.
    pub(crate) read: &'a dyn Fn(&mut [u8], u64) -> Result<()>,
}

impl Writer<'_> {
    /// Finishes the file with these chunks, before any other was written.
    pub(crate) fn finish_verbatim(
        self,
        source: &ChunkSource<'_>,
        outline: &Outline,
        members: &FileMembers<'_>,
    ) -> Result<Summary> {
        let session = &self.session;
        session.check_usable()?;
        session.check_empty()?;
        let &ChunkSource { records, needs_1_1, read } = source;
        let end = records.iter().map(ChunkRecord::end).max().unwrap_or(FILE_HEADER_SIZE);
        if session.options.max_version < Version::V1_1 && (needs_1_1 || end > u64::from(u32::MAX)) {
            let found = if needs_1_1 {
                "one with chunks of version 1.1".into()
            } else {
                format!("one with {end} bytes before its table")
            };
            return Err(Error::argument("the file", "one that version 1.0 can express", found));
        }
        let mut buffer = Vec::new();
        let mut at = FILE_HEADER_SIZE;
        while at < end {
            let size = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
            buffer.resize(size, 0);
            read(&mut buffer, at)?;
            session.write(&buffer, at)?;
            session.progress(size);
            at += size as u64;
        }
        session.state().cursor = at;
        let end = End {
            chunk_count: records.len(),
            needs_1_1,
            manifest: &|file_size, version| outline.manifest(file_size, version, members),
        };
        self.publish(&end, summarize(records))
    }
}
