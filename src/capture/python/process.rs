//! A process that is asked for one line, and cannot hold up who asks, whatever it does.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Silence {
    NotStarted(io::Error),
    /// It ended, or closed its output.
    Ended(Option<ExitStatus>),
    TooMuch,
    TooLate(Duration),
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(error) => write!(f, "it could not be started: {error}"),
            Self::Ended(Some(status)) => write!(f, "it ended without an answer ({status})"),
            Self::Ended(None) => f.write_str("it closed its output without an answer"),
            Self::TooMuch => write!(f, "no answer in the first {MAX_OUTPUT} bytes that it printed"),
            Self::TooLate(limit) => write!(f, "it did not answer within {limit:?}, and was ended"),
        }
    }
}

/// Until when there has to be an answer.
#[derive(Clone, Copy)]
pub(super) struct TimeLimit {
    pub(super) start: Instant,
    pub(super) limit: Duration,
}

impl TimeLimit {
    fn left(self) -> Duration {
        self.limit.saturating_sub(self.start.elapsed())
    }
}

/// Most that is read of what a process prints, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;

/// How often it is asked whether a process that prints nothing is still there.
const POLL: Duration = Duration::from_millis(20);

/// How long the other sign of a process's end may be behind the first.
const GRACE: Duration = Duration::from_millis(200);

/// Starts `program`, and returns what follows `marker` in the first line that begins with it. The process is gone
/// when this returns: one that has answered has nothing left to do.
pub(super) fn ask(
    program: &OsStr,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    marker: &str,
    time: TimeLimit,
) -> Result<String, Silence> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A group of its own, so that what it has started can be ended with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(Silence::NotStarted)?;
    let answer = listen(&mut child, marker, time);
    #[cfg(unix)]
    if answer.is_err() {
        end_group(&mut child);
    }
    // What fails here has ended already.
    _ = child.kill();
    _ = child.wait();
    answer
}

/// Waits for the answer. It is read on another thread, since only that can be left alone with a process which holds the
/// pipe open and is not the one that was started.
fn listen(child: &mut Child, marker: &str, time: TimeLimit) -> Result<String, Silence> {
    let Some(stdout) = child.stdout.take() else { return Err(Silence::Ended(None)) };
    let (sender, receiver) = mpsc::channel();
    let marker = marker.to_owned();
    let read = move || _ = sender.send(find_line(stdout, &marker));
    thread::Builder::new().spawn(read).map_err(Silence::NotStarted)?;
    loop {
        let left = time.left();
        match receiver.recv_timeout(left.min(POLL)) {
            Ok(Err(Silence::Ended(_))) | Err(RecvTimeoutError::Disconnected) => {
                return Err(Silence::Ended(status_soon(child)));
            }
            Ok(heard) => return heard,
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(Silence::TooLate(time.limit)),
            Err(RecvTimeoutError::Timeout) => {
                if let Ok(Some(status)) = child.try_wait() {
                    // It may have ended because enough was heard of it, and nobody listened any more.
                    return match receiver.recv_timeout(GRACE) {
                        Ok(Err(Silence::Ended(_))) | Err(_) => Err(Silence::Ended(Some(status))),
                        Ok(heard) => heard,
                    };
                }
            }
        }
    }
}

/// What follows `marker` in the first whole line that begins with it.
fn find_line(output: impl Read, marker: &str) -> Result<String, Silence> {
    let mut lines = BufReader::new(output.take(MAX_OUTPUT));
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let answer = line.strip_prefix(marker.as_bytes()).and_then(|answer| answer.strip_suffix(b"\n"));
        if let Some(answer) = answer {
            return Ok(String::from_utf8_lossy(answer).into_owned());
        }
        line.clear();
    }
    Err(if lines.get_ref().limit() == 0 { Silence::TooMuch } else { Silence::Ended(None) })
}

/// How a process ended that has closed its output, if that comes to be known soon.
fn status_soon(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + GRACE;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            ended => return ended.ok().flatten(),
        }
    }
}

/// Ends a process and those that it has started. The number of one that has ended may be another's by now.
#[cfg(unix)]
fn end_group(child: &mut Child) {
    if let Ok(None) = child.try_wait() {
        let group = rustix::process::Pid::from_child(child);
        _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}
