//! The exit code of each failure.

use std::fmt;
use std::io;
use std::path::Path;

use gen5::error::Fault;

use crate::suggest::likely_file;
use crate::terminal::shown;

/// The result of a command, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// Success.
    Fine,
    /// The compared items differ.
    Different,
    /// The command failed: an I/O error, or a request that was rejected.
    Failed,
    /// The command line is invalid.
    Usage,
    /// A file is damaged, or not a GEN5 file.
    Damaged,
}

impl Status {
    /// The exit code of the process.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Damaged => 3,
            Self::Different => 4,
        }
    }

    /// The status for an error.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.is::<UsageError>() {
            return Self::Usage;
        }
        error.downcast_ref().map_or(Self::Failed, Self::of_library)
    }

    /// The status for an error of the library.
    pub(crate) fn of_library(error: &gen5::Error) -> Self {
        match error.fault() {
            Fault::Format | Fault::Integrity => Self::Damaged,
            _ => Self::Failed,
        }
    }
}

/// A usage error that only the command itself can detect.
#[derive(Debug)]
struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// A usage error with this text.
pub(crate) fn usage_error(problem: impl Into<String>) -> anyhow::Error {
    UsageError(problem.into()).into()
}

/// An error of the library with the file's name. I/O errors already contain it.
pub(crate) fn of_file(error: gen5::Error, path: &Path) -> anyhow::Error {
    match &error {
        gen5::Error::Io { source, .. } => match likely_file(path, source) {
            Some(name) => anyhow::anyhow!("{error:#}; did you mean {name}?"),
            None => error.into(),
        },
        _ => anyhow::Error::from(error).context(shown(path)),
    }
}

/// Whether the error is a closed pipe: the reader of the results has gone.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
