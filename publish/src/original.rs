//! The file that a reader has opened: whether a path still leads to it, and whether it is as it was.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::identity::Identity;

/// A file as it was when it was opened.
#[derive(Debug)]
pub struct Original {
    /// Its absolute path, if it was opened by one.
    path: Option<PathBuf>,
    identity: Identity,
    /// Keeps it locked.
    lock: Option<File>,
}

impl Original {
    /// A file with this identity. `path` is its absolute path; as long as `lock` is open, the file stays locked.
    pub fn new(path: Option<PathBuf>, identity: Identity, lock: Option<File>) -> Self {
        Self { path, identity, lock }
    }

    /// Whether it was locked when it was opened, and still is.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Whether what replaces the file at `path` replaces this one: it is there, or it was opened by that path.
    pub fn belongs_at(&self, path: &Path) -> bool {
        let is_there =
            fs::metadata(path).is_ok_and(|there| Identity::of(&there).is_same_file(&self.identity));
        is_there
            || self.path.as_deref().is_some_and(|own| place(own).is_some_and(|own| Some(own) == place(path)))
    }

    /// Refuses to replace the file at `path` if it is not this one any more, as it was when it was opened.
    ///
    /// # Errors
    ///
    /// [`Error::Outdated`]; [`Error::Io`] if that cannot be known.
    pub fn check(&self, path: &Path) -> Result<()> {
        let change = match fs::metadata(path) {
            Ok(there) => match Identity::of(&there) {
                there if there == self.identity => return Ok(()),
                there if there.is_same_file(&self.identity) => "changed",
                _ => "replaced",
            },
            Err(error) if error.kind() == ErrorKind::NotFound => "removed",
            Err(error) => return Err(Error::io(format!("look at {}", path.display()))(error)),
        };
        Err(Error::Outdated { path: path.display().to_string(), change })
    }
}

/// A path without links, also of a file that is not there.
fn place(path: &Path) -> Option<PathBuf> {
    if let Ok(place) = fs::canonicalize(path) {
        return Some(place);
    }
    let path = std::path::absolute(path).ok()?;
    Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?))
}
