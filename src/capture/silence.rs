//! Reasons why a source gives no answer.

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// The reason why there is no answer.
#[derive(Debug)]
pub(super) enum Silence {
    NotStarted(io::Error),
    /// The process exited, or closed its output.
    Ended(Option<ExitStatus>),
    TooMuch,
    Nonsense,
    TooLate(Duration),
    Cancelled,
}

/// The most bytes to read from the output of a process.
pub(super) const MAX_OUTPUT: u64 = 1 << 20;

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(error) => write!(f, "it could not be started: {error}"),
            Self::Ended(Some(status)) => write!(f, "it ended without an answer ({status})"),
            Self::Ended(None) => f.write_str("it closed its output without an answer"),
            Self::TooMuch => write!(f, "it printed no answer in its first {MAX_OUTPUT} bytes"),
            Self::Nonsense => f.write_str("its answer is not valid"),
            Self::TooLate(limit) => write!(f, "it did not answer within {limit:?}"),
            Self::Cancelled => f.write_str("the capture was cancelled"),
        }
    }
}
