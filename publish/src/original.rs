//! The file that a reader has opened: whether a path still refers to it, and whether it has
//! changed.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::identity::Identity;

/// A file in the state in which it was opened.
#[derive(Debug)]
pub struct Original {
    /// Its absolute path, if it was opened by a path.
    path: Option<PathBuf>,
    identity: Identity,
    /// A handle that keeps the file locked.
    lock: Option<File>,
}

impl Original {
    /// Creates a record of a file with this identity. `path` is its absolute path. The file stays
    /// locked while `lock` is open.
    pub fn new(path: Option<PathBuf>, identity: Identity, lock: Option<File>) -> Self {
        Self { path, identity, lock }
    }

    /// Returns whether the file was locked when it was opened, and still is.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Returns whether replacing the file at `path` replaces this one: either it is there, or it
    /// was opened by that path.
    pub fn belongs_at(&self, path: &Path) -> bool {
        let is_there =
            fs::metadata(path).is_ok_and(|there| Identity::of(&there).is_same_file(&self.identity));
        is_there
            || self.path.as_deref().is_some_and(|own| place(own).is_some_and(|own| Some(own) == place(path)))
    }

    /// Checks that the file at `path` is this one, in the state in which it was opened.
    ///
    /// # Errors
    ///
    /// [`Error::Outdated`] if it is not; [`Error::Io`] if this cannot be determined.
    pub fn check(&self, path: &Path) -> Result<()> {
        let change = match fs::metadata(path) {
            Ok(there) => match Identity::of(&there) {
                there if there == self.identity => return Ok(()),
                there if there.is_same_file(&self.identity) => "changed",
                _ => "replaced",
            },
            Err(error) if error.kind() == ErrorKind::NotFound => "removed",
            Err(error) => return Err(Error::io_at("inspect", path)(error)),
        };
        Err(Error::Outdated { path: path.to_owned(), change })
    }
}

/// Returns the path with its links resolved, even if the file does not exist.
fn place(path: &Path) -> Option<PathBuf> {
    if let Ok(place) = fs::canonicalize(path) {
        return Some(place);
    }
    let path = std::path::absolute(path).ok()?;
    Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?))
}
