//! The identity of a file and its state at one moment. Platform calls that distinguish files are
//! here.

use std::fs::Metadata;

/// A file's identity and state. Two values are equal if the file was neither replaced nor changed
/// in between.
///
/// Times are only as precise as the file system's clock. A change in place within a few
/// milliseconds of the previous one may be missed if it keeps the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    file: FileId,
    len: u64,
    times: Times,
}

impl Identity {
    /// Returns the identity of a file with this metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self { file: FileId::of(metadata), len: metadata.len(), times: Times::of(metadata) }
    }

    /// Returns whether both are the same file, even if it has changed.
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

/// The number of a file, unique while the file is open.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

#[cfg(unix)]
impl FileId {
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// The time of the last change of the contents, and of the last change of anything, which programs
/// cannot set back.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    modified: (i64, i64),
    changed: (i64, i64),
}

#[cfg(unix)]
impl Times {
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Stable Rust has no file number on Windows, so the creation time must suffice. Not tested there.
#[cfg(windows)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    created: u64,
}

#[cfg(windows)]
impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self { created: std::os::windows::fs::MetadataExt::creation_time(metadata) }
    }
}

#[cfg(windows)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    modified: u64,
}

#[cfg(windows)]
impl Times {
    fn of(metadata: &Metadata) -> Self {
        Self { modified: std::os::windows::fs::MetadataExt::last_write_time(metadata) }
    }
}
