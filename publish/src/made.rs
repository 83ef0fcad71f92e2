//! The temporaries that this process has made, and whether any of them may still be published.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{NamedTempFile, TempDir};

static MADE: Mutex<Made> = Mutex::new(Made { process: 0, paths: BTreeSet::new(), are_abandoned: false });

struct Made {
    /// The process that these are of. A forked child has a copy, and nothing to do with its parent's temporaries.
    process: u32,
    paths: BTreeSet<PathBuf>,
    are_abandoned: bool,
}

/// How often a folder is removed into which files are still written.
const ATTEMPTS: usize = 3;

/// A temporary that is known as long as this lives.
pub(crate) struct Known(PathBuf);

/// A temporary file or folder that is removed when this is dropped, but only by the process that made it: a forked child
/// has a copy, and its parent goes on.
pub(crate) struct Own<T: Temporary> {
    temporary: T,
    process: u32,
}

/// A file or folder that removes itself when it is dropped.
pub(crate) trait Temporary {
    /// Lets it stay when it is dropped.
    fn leave(&mut self);
}

impl Temporary for NamedTempFile {
    fn leave(&mut self) {
        self.disable_cleanup(true);
    }
}

impl Temporary for TempDir {
    fn leave(&mut self) {
        self.disable_cleanup(true);
    }
}

impl<T: Temporary> Own<T> {
    /// A temporary that this process has made.
    pub(crate) fn new(temporary: T) -> Self {
        Self { temporary, process: process::id() }
    }
}

impl<T: Temporary> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.temporary
    }
}

impl<T: Temporary> DerefMut for Own<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.temporary
    }
}

impl<T: Temporary> Drop for Own<T> {
    fn drop(&mut self) {
        if self.process != process::id() {
            self.leave();
        }
    }
}

impl Known {
    /// Makes the temporary at this path known.
    pub(crate) fn at(path: &Path) -> Self {
        // Other programs may change their working folder.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        made().paths.insert(path.clone());
        Self(path)
    }

    /// Runs `rename`, which gives a temporary its name, unless all are abandoned.
    pub(crate) fn publish<T>(rename: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let made = made();
        if made.are_abandoned {
            return Err(io::Error::other("the process is ending"));
        }
        rename()
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        made().paths.remove(&self.0);
    }
}

fn made() -> MutexGuard<'static, Made> {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if made.process != process::id() {
        *made = Made { process: process::id(), paths: BTreeSet::new(), are_abandoned: false };
    }
    made
}

/// Removes the temporaries of all writers and drafts of this process, and lets none of them be published from now on.
///
/// This is for a process that must end now, by a signal for example, while other threads still write. They get errors.
/// What was published before is complete and stays. What cannot be removed is left as by a process that is killed.
pub fn abandon_drafts() {
    let paths = {
        let mut made = made();
        made.are_abandoned = true;
        std::mem::take(&mut made.paths)
    };
    for path in paths {
        if fs::remove_file(&path).is_err() {
            (0..ATTEMPTS).take_while(|_| path.is_dir() && fs::remove_dir_all(&path).is_err()).for_each(drop);
        }
    }
}
