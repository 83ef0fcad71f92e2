//! Progress of long operations: a bar on a terminal, otherwise a line at intervals. Also checks for
//! interrupts.

mod narrow;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gen5::WriteOptions;
use gen5_picture::text::human_size;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use self::narrow::Narrow;
use crate::interrupt;
use crate::options::ProgressMode;

/// Interval of progress lines where no bar is shown.
const PAUSE: Duration = Duration::from_secs(10);

/// Minimum duration of work before a bar is shown.
const PATIENCE: Duration = Duration::from_millis(250);

/// Maximum redraws of a bar per second.
const DRAWN: u8 = 20;

/// Work on a known number of bytes. Its display disappears when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Progress {
    /// The counter, which is only drawn if a bar is shown.
    bar: ProgressBar,
    shows: Shows,
}

/// The display of progress.
#[derive(Clone)]
enum Shows {
    Nothing,
    Bar(Arc<Curtain>),
    Lines(Arc<Lines>),
}

/// Hides a bar at first.
struct Curtain {
    start: Instant,
    is_open: AtomicBool,
}

/// Progress printed as lines.
struct Lines {
    doing: &'static str,
    start: Instant,
    due: Mutex<Instant>,
}

impl Progress {
    /// `doing` is a single word: `packing`.
    pub(crate) fn new(mode: ProgressMode, doing: &'static str, total: u64) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let start = Instant::now();
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

    /// A progress that displays nothing.
    pub(crate) fn none() -> Self {
        Self { bar: ProgressBar::hidden(), shows: Shows::Nothing }
    }

    /// Adds this number of bytes to the total.
    pub(crate) fn extend(&self, count: u64) {
        self.bar.inc_length(count);
    }

    /// The share of a file of this size.
    pub(crate) fn share(&self, size: u64) -> FileShare<'_> {
        FileShare { progress: self, size }
    }

    /// Counts this number of bytes as done.
    pub(crate) fn add(&self, count: u64) {
        self.bar.inc(count);
        let lines = match &self.shows {
            Shows::Nothing => return,
            Shows::Bar(curtain) => return curtain.reveal(&self.bar),
            Shows::Lines(lines) => lines,
        };
        // If it is locked, another thread prints the line.
        let Ok(mut due) = lines.due.try_lock() else { return };
        let now = Instant::now();
        if now >= *due {
            *due = now + PAUSE;
            let done = self.bar.position();
            let total = self.bar.length().unwrap_or(0);
            let _ = writeln!(io::stderr(), "gen5: {}", lines.line(done, total, now - lines.start));
        }
    }

    /// Hides the bar while `write` runs.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Options for writing a file that count written bytes here, and stop on a signal.
    pub(crate) fn options(&self) -> WriteOptions {
        let counted = self.clone();
        WriteOptions::new().progress(move |bytes| counted.add(bytes)).cancel_when(interrupt::is_due)
    }

    /// A writer that counts its bytes here, and stops on a signal.
    pub(crate) fn writer<W: Write>(&self, inner: W) -> Counted<'_, W> {
        Counted { inner, progress: self }
    }
}

/// The share of a file in the overall progress.
pub(crate) struct FileShare<'p> {
    progress: &'p Progress,
    size: u64,
}

impl FileShare<'_> {
    /// Counts work on parts of the file, which add up to `total`.
    pub(crate) fn of(&self, total: u64) -> impl Fn(u64) + Sync {
        let scaled = move |part| u128::from(part) * u128::from(self.size) / u128::from(total.max(1));
        move |part| self.progress.add(u64::try_from(scaled(part)).unwrap_or(u64::MAX))
    }
}

/// The writer that [`Progress::writer`] returns.
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

/// A bar that is not drawn yet. Its line fits into 76 columns.
fn hidden(doing: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {left}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("left", left));
    }
    bar.set_message(doing);
    bar
}

/// Writes the remaining time, once it can be estimated.
fn left(state: &ProgressState, out: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        // Errors of drawing are ignored.
        let _ = write!(out, "{:#} left", HumanDuration(state.eta()));
    }
}

impl Curtain {
    /// Shows the bar once the work has taken long enough.
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
