//! Locks with which programs wait for each other before they replace a file. They are advisory
//! (`flock`): readers, and programs that do not use them, are not blocked.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// The first and the longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// How long to wait for a lock, and a way to cancel the wait.
pub struct Patience<'a> {
    /// The longest time to wait.
    pub longest: Duration,
    /// Returns whether to stop waiting.
    pub cancelled: Box<dyn Fn() -> bool + 'a>,
}

/// Locks an open file until all its handles are closed. Returns whether it is locked; some file
/// systems have no locks.
///
/// # Errors
///
/// [`Error::Io`] with kind `TimedOut` if another program holds the lock for too long;
/// [`Error::Cancelled`].
pub fn lock_file(file: &File, path: &Path, patience: &Patience<'_>) -> Result<bool> {
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
            return Err(Error::io_at("lock", path)(held(patience.longest)));
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

/// Locks the file at a path while it is replaced, so that the replacement does not fall between
/// another writer's check of the file and its rename.
///
/// Returns `None` if locking is not possible or another program keeps the lock. A program that is
/// still working then notices afterwards that its file was replaced.
#[cfg(unix)]
pub(crate) fn take_turn(target: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};

    use crate::identity::Identity;

    /// Far longer than a comparison and a rename take.
    const LONGEST: Duration = Duration::from_secs(2);

    // If something else has appeared at the path, do not follow it or wait for it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let patience = Patience { longest: LONGEST, cancelled: Box::new(|| false) };
    loop {
        let file = File::from(rustix::fs::open(target, flags, Mode::empty()).ok()?);
        lock_file(&file, target, &patience).ok().filter(|is_locked| *is_locked)?;
        // The previous holder of the lock may have put another file in its place.
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
        // For example a network file system, which locks no file that is open only for reading.
        Err(std::fs::TryLockError::Error(_)) => Attempt::NoLocks,
    }
}

/// On these systems a lock would block readers.
#[cfg(not(unix))]
fn try_lock(_: &File) -> Attempt {
    Attempt::NoLocks
}
