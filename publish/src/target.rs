//! The destination of a file: a path, or a file that is already open.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::{Error, Result};
use crate::file::{Draft, Replace};

/// The destination of a file.
pub enum Target<'a> {
    /// A path.
    Path {
        /// The path.
        path: &'a Path,
        /// The files that may be replaced there.
        replace: Replace,
    },
    /// A file that is already open.
    Open(File),
}

impl Target<'_> {
    /// Returns an empty file to write to, and the draft to publish when it is complete, if the
    /// target is a path.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be created or emptied.
    pub fn open(self, sync: bool) -> Result<(File, Option<Draft>)> {
        match self {
            Self::Path { path, replace } => {
                let draft = Draft::start(path, replace, sync)?;
                Ok((draft.handle()?, Some(draft)))
            }
            Self::Open(file) => {
                refuse_appending(&file)?;
                file.set_len(0).map_err(Error::io("truncate the file"))?;
                Ok((file, None))
            }
        }
    }
}

/// Returns an error for a file that is open for appending, because the system ignores the offsets
/// of writes to it.
#[cfg(unix)]
fn refuse_appending(file: &File) -> Result<()> {
    let failed = || Error::io("write to the file");
    let flags = rustix::fs::fcntl_getfl(file).map_err(|error| failed()(error.into()))?;
    if flags.contains(rustix::fs::OFlags::APPEND) {
        Err(failed()(io::Error::new(ErrorKind::InvalidInput, "it is open for appending")))
    } else {
        Ok(())
    }
}

#[cfg(not(unix))]
fn refuse_appending(_: &File) -> Result<()> {
    Ok(())
}
