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

/// What has come.
#[derive(Default)]
struct Signals {
    has_come: Arc<AtomicBool>,
    /// Whether one has come a while ago.
    is_old: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

/// Signals that come within this time are one, about.
const MOMENT: Duration = Duration::from_millis(200);

/// How often it is seen whether a signal has come.
const TICK: Duration = Duration::from_millis(50);

/// A process has this long to stop by itself, and this long to clean up what is left after that: within a second of
/// the signal it has ended.
const PATIENCE: Duration = Duration::from_millis(600);
const CLEANING: Duration = Duration::from_millis(150);

static SIGNALS: LazyLock<Signals> = LazyLock::new(Signals::default);

/// From now on signals are remembered. Where that fails they end the process, as they do anyway.
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
        // Without the thread every second one is another.
        let ends_if = if waiting.is_ok() { &SIGNALS.is_old } else { &SIGNALS.has_come };
        for signal in signals() {
            let _ = remember(signal, ends_if);
        }
    });
}

/// Ends the process by the signal that has come. Temporaries are removed as far as that is done in time, and nothing is
/// published any more.
fn end() {
    let (done, cleaned) = mpsc::channel();
    // Removing and writing may take long, too.
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

/// Remembers a signal, or ends the process by it if this is set.
fn remember(signal: i32, ends_if: &Arc<AtomicBool>) -> io::Result<()> {
    let Ok(number) = u8::try_from(signal) else { return Ok(()) };
    // In this order: the first one does not find what it sets.
    flag::register_conditional_default(signal, Arc::clone(ends_if))?;
    flag::register_usize(signal, Arc::clone(&SIGNALS.which), usize::from(number))?;
    flag::register(signal, Arc::clone(&SIGNALS.has_come))?;
    Ok(())
}

/// Those to remember. What was ignored when the process was started stays so: under `nohup`, and in the background of scripts.
#[cfg(unix)]
fn signals() -> Vec<i32> {
    use signal_hook::consts::SIGHUP;

    let ignored = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| ignored(&status));
    match ignored {
        Some(mask) => {
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| mask & (1 << (signal - 1)) == 0).collect()
        }
        // Without Linux's word for it, `nohup` is the likeliest reason to ignore one.
        None => vec![SIGINT, SIGTERM],
    }
}

#[cfg(not(unix))]
fn signals() -> Vec<i32> {
    vec![SIGINT, SIGTERM]
}

/// The signals that a process ignores, as Linux tells: a bit for each.
#[cfg(unix)]
fn ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// What a process does before anything else: a file that would grow over the limit for one (`ulimit -f`) is from now on
/// an error of the write, as one on a full disk is. The signal that comes with it would end the process where it stands.
pub fn catch_file_size_signal() {
    // Caught and not ignored, which processes that are started from here would inherit.
    #[cfg(unix)]
    let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Whether a signal has come.
pub(crate) fn is_due() -> bool {
    SIGNALS.has_come.load(Ordering::Relaxed)
}

fn which() -> u8 {
    u8::try_from(SIGNALS.which.load(Ordering::Relaxed)).unwrap_or_default()
}

/// The exit code that tells which signal has come: 130 for Ctrl-C, 143 for SIGTERM, as shells have it.
pub(crate) fn exit_code() -> u8 {
    which().saturating_add(128)
}

/// Ends the process with this code; if it is that of a signal which has come, by that signal, so that a shell whose loop
/// the process is in stops, too.
pub fn exit(code: u8) -> ExitCode {
    if is_due() && code == exit_code() {
        // Where that fails the code tells it.
        let _ = emulate_default_handler(which().into());
    }
    code.into()
}

/// Why something stops when a signal has come.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// The error of what stops because a signal has come. Its kind is not `Interrupted`, after which one goes on.
pub(crate) fn check() -> io::Result<()> {
    if is_due() { Err(io::Error::other(Interrupted)) } else { Ok(()) }
}

/// Whether an error is that of something which stopped because a signal has come.
pub(crate) fn is_cause(error: &anyhow::Error) -> bool {
    error.chain().any(is_one)
}

fn is_one(error: &(dyn Error + 'static)) -> bool {
    // Errors of I/O have what is in them as their text, not as their source.
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.get_ref().is_some_and(|inner| is_one(inner));
    }
    match error.downcast_ref() {
        Some(gen5::Error::Cancelled) => true,
        Some(gen5::Error::Io { error, .. }) => is_one(error),
        _ => error.is::<Interrupted>(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use anyhow::Context;

    use super::{Interrupted, ignored, io, is_cause};

    #[test]
    fn an_interruption_is_known_below_what_is_said_of_it() {
        let stopped = Err::<(), _>(io::Error::other(Interrupted)).context("could not write x").unwrap_err();
        let error = io::Error::other(Interrupted);
        let in_library = gen5::Error::Io { action: "write latent x".into(), error };
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
