//! A file that a command reads and then replaces with its result. Other programs that do the same
//! wait until it is done.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use gen5::{ReadOptions, Reader};

use crate::input::Inputs;
use crate::output::Output;
use crate::streams::is_dash;
use crate::terminal::shown;

/// The time to wait silently, and the total time.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Whether writing to `output` replaces the input `file`.
pub(crate) fn is_own(file: &Path, output: &Path) -> bool {
    let place = |path: &Path| if is_dash(path) { None } else { fs::canonicalize(path).ok() };
    place(file).is_some_and(|file| Some(file) == place(output))
}

/// Opens a file that its own copy will replace, and locks it until the reader is dropped.
pub(crate) fn open_own(
    options: &ReadOptions,
    path: &Path,
    input: &Inputs<'_>,
    output: &mut Output<'_>,
) -> Result<Reader> {
    let open = |longest| input.open_with(options.clone().lock(longest), path);
    match open(PATIENCE.0) {
        Err(error) if is_time_out(&error) => {
            output.note(&format!("{}: waiting for another program that is changing it", shown(path)));
            open(PATIENCE.1)
        }
        opened => opened,
    }
}

fn is_time_out(error: &anyhow::Error) -> bool {
    error.downcast_ref().and_then(gen5::Error::io_kind) == Some(ErrorKind::TimedOut)
}
