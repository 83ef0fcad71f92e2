//! Destinations of results and messages, and the output that commands write.

pub(crate) mod environment;
pub(crate) mod file;
pub(crate) mod folder;
pub(crate) mod gen5_file;
pub(crate) mod latent_row;
pub(crate) mod members;

use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Result;
use gen5::Reader;
use gen5_picture::text::escape;
use serde::Serialize;

use crate::failure::{Status, usage_error};
use crate::options::{CommonArgs, ProgressMode};
use crate::progress::Progress;
use crate::terminal::{EscapeJson, Tone, paint, shown};
use crate::unknown;

/// The output of a command.
pub(crate) struct Output<'a> {
    /// Results.
    pub(crate) out: &'a mut (dyn Write + Send),
    /// Whether results go to a terminal.
    pub(crate) is_terminal: bool,
    /// Messages.
    pub(crate) messages: &'a mut (dyn Write + Send),
    /// The verbosity and colours.
    pub(crate) voice: Voice,
    /// The path that the command reports on as JSON, if it does: its output or its input.
    pub(crate) json_path: Option<&'a Path>,
    /// All notes, for the JSON report.
    pub(crate) notes: Vec<String>,
    /// The worst status so far. It sets the exit code even if the results are not read to the end.
    pub(crate) worst: Status,
}

/// The style of a command's output.
pub(crate) struct Voice {
    quiet: bool,
    verbose: bool,
    progress: ProgressMode,
    /// Whether results are coloured.
    coloured: bool,
    /// Whether messages are coloured.
    coloured_messages: bool,
}

impl Voice {
    /// `colours` are for results and messages, in this order.
    pub(crate) fn new(args: &CommonArgs, colours: [bool; 2]) -> Self {
        let progress = if args.quiet { ProgressMode::None } else { args.progress };
        let [coloured, coloured_messages] = colours;
        Self { quiet: args.quiet, verbose: args.verbose, progress, coloured, coloured_messages }
    }
}

impl Output<'_> {
    /// Reports an error and records its status.
    pub(crate) fn report(&mut self, error: &anyhow::Error) {
        self.complain(&format!("{error:#}"), Status::of(error));
    }

    /// Reports the error that ended a command, also as JSON if requested. For wrong usage, the exit
    /// code suffices.
    pub(crate) fn fail(&mut self, error: &anyhow::Error) {
        self.report(error);
        if let Some(path) = self.json_path
            && Status::of(error) != Status::Usage
        {
            // If the results cannot be written, the failure has already been reported.
            let _ = self.json(&FailureReport { path: path_text(path), error: format!("{error:#}") });
        }
    }

    /// Reports an error with this text, and records its status.
    pub(crate) fn complain(&mut self, text: &str, status: Status) {
        // If messages cannot be written, only the exit code remains.
        let name = paint(self.voice.coloured_messages, Tone::Bad, "gen5:");
        let _ = writeln!(self.messages, "{name} {}", escape(text));
        self.remember(status);
    }

    /// Reports an error of one file, also as JSON if requested. The command continues with the
    /// other files.
    pub(crate) fn failed(
        &mut self,
        path: &Path,
        error: &anyhow::Error,
        json: bool,
        several: bool,
    ) -> Result<()> {
        self.report(error);
        if json {
            self.json_of(&FailureReport { path: path_text(path), error: format!("{error:#}") }, several)
        } else {
            Ok(())
        }
    }

    /// Records a status.
    pub(crate) fn remember(&mut self, status: Status) {
        self.worst = self.worst.max(status);
    }

    /// Reports something that is neither a result nor an error.
    pub(crate) fn note(&mut self, text: &str) {
        self.say(text);
        if self.json_path.is_some() {
            self.notes.push(text.to_owned());
        }
    }

    /// Notes the number of a file's chunks of unknown types, if any, and what happens to them.
    pub(crate) fn note_unknown(&mut self, reader: &Reader, path: &Path, fate: &str) {
        if let Some(what) = unknown::describe(reader) {
            self.note(&format!("{}: {what}, {fate}", shown(path)));
        }
    }

    /// Prints a message in verbose mode.
    pub(crate) fn detail(&mut self, text: impl FnOnce() -> String) {
        if self.voice.verbose {
            self.say(&text());
        }
    }

    /// Whether only errors are printed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.voice.quiet
    }

    fn say(&mut self, text: &str) {
        if !self.is_quiet() {
            let _ = writeln!(self.messages, "gen5: {}", escape(text));
        }
    }

    /// Reports a written file: as a line of text, or as JSON with `report` and all notes.
    pub(crate) fn summarize<T: Serialize>(&mut self, path: &Path, line: &str, report: &T) -> Result<()> {
        if self.json_path.is_none() {
            return Ok(writeln!(self.out, "{}: {line}", shown(path))?);
        }
        let notes = std::mem::take(&mut self.notes);
        self.json(&WrittenSummary { path: path_text(path), report, notes })
    }

    /// Rejects a JSON report if the file itself goes to standard output.
    pub(crate) fn refuse_json(&self) -> Result<()> {
        match self.json_path {
            Some(_) => Err(usage_error(
                "--json prints a report on standard output, and - writes the file there too: name the file",
            )),
            None => Ok(()),
        }
    }

    /// Rejects binary results on a terminal. `what` describes them and their effect there, `or` the
    /// alternatives.
    pub(crate) fn refuse_terminal(&self, what: &str, or: &str) -> Result<()> {
        if !self.is_terminal {
            return Ok(());
        }
        let hint = "; send it to a file (> FILE) or a program (|)";
        Err(usage_error(format!("{what}{hint}{or}")))
    }

    /// Text in the colour of its tone, if results are coloured.
    pub(crate) fn painted(&self, tone: Tone, text: &str) -> String {
        paint(self.voice.coloured, tone, text)
    }

    /// The progress of work on this number of bytes.
    pub(crate) fn progress(&self, doing: &'static str, bytes: u64) -> Progress {
        Progress::new(self.voice.progress, doing, bytes)
    }

    /// Prints indented JSON.
    pub(crate) fn json<T: Serialize>(&mut self, result: &T) -> Result<()> {
        let mut out = EscapeJson::new(BufWriter::new(&mut *self.out), false);
        serde_json::to_writer_pretty(&mut out, result).map_err(io::Error::from)?;
        finish_line(out.into_inner())
    }

    /// Prints JSON on one line and flushes it.
    pub(crate) fn json_line<T: Serialize>(&mut self, result: &T) -> Result<()> {
        let mut out = EscapeJson::new(BufWriter::new(&mut *self.out), true);
        serde_json::to_writer(&mut out, result).map_err(io::Error::from)?;
        finish_line(out.into_inner())
    }

    /// Prints JSON, on one line if there can be several results.
    pub(crate) fn json_of<T: Serialize>(&mut self, result: &T, several: bool) -> Result<()> {
        if several { self.json_line(result) } else { self.json(result) }
    }
}

fn finish_line(mut out: impl Write) -> Result<()> {
    writeln!(out)?;
    Ok(out.flush()?)
}

/// A write error, with a hint at the option that replaces an existing file.
pub(crate) fn hint_at_force(error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    let causes = error.chain().skip(1).filter_map(|cause| cause.downcast_ref::<io::Error>());
    if causes.take(1).any(|cause| cause.kind() == io::ErrorKind::AlreadyExists) {
        anyhow::anyhow!("{error:#}; --force replaces it")
    } else {
        error
    }
}

/// The JSON report of a written file.
#[derive(Serialize)]
struct WrittenSummary<'a, T> {
    path: String,
    #[serde(flatten)]
    report: &'a T,
    notes: Vec<String>,
}

/// The JSON report of a file that failed.
#[derive(Serialize)]
pub(crate) struct FailureReport {
    pub(crate) path: String,
    pub(crate) error: String,
}

/// A path as text in JSON.
pub(crate) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The name of a file without its folders.
pub(crate) fn file_name(path: &Path) -> String {
    path_text(path.file_name().map_or(path, Path::new))
}
