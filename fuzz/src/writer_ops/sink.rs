//! A byte sink that may fail.

use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arbitrary::Arbitrary;

/// The faults of a sink: it may fail once, permanently, or not at all.
#[derive(Arbitrary, Clone, Debug)]
pub(super) struct Fault {
    after: Option<u8>,
    once: bool,
    /// If set, a write accepts at most this number of bytes plus one, and some writes are
    /// interrupted.
    short: Option<u8>,
    full: bool,
}

/// A sink in memory with faults.
pub(super) struct Sink {
    out: Cursor<Vec<u8>>,
    fault: Fault,
    calls: u64,
    failed: Arc<AtomicBool>,
}

impl Sink {
    /// An empty sink, and a flag that is set when it fails.
    pub(super) fn new(fault: Fault) -> (Self, Arc<AtomicBool>) {
        let failed = Arc::new(AtomicBool::new(false));
        (Self { out: Cursor::new(Vec::new()), fault, calls: 0, failed: Arc::clone(&failed) }, failed)
    }

    /// The written bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out.into_inner()
    }

    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        let due = self.fault.after.map(u64::from);
        let fails =
            due.is_some_and(|due| if self.fault.once { self.calls == due + 1 } else { self.calls > due });
        if fails {
            self.failed.store(true, Ordering::Relaxed);
            return Err(
                if self.fault.full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other }.into()
            );
        }
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.call()?;
        match self.fault.short {
            Some(_) if self.calls.is_multiple_of(3) => Err(io::ErrorKind::Interrupted.into()),
            Some(most) => self.out.write(&bytes[..bytes.len().min(usize::from(most) + 1)]),
            None => self.out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.call()
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.call()?;
        self.out.seek(to)
    }
}
