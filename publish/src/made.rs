//! The temporaries that this process has made, and whether any of them may still be published.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{NamedTempFile, TempDir};

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { process: 0, paths: BTreeSet::new(), are_abandoned: false });

struct Registry {
    /// The process that made them. A forked child has a copy of this list, but does not own its
    /// parent's temporaries.
    process: u32,
    paths: BTreeSet<PathBuf>,
    are_abandoned: bool,
}

/// The number of attempts to remove a folder while files are still written into it.
const ATTEMPTS: usize = 3;

/// A temporary that is registered while this value exists.
pub(crate) struct Known(PathBuf);

/// A temporary file or folder that is removed on drop, but only by the process that made it. A
/// forked child has a copy, and its parent continues to use it.
pub(crate) struct Own<T: Temporary> {
    temporary: T,
    process: u32,
}

/// A file or folder that removes itself on drop.
pub(crate) trait Temporary {
    /// Disables removal on drop.
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
    /// Wraps a temporary that this process has made.
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
    /// Registers the temporary at this path.
    pub(crate) fn at(path: &Path) -> Self {
        // The program may change its working folder.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        registry().paths.insert(path.clone());
        Self(path)
    }

    /// Runs `rename`, which gives a temporary its name, unless all are abandoned.
    pub(crate) fn publish<T>(rename: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let registry = registry();
        if registry.are_abandoned {
            return Err(io::Error::other("the process is ending"));
        }
        rename()
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        registry().paths.remove(&self.0);
    }
}

fn registry() -> MutexGuard<'static, Registry> {
    let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    if registry.process != process::id() {
        *registry = Registry { process: process::id(), paths: BTreeSet::new(), are_abandoned: false };
    }
    registry
}

/// Removes the temporaries of all writers and drafts of this process, and prevents all of them from
/// being published.
///
/// This is for a process that must exit now, for example after a signal, while other threads still
/// write. Those threads get errors. Files that were already published are complete and stay.
/// Temporaries that cannot be removed are left, as after a killed process.
pub fn abandon_drafts() {
    let paths = {
        let mut registry = registry();
        registry.are_abandoned = true;
        std::mem::take(&mut registry.paths)
    };
    for path in paths {
        if fs::remove_file(&path).is_err() {
            (0..ATTEMPTS).take_while(|_| path.is_dir() && fs::remove_dir_all(&path).is_err()).for_each(drop);
        }
    }
}
