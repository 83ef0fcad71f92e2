//! Writes a file with the chunks of another, byte for byte at the same offsets, and with a table of
//! its own.

use gen5_publish::{Draft, Target};

use super::end::End;
use super::session::Session;
use super::{WriteOptions, file_name};
use crate::error::{Error, Result};
use crate::wire::FILE_HEADER_SIZE;

/// Bytes to copy at a time.
const BLOCK: usize = 1 << 20;

/// The chunks of another file.
pub(crate) struct Chunks<'a> {
    /// The end of the last chunk.
    pub(crate) end: u64,
    pub(crate) count: usize,
    /// Whether version 1.0 may not have one of the chunks.
    pub(crate) needs_1_1: bool,
    /// A function that fills a buffer with the bytes at an offset.
    pub(crate) read: &'a dyn Fn(&mut [u8], u64) -> Result<()>,
    /// A function that returns the manifest's text for a file with this length and version.
    pub(crate) manifest: &'a dyn Fn(u64, (u8, u8)) -> Result<String>,
}

impl WriteOptions {
    /// Writes a file with these chunks and publishes it. Returns its length and version.
    pub(crate) fn copy(self, chunks: &Chunks<'_>, target: Target<'_>) -> Result<(u64, (u8, u8))> {
        if self.compatible && (chunks.needs_1_1 || chunks.end > u64::from(u32::MAX)) {
            let found = if chunks.needs_1_1 {
                "one with chunks of version 1.1".into()
            } else {
                format!("one of {} bytes before its table", chunks.end)
            };
            return Err(Error::argument("the file", "one that version 1.0 can express", found));
        }
        let (file, draft) = target.open(self.sync).map_err(Error::of_publishing)?;
        let session = Session::start(Box::new(file), file_name(draft.as_ref()), self)?;
        let mut buffer = Vec::new();
        let mut at = FILE_HEADER_SIZE;
        while at < chunks.end {
            let size = usize::try_from(chunks.end - at).unwrap_or(BLOCK).min(BLOCK);
            buffer.resize(size, 0);
            (chunks.read)(&mut buffer, at)?;
            session.write(&buffer, at)?;
            session.progress(size);
            at += size as u64;
        }
        session.state().cursor = at;
        let Chunks { count: chunk_count, needs_1_1, manifest, .. } = *chunks;
        let written = End { chunk_count, needs_1_1, manifest }.write(&session)?;
        draft.map_or(Ok(()), Draft::publish).map_err(Error::of_publishing)?;
        Ok(written)
    }
}
