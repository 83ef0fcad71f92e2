//! Errors of publishing files and folders.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A result of publishing.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of publishing a file or a folder.
///
/// `{error}` says what could not be done. `{error:#}` also says why, which is the error's source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system returned an error.
    #[error(fmt = fmt_io)]
    Io {
        /// The failed action, with the path if there is one: `create batch.gen5`.
        action: String,
        /// The path of the file or folder, if it has one.
        path: Option<PathBuf>,
        /// The system's error.
        source: io::Error,
    },
    /// The file to replace has changed since it was read. Nothing was written.
    #[error(
        "could not replace {}: another program has {change} it since it was read, so nothing was \
         written; start again from the current file",
        path.display()
    )]
    Outdated {
        /// The path of the file.
        path: PathBuf,
        /// `changed`, `replaced` or `removed`.
        change: &'static str,
    },
    /// The caller cancelled the operation.
    #[error("cancelled")]
    Cancelled,
}

fn fmt_io(action: &str, _: &Option<PathBuf>, source: &io::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "could not {action}")?;
    if f.alternate() { write!(f, ": {source}") } else { Ok(()) }
}

impl Error {
    /// Returns a function that adds the failed action to an I/O error.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, path: None, source }
    }

    /// Returns a function that adds the failed action, a verb, and its path to an I/O error.
    pub(crate) fn io_at(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let action = format!("{verb} {}", path.display());
        let path = path.to_owned();
        move |source| Self::Io { action, path: Some(path), source }
    }
}
