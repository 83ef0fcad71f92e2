//! Locks by which programs wait for each other before they replace a file. They are advisory (`flock`): readers, and
//! programs that do not ask for them, are not kept out.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// The first and the longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// How long to wait for a lock, and what ends that early.
pub struct Patience<'a> {
    /// The longest time to wait.
    pub longest: Duration,
    /// Whether to stop waiting.
    pub cancelled: Box<dyn Fn() -> bool + 'a>,
}

/// Locks an open file until every handle of it is closed. Returns whether it is locked: some file systems have no locks.
///
/// # Errors
///
/// [`Error::Io`] of kind `TimedOut` if another holder keeps it for too long; [`Error::Cancelled`].
pub fn lock(file: &File, name: &str, patience: &Patience<'_>) -> Result<bool> {
    let start = Instant::now();
    let mut pause = PAUSES.0;
    loop {
        match try_lock(file) {
            Attempt::Locked => return Ok(true),
            Attempt::NoLocks => return Ok(false),
            Attempt::Busy => {}
        }
        if (patience.cancelled)() {
            return Err(Error::Cancelled);
        }
        let left = patience.longest.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(Error::io(format!("lock {name}"))(held(patience.longest)));
        }
        sleep(pause.min(left));
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn held(longest: Duration) -> io::Error {
    let problem = format!(
        "another program has kept it locked for {} s; wait for that program or end it (`lslocks` lists holders of \
         locks), and try again",
        longest.as_secs_f32()
    );
    io::Error::new(ErrorKind::TimedOut, problem)
}

/// Locks the file at a path for the moment in which it is replaced, so that nothing comes between another writer's look at
/// its file and its rename. `None` if that is not possible, or if somebody keeps it locked: who is still at work notices
/// afterwards that its file was replaced.
#[cfg(unix)]
pub(crate) fn take_turn(target: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};

    use crate::identity::Identity;

    /// Far longer than it takes to compare and rename.
    const LONGEST: Duration = Duration::from_secs(2);

    // What has come to the path is neither followed nor waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let patience = Patience { longest: LONGEST, cancelled: Box::new(|| false) };
    loop {
        let file = File::from(rustix::fs::open(target, flags, Mode::empty()).ok()?);
        lock(&file, "the file", &patience).ok().filter(|is_locked| *is_locked)?;
        // Whoever had it locked may have put another in its place.
        let [locked, there] = [file.metadata().ok()?, std::fs::symlink_metadata(target).ok()?];
        if Identity::of(&locked).is_same_file(&Identity::of(&there)) {
            return Some(file);
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn take_turn(_: &Path) -> Option<File> {
    None
}

#[cfg_attr(not(unix), expect(dead_code, reason = "nothing is locked there"))]
enum Attempt {
    Locked,
    Busy,
    NoLocks,
}

#[cfg(unix)]
fn try_lock(file: &File) -> Attempt {
    match file.try_lock() {
        Ok(()) => Attempt::Locked,
        Err(std::fs::TryLockError::WouldBlock) => Attempt::Busy,
        // Such as a network's file system, which locks nothing that is open for reading alone.
        Err(std::fs::TryLockError::Error(_)) => Attempt::NoLocks,
    }
}

/// A lock would keep readers out there.
#[cfg(not(unix))]
fn try_lock(_: &File) -> Attempt {
    Attempt::NoLocks
}
