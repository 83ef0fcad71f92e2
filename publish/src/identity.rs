//! Which file it is, and its state at a moment. Platform calls that tell files apart are here.

use std::fs::Metadata;

/// A file's identity and state: equal as long as the file was neither replaced nor changed.
///
/// Times are as coarse as the file system's clock, so that a change in place within some milliseconds of the last one
/// may be missed if it keeps the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    file: FileId,
    len: u64,
    times: Times,
}

impl Identity {
    /// Of a file with this metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self { file: FileId::of(metadata), len: metadata.len(), times: Times::of(metadata) }
    }

    /// Whether both are the same file, which may have changed.
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

/// The number of a file, which no other file has while this one is open.
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

/// The last change of the contents, and the last change of anything, which no program can set back.
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

/// Stable Rust has no file number on Windows, so the time of creation must do. Not tested there.
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
