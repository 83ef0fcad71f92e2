//! Errors of publishing files and folders.

use std::io;

/// A result of publishing.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of publishing a file or a folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system returned an error.
    #[error("could not {action}: {error}")]
    Io {
        /// The failed action, with the path: `create batch.gen5`.
        action: String,
        /// The system's error. Its text is part of this error's text, so it is not this error's
        /// source, and an error chain prints it once.
        error: io::Error,
    },
    /// The file to replace has changed since it was read. Nothing was written.
    #[error(
        "could not replace {path}: another program has {change} it since it was read, so nothing was written; start again \
         from what is there now"
    )]
    Outdated {
        /// The path of the file.
        path: String,
        /// `changed`, `replaced` or `removed`.
        change: &'static str,
    },
    /// The caller cancelled the operation.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// Returns a function that adds the failed action to an I/O error.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |error| Self::Io { action, error }
    }
}
