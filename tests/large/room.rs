//! Disk space for one test at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A folder for large files, removed when dropped.
pub(crate) struct Room {
    pub(crate) folder: TempDir,
    // Dropped after the folder, so that the next test starts when the files are gone.
    _turn: MutexGuard<'static, ()>,
}

impl Room {
    /// Waits for its turn, and for `gigabytes` (of 10^9 bytes) to be free.
    pub(crate) fn of(gigabytes: u64, test: &str) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let place = rustix::fs::statvfs(folder.path()).unwrap();
        let free = place.f_bavail * place.f_frsize / 1_000_000_000;
        eprintln!("{test}: needs {gigabytes} GB of disk, {free} GB are free in {}", folder.path().display());
        assert!(
            free >= gigabytes,
            "{test} needs {gigabytes} GB of disk, and {} has {free} GB: free some, or set TMPDIR to another folder",
            std::env::temp_dir().display()
        );
        Self { folder, _turn: turn }
    }
}
