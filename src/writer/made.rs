//! The temporaries that this process has made, and whether any of them may still be published.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static MADE: Mutex<Made> = Mutex::new(Made { paths: BTreeSet::new(), are_abandoned: false });

struct Made {
    paths: BTreeSet<PathBuf>,
    are_abandoned: bool,
}

/// How often a folder is removed into which files are still written.
const ATTEMPTS: usize = 3;

/// A temporary that is known as long as this lives.
pub(super) struct Known(PathBuf);

impl Known {
    /// Makes the temporary at this path known.
    pub(super) fn at(path: &Path) -> Self {
        // Other programs may change their working folder.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        made().paths.insert(path.clone());
        Self(path)
    }

    /// Runs `rename`, which gives a temporary its name, unless all are abandoned.
    pub(super) fn publish<T>(rename: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
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
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
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
