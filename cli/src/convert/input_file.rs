//! The files that arrays are read from: named files, or an unnamed one with the contents of
//! standard input.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::suggest::of_path;
use crate::terminal::shown;

/// A file that arrays are read from. It can be opened several times at once.
#[derive(Clone, Debug)]
pub struct InputFile {
    path: PathBuf,
    /// A file to read instead of the path.
    kept: Option<Arc<File>>,
}

impl InputFile {
    /// The file at a path.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), kept: None }
    }

    /// An open file; messages call it by this path.
    pub fn kept(path: &Path, file: File) -> Self {
        Self { path: path.to_owned(), kept: Some(Arc::new(file)) }
    }

    /// Its path, if it has one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.kept.is_none().then_some(&self.path)
    }

    /// Its name in errors.
    pub(super) fn name(&self) -> String {
        shown(&self.path).to_string()
    }

    /// Opens the file and returns its size. Pipes and devices are rejected before opening, which
    /// could block forever.
    pub(super) fn open(&self) -> Result<(FileCursor, u64)> {
        let failed = || format!("cannot open {}", shown(&self.path));
        let file = match &self.kept {
            Some(file) => Arc::clone(file),
            None => {
                let metadata =
                    fs::metadata(&self.path).map_err(|error| of_path(error, &self.path, failed()))?;
                ensure!(metadata.is_file(), "{} is not a regular file", shown(&self.path));
                Arc::new(File::open(&self.path).with_context(failed)?)
            }
        };
        let size = file.metadata().with_context(failed)?.len();
        Ok((FileCursor { file, at: 0 }, size))
    }
}

/// A file with its own read position, independent of other readers.
#[derive(Debug)]
pub(super) struct FileCursor {
    file: Arc<File>,
    at: u64,
}

impl Read for FileCursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = read_at(&self.file, buf, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for FileCursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

/// Written for Windows; not tested there.
#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
