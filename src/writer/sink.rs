//! The output of a writer: anything that supports writes at an offset from several threads.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

/// An output for a file's bytes. Offsets are relative to the start of the file.
pub(crate) trait Sink: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Flushes all data to the system.
    fn flush(&self) -> io::Result<()>;

    /// Returns whether threads can write in parallel, and [`set_len`](Self::set_len) works.
    fn is_positional(&self) -> bool;

    /// Truncates the file to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

impl Sink for File {
    #[cfg(unix)]
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    /// Written for Windows, not tested there.
    #[cfg(windows)]
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(self, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = bytes.split_at(count.min(bytes.len())).1;
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn is_positional(&self) -> bool {
        true
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }
}

/// A writer that can seek. Only one thread at a time uses it.
pub(crate) struct SeekSink<W> {
    inner: Mutex<W>,
    start: u64,
}

impl<W: Write + Seek> SeekSink<W> {
    /// Creates a sink whose file starts at the current position of `inner`.
    pub(crate) fn new(mut inner: W) -> io::Result<Self> {
        let start = inner.stream_position()?;
        Ok(Self { inner: Mutex::new(inner), start })
    }
}

impl<W: Write + Seek + Send> Sink for SeekSink<W> {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let position = self.start.checked_add(offset).ok_or(io::ErrorKind::InvalidInput)?;
        inner.seek(SeekFrom::Start(position))?;
        inner.write_all(bytes)
    }

    fn flush(&self) -> io::Result<()> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }

    fn is_positional(&self) -> bool {
        false
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
