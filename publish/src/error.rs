//! The errors of publishing.

use std::io;

/// The result of publishing.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file or folder was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("could not {action}: {error}")]
    Io {
        /// What was being done, with the path: `create batch.gen5`.
        action: String,
        /// The system's error. It is part of this error's text, and so not its source: a chain says it once.
        error: io::Error,
    },
    /// The file to be replaced is not the one that was read any more. Nothing was written.
    #[error(
        "could not replace {path}: another program has {change} it since it was read, so nothing was written; start again \
         from what is there now"
    )]
    Outdated {
        /// Where it is.
        path: String,
        /// `changed`, `replaced` or `removed`.
        change: &'static str,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// An error of the operating system in doing this.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |error| Self::Io { action, error }
    }
}
