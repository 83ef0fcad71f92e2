//! Ctrl-C and its kin: a command that writes is told, so that it can clean up; any other ends at once.
//!
//! [`arm`] is called before the first temporary is made. From then on a signal is only remembered: whatever asks
//! [`is_due`] between two steps fails, and what fails cleans up. A second signal ends the process where it stands.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Once};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// What has come.
#[derive(Default)]
struct Signals {
    has_come: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

static SIGNALS: LazyLock<Signals> = LazyLock::new(Signals::default);

/// From now on signals are remembered. Where that fails they end the process, as they do anyway.
pub(crate) fn arm() {
    static ARMED: Once = Once::new();
    ARMED.call_once(|| {
        for signal in signals() {
            let _ = remember(signal);
        }
    });
}

fn remember(signal: i32) -> io::Result<()> {
    let Ok(number) = u8::try_from(signal) else { return Ok(()) };
    // In this order: only a second one finds that one has come.
    flag::register_conditional_shutdown(signal, i32::from(code(number)), Arc::clone(&SIGNALS.has_come))?;
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

/// Whether a signal has come.
pub(crate) fn is_due() -> bool {
    SIGNALS.has_come.load(Ordering::Relaxed)
}

/// The exit code that tells which signal has come: 130 for Ctrl-C, 143 for SIGTERM, as shells have it.
pub(crate) fn exit_code() -> u8 {
    code(u8::try_from(SIGNALS.which.load(Ordering::Relaxed)).unwrap_or_default())
}

fn code(signal: u8) -> u8 {
    signal.saturating_add(128)
}

/// The error of what stops because a signal has come. Its kind is not `Interrupted`, after which one goes on.
pub(crate) fn check() -> io::Result<()> {
    if is_due() { Err(io::Error::other("interrupted")) } else { Ok(()) }
}

#[cfg(all(test, unix))]
mod tests {
    use super::ignored;

    #[test]
    fn what_is_ignored_is_known() {
        assert_eq!(ignored("Name:\tgen5\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000000440\n"), Some(1));
        assert_eq!(ignored("Name:\tgen5\n"), None);
    }
}
