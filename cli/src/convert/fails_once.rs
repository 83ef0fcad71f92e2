//! A writer that reports its failure once.

use std::io::{self, Seek, SeekFrom, Write};

/// A writer that discards everything after the first failure. The zip crate completes its file on
/// drop and prints errors to standard error, although the failure has already been reported.
pub(super) struct FailsOnce<W> {
    file: W,
    has_failed: bool,
    /// The position and the size, as if nothing had failed.
    position: u64,
    end: u64,
}

impl<W> FailsOnce<W> {
    /// A writer of an empty file.
    pub(super) fn new(file: W) -> Self {
        Self { file, has_failed: false, position: 0, end: 0 }
    }

    fn tried<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        // Interrupted writes are retried.
        self.has_failed |= result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        result
    }
}

impl<W: Write> Write for FailsOnce<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = bytes.len();
        if !self.has_failed {
            let result = self.file.write(bytes);
            written = self.tried(result)?;
        }
        self.position = self.position.saturating_add(written as u64);
        self.end = self.end.max(self.position);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.has_failed {
            return Ok(());
        }
        let result = self.file.flush();
        self.tried(result)
    }
}

impl<W: Seek> Seek for FailsOnce<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            to if !self.has_failed => {
                let result = self.file.seek(to);
                self.tried(result)?
            }
            SeekFrom::Start(position) => position,
            SeekFrom::Current(by) => self.position.saturating_add_signed(by),
            SeekFrom::End(by) => self.end.saturating_add_signed(by),
        };
        Ok(self.position)
    }
}
