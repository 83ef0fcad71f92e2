//! Standard input and output of the process. An unusable descriptor is an error here; std treats
//! one that is closed, or open the wrong way, as empty or accepting everything.

use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::Path;

/// Whether a path means standard input or output.
pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Standard input.
pub fn input() -> Box<dyn Read + Send> {
    platform::input()
}

/// Standard output. On a terminal, each complete line is flushed.
pub fn output() -> Box<dyn Write + Send> {
    platform::output()
}

#[cfg(unix)]
mod platform {
    use std::fs::File;
    use std::io::LineWriter;
    use std::os::fd::AsFd;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::{BufWriter, IsTerminal, Read, Write, io};

    static INPUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);
    static OUTPUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

    // Before `main`, std opens /dev/null in place of closed descriptors, which hides that they were
    // closed. This code runs earlier. It must not use anything in std that needs initialization: it
    // only makes two system calls and sets two flags.
    ctor::declarative::ctor! {
        #[ctor(unsafe)]
        fn look() {
            INPUT_WAS_CLOSED.store(is_closed(io::stdin()), Ordering::Relaxed);
            OUTPUT_WAS_CLOSED.store(is_closed(io::stdout()), Ordering::Relaxed);
        }
    }

    fn is_closed(stream: impl AsFd) -> bool {
        rustix::io::fcntl_getfd(stream).is_err()
    }

    /// A stream that was closed when the process started.
    struct Closed(&'static str);

    impl Closed {
        fn error(&self) -> io::Error {
            io::Error::other(format!("standard {} is closed", self.0))
        }
    }

    impl Read for Closed {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.error())
        }
    }

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.error())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A descriptor as a file that reports all errors.
    fn file(stream: impl AsFd) -> io::Result<File> {
        stream.as_fd().try_clone_to_owned().map(File::from)
    }

    pub(super) fn input() -> Box<dyn Read + Send> {
        if INPUT_WAS_CLOSED.load(Ordering::Relaxed) {
            return Box::new(Closed("input"));
        }
        match file(io::stdin()) {
            Ok(file) => Box::new(file),
            Err(_) => Box::new(io::stdin()),
        }
    }

    pub(super) fn output() -> Box<dyn Write + Send> {
        if OUTPUT_WAS_CLOSED.load(Ordering::Relaxed) {
            return Box::new(Closed("output"));
        }
        match file(io::stdout()) {
            Ok(file) if io::stdout().is_terminal() => Box::new(LineWriter::new(file)),
            Ok(file) => Box::new(BufWriter::new(file)),
            Err(_) => Box::new(BufWriter::new(io::stdout())),
        }
    }
}

/// On other systems, std also converts text for the terminal.
#[cfg(not(unix))]
mod platform {
    use super::{BufWriter, IsTerminal, Read, Write, io};

    pub(super) fn input() -> Box<dyn Read + Send> {
        Box::new(io::stdin())
    }

    pub(super) fn output() -> Box<dyn Write + Send> {
        if io::stdout().is_terminal() {
            Box::new(io::stdout())
        } else {
            Box::new(BufWriter::new(io::stdout()))
        }
    }
}
