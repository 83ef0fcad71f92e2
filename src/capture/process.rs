//! A process that is asked for one line, and cannot block its caller, whatever it does.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::POLL;
use super::silence::{MAX_OUTPUT, Silence};
use crate::cancelled::Cancelled;

/// The time until which there must be an answer.
#[derive(Clone)]
pub(super) struct TimeLimit {
    pub(super) start: Instant,
    pub(super) limit: Duration,
    pub(super) cancelled: Cancelled,
}

impl TimeLimit {
    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.start.elapsed())
    }
}

/// The longest wait from one sign of a process's end to the other: its exit and the end of its
/// output.
const GRACE: Duration = Duration::from_millis(200);

/// A running process that was asked.
pub(super) struct Process {
    child: Child,
    heard: Receiver<Result<String, Silence>>,
}

impl Process {
    /// Starts the command. The answer is the text after `marker` in the first line that begins with
    /// it.
    pub(super) fn ask(mut command: Command, marker: &str) -> Result<Self, Silence> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        // It gets its own process group, so that its children can be killed with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(Silence::NotStarted)?;
        let (sender, heard) = mpsc::channel();
        let stdout = child.stdout.take();
        let marker = marker.to_owned();
        // Another thread reads the pipe, because it can be abandoned if a child of the process
        // keeps the pipe open.
        let listen =
            move || _ = sender.send(stdout.map_or(Err(Silence::Ended(None)), |it| find_line(it, &marker)));
        match thread::Builder::new().spawn(listen) {
            Ok(_) => Ok(Self { child, heard }),
            Err(error) => {
                end(&mut child);
                Err(Silence::NotStarted(error))
            }
        }
    }

    /// Waits for the answer and kills the process, which has no other work after it has answered.
    pub(super) fn answer(mut self, time: &TimeLimit) -> Result<String, Silence> {
        let answer = self.listen(time);
        #[cfg(unix)]
        if answer.is_err() {
            end_group(&mut self.child);
        }
        end(&mut self.child);
        answer
    }

    fn listen(&mut self, time: &TimeLimit) -> Result<String, Silence> {
        loop {
            let left = time.left();
            match self.heard.recv_timeout(left.min(POLL)) {
                Ok(Err(Silence::Ended(_))) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(Silence::Ended(status_soon(&mut self.child)));
                }
                Ok(heard) => return heard,
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(Silence::TooLate(time.limit)),
                Err(RecvTimeoutError::Timeout) if time.cancelled.check().is_err() => {
                    return Err(Silence::Cancelled);
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Ok(Some(status)) = self.child.try_wait() {
                        // It may have exited because the reader had enough and closed the pipe.
                        return match self.heard.recv_timeout(GRACE) {
                            Ok(Err(Silence::Ended(_))) | Err(_) => Err(Silence::Ended(Some(status))),
                            Ok(heard) => heard,
                        };
                    }
                }
            }
        }
    }
}

/// Returns the text after `marker` in the first complete line that begins with it.
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

/// Kills a process. If the kernel does not release it, for example because a driver hangs, it is
/// abandoned.
fn end(child: &mut Child) {
    // If this fails, the process has already exited.
    _ = child.kill();
    status_soon(child);
}

/// Returns the exit status of a process, if it is available soon.
fn status_soon(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + GRACE;
    let mut pause = Duration::from_micros(50);
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => thread::sleep(pause),
            ended => return ended.ok().flatten(),
        }
        pause = (pause * 2).min(POLL);
    }
}

/// Kills a process and its children. After a process has exited, its number may belong to another.
#[cfg(unix)]
fn end_group(child: &mut Child) {
    if let Ok(None) = child.try_wait() {
        let group = rustix::process::Pid::from_child(child);
        _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}
