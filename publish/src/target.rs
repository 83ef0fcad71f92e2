//! Where a file is to be: at a path, or in a file that is open.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::{Error, Result};
use crate::file::{Draft, Replace};

/// Where a file is to be.
pub enum Target<'a> {
    /// At a path.
    Path {
        /// The path.
        path: &'a Path,
        /// What may be replaced there.
        replace: Replace,
    },
    /// In a file that is open already.
    Open(File),
}

impl Target<'_> {
    /// An empty file to write to, and what is to be published when it is complete.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if that cannot be.
    pub fn open(self, sync: bool) -> Result<(File, Option<Draft>)> {
        match self {
            Self::Path { path, replace } => {
                let draft = Draft::start(path, replace, sync)?;
                Ok((draft.handle()?, Some(draft)))
            }
            Self::Open(file) => {
                refuse_appending(&file)?;
                file.set_len(0).map_err(Error::io("empty the file that is to be written"))?;
                Ok((file, None))
            }
        }
    }
}

/// A file that is open for appending has its bytes elsewhere than where they are written.
#[cfg(unix)]
fn refuse_appending(file: &File) -> Result<()> {
    let failed = || Error::io("write to the file");
    let flags = rustix::fs::fcntl_getfl(file).map_err(|error| failed()(error.into()))?;
    match flags.contains(rustix::fs::OFlags::APPEND) {
        true => Err(failed()(io::Error::new(ErrorKind::InvalidInput, "it is open for appending"))),
        false => Ok(()),
    }
}

#[cfg(not(unix))]
fn refuse_appending(_: &File) -> Result<()> {
    Ok(())
}
