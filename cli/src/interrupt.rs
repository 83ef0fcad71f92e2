//! Ctrl-C and similar signals. A command that writes is notified so that it can clean up; any other
//! ends at once.
//!
//! [`arm`] is called before the first temporary file is created. From then on, a signal is only
//! recorded: checks of [`is_due`] between steps fail, the failing operation cleans up, and the
//! process [ends by the signal](exit). A second signal after some time ends the process
//! immediately. The delay matters because `timeout` and others signal both the process and its
//! group.
//!
//! A step may take long, above all in the kernel. So a thread also waits for the signal, and
//! [ends](end) the process when the time is up, whatever the other threads do.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Once, mpsc};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::emulate_default_handler;

/// State of received signals.
#[derive(Default)]
struct Signals {
    has_come: Arc<AtomicBool>,
    /// Whether a signal arrived some time ago.
    is_old: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

/// Signals within about this time count as one.
const MOMENT: Duration = Duration::from_millis(200);

/// Interval of checks for a signal.
const TICK: Duration = Duration::from_millis(50);

/// Time for the process to stop on its own after a signal, and then again for cleaning up. It ends
/// within about a second.
const PATIENCE: Duration = Duration::from_millis(600);
const CLEANING: Duration = Duration::from_millis(150);

static SIGNALS: LazyLock<Signals> = LazyLock::new(Signals::default);

/// Records signals from now on. If this fails, they end the process as usual.
pub(crate) fn arm() {
    static ARMED: Once = Once::new();
    ARMED.call_once(|| {
        let waiting = thread::Builder::new().spawn(|| {
            while !is_due() {
                thread::sleep(TICK);
            }
            thread::sleep(MOMENT);
            SIGNALS.is_old.store(true, Ordering::Relaxed);
            thread::sleep(PATIENCE.saturating_sub(MOMENT));
            end();
        });
        // Without the thread, any second signal ends the process.
        let ends_if = if waiting.is_ok() { &SIGNALS.is_old } else { &SIGNALS.has_come };
        for signal in signals() {
            let _ = remember(signal, ends_if);
        }
    });
}

/// Ends the process by the received signal. Temporary files are removed as far as time permits, and
/// nothing is published any more.
fn end() {
    let (done, cleaned) = mpsc::channel();
    // Removing and writing files may also take long.
    let cleaning = thread::Builder::new().spawn(move || {
        gen5_publish::abandon_drafts();
        let _ = writeln!(io::stderr(), "gen5: {Interrupted}");
        let _ = done.send(());
    });
    if cleaning.is_ok() {
        let _ = cleaned.recv_timeout(CLEANING);
    }
    let _ = emulate_default_handler(which().into());
}

/// Records a signal, or ends the process by it if `ends_if` is set.
fn remember(signal: i32, ends_if: &Arc<AtomicBool>) -> io::Result<()> {
    let Ok(number) = u8::try_from(signal) else { return Ok(()) };
    // The order matters: the first handler must not see a flag that a later one sets.
    flag::register_conditional_default(signal, Arc::clone(ends_if))?;
    flag::register_usize(signal, Arc::clone(&SIGNALS.which), usize::from(number))?;
    flag::register(signal, Arc::clone(&SIGNALS.has_come))?;
    Ok(())
}

/// The signals to record. Signals ignored at the start of the process stay ignored, as under
/// `nohup` and in the background of scripts.
#[cfg(unix)]
fn signals() -> Vec<i32> {
    use signal_hook::consts::SIGHUP;

    let ignored = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| ignored(&status));
    match ignored {
        Some(mask) => {
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| mask & (1 << (signal - 1)) == 0).collect()
        }
        // Without information from Linux, assume that only `nohup` makes a process ignore a signal.
        None => vec![SIGINT, SIGTERM],
    }
}

#[cfg(not(unix))]
fn signals() -> Vec<i32> {
    vec![SIGINT, SIGTERM]
}

/// The ignored signals of a process, one bit each, from Linux's status file.
#[cfg(unix)]
fn ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Catches SIGXFSZ; call it first in the process. A file that exceeds the size limit (`ulimit -f`)
/// then fails on write, like a full disk. The signal would otherwise end the process immediately.
pub fn catch_file_size_signal() {
    // Caught rather than ignored, since child processes inherit ignored signals.
    #[cfg(unix)]
    let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Whether a signal has arrived.
pub(crate) fn is_due() -> bool {
    SIGNALS.has_come.load(Ordering::Relaxed)
}

fn which() -> u8 {
    u8::try_from(SIGNALS.which.load(Ordering::Relaxed)).unwrap_or_default()
}

/// The exit code for the received signal, as in shells: 130 for Ctrl-C, 143 for SIGTERM.
pub(crate) fn exit_code() -> u8 {
    which().saturating_add(128)
}

/// Ends the process with this code. If the code is for a received signal, the process ends by that
/// signal, so that a shell loop around it also stops.
pub fn exit(code: u8) -> ExitCode {
    if is_due() && code == exit_code() {
        // If this fails, the code still shows the signal.
        let _ = emulate_default_handler(which().into());
    }
    code.into()
}

/// The reason for stopping after a signal.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// Returns an error once a signal has arrived. Its kind is not `Interrupted`, since callers retry
/// that.
pub(crate) fn check() -> io::Result<()> {
    if is_due() { Err(io::Error::other(Interrupted)) } else { Ok(()) }
}

/// Whether a signal caused the error.
pub(crate) fn is_cause(error: &anyhow::Error) -> bool {
    error.chain().any(is_one)
}

fn is_one(error: &(dyn Error + 'static)) -> bool {
    // I/O errors display their inner error instead of returning it as their source.
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.get_ref().is_some_and(|inner| is_one(inner));
    }
    match error.downcast_ref() {
        Some(gen5::Error::Cancelled) => true,
        _ => error.is::<Interrupted>(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use anyhow::Context;

    use super::{Interrupted, ignored, io, is_cause};

    /// A file that an interruption ends.
    struct Interrupts;

    impl io::Write for Interrupts {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other(Interrupted))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl io::Seek for Interrupts {
        fn seek(&mut self, _: io::SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn an_interruption_is_known_below_what_is_said_of_it() {
        let stopped = Err::<(), _>(io::Error::other(Interrupted)).context("could not write x").unwrap_err();
        let in_library = gen5::WriteOptions::new().to_writer(Interrupts).unwrap_err();
        assert!(
            is_cause(&stopped) && is_cause(&in_library.into()) && is_cause(&gen5::Error::Cancelled.into())
        );
        assert!(!is_cause(&io::Error::other("interrupted").into()), "a disk that is full, say");
    }

    #[test]
    fn what_is_ignored_is_known() {
        assert_eq!(ignored("Name:\tgen5\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000000440\n"), Some(1));
        assert_eq!(ignored("Name:\tgen5\n"), None);
    }
}
