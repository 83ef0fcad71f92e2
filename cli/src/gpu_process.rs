//! A second process of this program that loads NVIDIA's library. If the library hangs or crashes,
//! only that process is affected.

use std::env;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use gen5::Capture;

/// The argument that starts the program as this process.
const ARGUMENT: &str = "__gpus";

/// Whether this process is the program itself, rather than a test.
static IS_PROGRAM: AtomicBool = AtomicBool::new(false);

/// Reports the GPUs and returns the exit code, if this process was started for that. `main` calls
/// it first.
pub fn serve_gpus() -> Option<ExitCode> {
    IS_PROGRAM.store(true, Ordering::Relaxed);
    let is_asked = env::args_os().skip(1).eq([ARGUMENT]);
    is_asked.then(|| match Capture::serve_gpus(&mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        // The parent process has stopped reading.
        Err(_) => ExitCode::FAILURE,
    })
}

/// The capture, with a GPU process if this process is the program.
pub(crate) fn used_by(capture: Capture) -> Capture {
    let program = env::current_exe().ok().filter(|_| IS_PROGRAM.load(Ordering::Relaxed));
    match program {
        Some(program) => capture.gpu_process(program, [ARGUMENT]),
        None => capture,
    }
}
