//! Progress of long operations: a bar on a terminal, otherwise a line at intervals. Also checks for
//! interrupts.

mod narrow;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gen5::WriteOptions;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use self::narrow::Narrow;
use crate::interrupt;
use crate::options::ProgressMode;
use crate::terminal::human_size;

/// After this long there is a line where there is no bar, and again after as long.
const PAUSE: Duration = Duration::from_secs(10);

/// What takes less shows no bar.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often a bar is drawn anew, at most, in a second.
const DRAWN: u8 = 20;

/// Work on a known number of bytes. What it shows goes away with the last clone of it.
#[derive(Clone)]
pub(crate) struct Progress {
    /// It counts, and is drawn if it is one for people.
    bar: ProgressBar,
    shows: Shows,
}

/// How people see it.
#[derive(Clone)]
enum Shows {
    Nothing,
    Bar(Arc<Curtain>),
    Lines(Arc<Lines>),
}

/// What a bar is behind at first.
struct Curtain {
    start: Instant,
    is_open: AtomicBool,
}

/// Lines that tell how far it is.
struct Lines {
    doing: &'static str,
    start: Instant,
    due: Mutex<Instant>,
}

impl Progress {
    /// `doing` is one word: `packing`.
    pub(crate) fn new(mode: ProgressMode, doing: &'static str, total: u64) -> Self {
        let (is_terminal, start) = (io::stderr().is_terminal(), Instant::now());
        let shows = match mode {
            ProgressMode::Auto if is_terminal => {
                Shows::Bar(Arc::new(Curtain { start, is_open: AtomicBool::new(false) }))
            }
            ProgressMode::Auto | ProgressMode::Plain => {
                Shows::Lines(Arc::new(Lines { doing, start, due: Mutex::new(start + PAUSE) }))
            }
            ProgressMode::None => Shows::Nothing,
        };
        Self { bar: hidden(doing, total), shows }
    }

    /// One that shows nothing.
    pub(crate) fn none() -> Self {
        Self { bar: ProgressBar::hidden(), shows: Shows::Nothing }
    }

    /// There is so much more to do.
    pub(crate) fn extend(&self, count: u64) {
        self.bar.inc_length(count);
    }

    /// The part of the work that is a file of this size.
    pub(crate) fn share(&self, size: u64) -> Share<'_> {
        Share { progress: self, size }
    }

    /// So much more is done.
    pub(crate) fn add(&self, count: u64) {
        self.bar.inc(count);
        let lines = match &self.shows {
            Shows::Nothing => return,
            Shows::Bar(curtain) => return curtain.reveal(&self.bar),
            Shows::Lines(lines) => lines,
        };
        // Who finds it locked leaves it to the other.
        let Ok(mut due) = lines.due.try_lock() else { return };
        let now = Instant::now();
        if now >= *due {
            *due = now + PAUSE;
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
            let _ = writeln!(io::stderr(), "gen5: {}", lines.line(done, total, now - lines.start));
        }
    }

    /// Makes room for what is written meanwhile.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Options of a file to write that count here what is written, and stop when a signal has come.
    pub(crate) fn options(&self) -> WriteOptions {
        let counted = self.clone();
        WriteOptions::new().progress(move |bytes| counted.add(bytes)).cancel_when(interrupt::is_due)
    }

    /// A writer that counts here what goes through it, and stops when a signal has come.
    pub(crate) fn writer<W: Write>(&self, inner: W) -> Counted<'_, W> {
        Counted { inner, progress: self }
    }
}

/// A file's share of the progress of all.
pub(crate) struct Share<'p> {
    progress: &'p Progress,
    size: u64,
}

impl Share<'_> {
    /// Counts work on parts of the file that come to `total`.
    pub(crate) fn of(&self, total: u64) -> impl Fn(u64) + Sync {
        let scaled = move |part| u128::from(part) * u128::from(self.size) / u128::from(total.max(1));
        move |part| self.progress.add(u64::try_from(scaled(part)).unwrap_or(u64::MAX))
    }
}

/// See [`Progress::writer`].
pub(crate) struct Counted<'p, W> {
    inner: W,
    progress: &'p Progress,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        interrupt::check()?;
        let written = self.inner.write(bytes)?;
        self.progress.add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A bar that is not drawn yet. A line of it fits into 76 columns.
fn hidden(doing: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {left}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("left", left));
    }
    bar.set_message(doing);
    bar
}

/// The time that is left, once there is something to go by.
fn left(state: &ProgressState, out: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        // What cannot be drawn is not.
        let _ = write!(out, "{:#} left", HumanDuration(state.eta()));
    }
}

impl Curtain {
    /// Shows the bar if that is worth it by now.
    fn reveal(&self, bar: &ProgressBar) {
        if self.is_open.load(Ordering::Relaxed) || self.start.elapsed() < PATIENCE {
            return;
        }
        if !self.is_open.swap(true, Ordering::Relaxed) {
            bar.set_draw_target(ProgressDrawTarget::term_like_with_hz(Box::new(Narrow::stderr()), DRAWN));
        }
    }
}

impl Lines {
    fn line(&self, done: u64, total: u64, elapsed: Duration) -> String {
        let percent = (u128::from(done) * 100 / u128::from(total.max(1))).min(100);
        let rate = u128::from(done) * 1000 / elapsed.as_millis().max(1);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        let left = match total.saturating_sub(done).checked_div(rate) {
            Some(seconds) => format!("{seconds} s left"),
            None => "a while left".into(),
        };
        let [done, total, rate] = [done, total, rate].map(human_size);
        format!("{}: {done} of {total}, {percent} %, {rate}/s, {left}", self.doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_how_far_it_is() {
        let now = Instant::now();
        let lines = Lines { doing: "packing", start: now, due: Mutex::new(now) };
        let line = |done, total, seconds| lines.line(done, total, Duration::from_secs(seconds));
        assert_eq!(line(3 << 30, 12 << 30, 10), "packing: 3.0 GiB of 12.0 GiB, 25 %, 307.2 MiB/s, 30 s left");
        assert_eq!(line(0, 0, 0), "packing: 0 B of 0 B, 0 %, 0 B/s, a while left");
    }
}
