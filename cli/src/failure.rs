//! The exit code of each failure.

use std::fmt;
use std::io;
use std::path::Path;

use gen5::Fault;

use crate::suggest::likely_file;
use crate::terminal::shown;

/// How a command ended, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// All is fine.
    Fine,
    /// It was to be compared, and differs.
    Different,
    /// It could not be done: I/O, or something was refused.
    Failed,
    /// The command line is wrong.
    Usage,
    /// A file is damaged, or no GEN5 file.
    Damaged,
}

impl Status {
    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Damaged => 3,
            Self::Different => 4,
        }
    }

    /// What an error means.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.is::<UsageError>() {
            return Self::Usage;
        }
        error.downcast_ref().map_or(Self::Failed, Self::of_library)
    }

    /// What an error of the library means.
    pub(crate) fn of_library(error: &gen5::Error) -> Self {
        match error.fault() {
            Fault::Format | Fault::Integrity => Self::Damaged,
            _ => Self::Failed,
        }
    }
}

/// A mistake in how a command was called that only the command itself can see.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// An error of the library about this file, which those of the system name already.
pub(crate) fn of_file(error: gen5::Error, path: &Path) -> anyhow::Error {
    match &error {
        gen5::Error::Io { error: cause, .. } => match likely_file(path, cause) {
            Some(name) => anyhow::anyhow!("{error}; is {name} meant?"),
            None => error.into(),
        },
        _ => anyhow::Error::from(error).context(shown(path)),
    }
}

/// Whether an error is that of results which nobody reads any more.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
