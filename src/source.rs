//! The source of a file's bytes: a memory map, bytes in memory, or positioned reads. Platform calls
//! for reading are here.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gen5_publish::{Identity, Original, Patience, lock_file};

use crate::error::{Error, Result};
use crate::mmap::Map;

/// A value whose bytes can be requested repeatedly.
type SharedBytes = Box<dyn AsRef<[u8]> + Send + Sync>;

enum Kind {
    Map(Map),
    Bytes(SharedBytes),
    File { file: File, path: Option<PathBuf> },
}

/// The bytes of a file. The length is fixed when it is opened.
pub(crate) struct Source {
    kind: Kind,
    len: u64,
    /// The file that the bytes come from, if any.
    original: Option<Arc<Original>>,
}

impl Source {
    /// Opens a file for positioned reads, with a lock if `patience` is given.
    pub(crate) fn open(path: &Path, patience: Option<&Patience<'_>>) -> Result<Self> {
        let (file, there, original) = open_original(path, patience)?;
        Ok(Self {
            kind: Kind::File { file, path: Some(path.to_owned()) },
            len: there.len(),
            original: Some(original),
        })
    }

    /// Uses a file that is already open, for positioned reads.
    pub(crate) fn of_file(file: File) -> Result<Self> {
        let there = regular_metadata(&file).map_err(Error::io("inspect the file"))?;
        let original = Some(Arc::new(Original::new(None, Identity::of(&there), None)));
        Ok(Self { kind: Kind::File { file, path: None }, len: there.len(), original })
    }

    /// Maps a file into memory.
    ///
    /// # Safety
    ///
    /// While the source is alive, nothing may write to the file, truncate it or punch holes in it.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn map(path: &Path, patience: Option<&Patience<'_>>) -> Result<Self> {
        let (file, there, original) = open_original(path, patience)?;
        if there.len() == 0 {
            // Some systems cannot map an empty range.
            return Ok(Self { original: Some(original), ..Self::from_bytes(Box::new([])) });
        }
        // SAFETY: this function has the same contract as `Map::new`, and the caller upholds it.
        let map = unsafe { Map::new(&file) }.map_err(Error::io_at("map", path))?;
        let len = map.bytes().len() as u64;
        Ok(Self { kind: Kind::Map(map), len, original: Some(original) })
    }

    /// Uses bytes that are already in memory.
    pub(crate) fn from_bytes(bytes: SharedBytes) -> Self {
        let len = (*bytes).as_ref().len() as u64;
        Self { kind: Kind::Bytes(bytes), len, original: None }
    }

    /// Returns the file, in the state in which it was opened, or `None` for bytes in memory.
    pub(crate) fn original(&self) -> Option<&Arc<Original>> {
        self.original.as_ref()
    }

    /// Returns the length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Returns the bytes of `range` in place if they are in memory, or `None` if they must be read.
    ///
    /// For bytes in memory, each call requests the slice again, and it may be shorter than before.
    pub(crate) fn borrow(&self, range: Range<u64>) -> Result<Option<&[u8]>> {
        match &self.kind {
            Kind::Map(map) => self.part_of(map.bytes(), range).map(Some),
            Kind::Bytes(bytes) => self.part_of((**bytes).as_ref(), range).map(Some),
            Kind::File { .. } => Ok(None),
        }
    }

    fn part_of<'b>(&self, bytes: &'b [u8], range: Range<u64>) -> Result<&'b [u8]> {
        let ends = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let part = ends.and_then(|(start, end)| bytes.get(start..end));
        part.ok_or(Error::Changed { expected: self.len, found: bytes.len() as u64 })
    }

    /// Requests that the system read these bytes ahead, without waiting for it. The system may
    /// ignore this.
    pub(crate) fn prefetch(&self, range: Range<u64>) {
        let len = range.end.saturating_sub(range.start);
        match &self.kind {
            Kind::Map(map) => {
                if let (Ok(start), Ok(len)) = (usize::try_from(range.start), usize::try_from(len)) {
                    map.prefetch(start, len);
                }
            }
            Kind::Bytes(_) => {}
            Kind::File { file, .. } => read_ahead(file, range.start, len),
        }
    }

    /// Fills `buffer` with the bytes from `offset` on.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let range = offset..offset.saturating_add(buffer.len() as u64);
        match &self.kind {
            Kind::Map(map) => buffer.copy_from_slice(self.part_of(map.bytes(), range)?),
            Kind::Bytes(bytes) => buffer.copy_from_slice(self.part_of((**bytes).as_ref(), range)?),
            Kind::File { file, path } => return self.read_file(file, path.as_deref(), buffer, offset),
        }
        Ok(())
    }

    fn read_file(&self, file: &File, path: Option<&Path>, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset + done as u64;
            match read_at(file, rest, at) {
                Ok(0) => return Err(Error::Changed { expected: self.len, found: at }),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let name = path.unwrap_or(Path::new("the file")).display();
                    return Err(Error::Io {
                        action: format!("read {name} at offset {at}"),
                        path: path.map(Path::to_owned),
                        source: error,
                    });
                }
            }
        }
        Ok(())
    }
}

/// Opens `path` if it is a regular file.
///
/// Folders, pipes and devices are rejected before they are opened, since opening some devices has
/// effects. If one of them replaces the file at that moment, a second check rejects it.
fn open_regular(path: &Path) -> Result<(File, Metadata)> {
    let failed = || Error::io_at("open", path);
    let there = std::fs::metadata(path).map_err(failed())?;
    if !there.is_file() {
        return Err(failed()(not_a_file(&there)));
    }
    let file = open_without_waiting(path).map_err(failed())?;
    let there = regular_metadata(&file).map_err(failed())?;
    Ok((file, there))
}

/// Opens `path` if it is a regular file, and locks it if `patience` is given.
fn open_original(path: &Path, patience: Option<&Patience<'_>>) -> Result<(File, Metadata, Arc<Original>)> {
    let failed = || Error::io_at("open", path);
    // A program may change its working folder before it replaces the file.
    let absolute = std::path::absolute(path).map_err(failed())?;
    let original =
        |there: &Metadata, lock| Arc::new(Original::new(Some(absolute.clone()), Identity::of(there), lock));
    let Some(patience) = patience else {
        let (file, there) = open_regular(path)?;
        let original = original(&there, None);
        return Ok((file, there, original));
    };
    loop {
        let (file, _) = open_regular(path)?;
        let is_locked = lock_file(&file, path, patience).map_err(Error::of_publishing)?;
        // The previous holder of the lock may have changed the file, or put another in its place,
        // which other programs may have locked.
        let there = regular_metadata(&file).map_err(failed())?;
        let now = Identity::of(&std::fs::metadata(path).map_err(failed())?);
        if now.is_same_file(&Identity::of(&there)) {
            let lock = if is_locked { Some(file.try_clone().map_err(failed())?) } else { None };
            let original = original(&there, lock);
            return Ok((file, there, original));
        }
    }
}

/// Without this flag, opening a pipe would wait for a writer. It has no effect on regular files.
#[cfg(unix)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    File::options().read(true).custom_flags(flags).open(path)
}

#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Returns the metadata of a regular file.
fn regular_metadata(file: &File) -> io::Result<Metadata> {
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok(metadata) } else { Err(not_a_file(&metadata)) }
}

fn not_a_file(there: &Metadata) -> io::Error {
    let kind = if there.is_dir() { io::ErrorKind::IsADirectory } else { io::ErrorKind::InvalidInput };
    io::Error::new(kind, "not a regular file; copy it to a regular file first")
}

/// Does nothing on systems without a suitable call.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn read_ahead(file: &File, offset: u64, len: u64) {
    use rustix::fs::{Advice, fadvise};

    let _ = fadvise(file, offset, std::num::NonZeroU64::new(len), Advice::WillNeed);
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn read_ahead(_: &File, _: u64, _: u64) {}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

/// Written for Windows, not tested there.
#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// The pipe has no writer, and opening it must not wait for one.
    #[test]
    fn a_pipe_in_a_files_place_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let opened = open_without_waiting(&pipe).unwrap();
        assert_eq!(regular_metadata(&opened).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
