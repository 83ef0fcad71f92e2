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
use serde::Serialize;

use crate::failure::{Status, UsageError};
use crate::options::{CommonArgs, ProgressMode};
use crate::progress::Progress;
use crate::terminal::{EscapeJson, Tone, escape, paint, shown};
use crate::unknown;

/// Where a command's words go.
pub(crate) struct Output<'a> {
    /// Results.
    pub(crate) out: &'a mut (dyn Write + Send),
    /// Whether results go to a terminal.
    pub(crate) is_terminal: bool,
    /// Messages.
    pub(crate) messages: &'a mut (dyn Write + Send),
    /// How much is said, and how.
    pub(crate) voice: Voice,
    /// The path that the command tells of, if that is to be JSON: where it writes, or what it shows.
    pub(crate) told_as_json: Option<&'a Path>,
    /// All that was noted, for who is told as JSON.
    pub(crate) notes: Vec<String>,
    /// The worst that has happened, which the exit code tells even if nobody reads the results to their end.
    pub(crate) worst: Status,
}

/// How a command speaks.
pub(crate) struct Voice {
    quiet: bool,
    verbose: bool,
    progress: ProgressMode,
    /// Whether results are coloured.
    coloured: bool,
    /// Whether messages are.
    coloured_messages: bool,
}

impl Voice {
    /// `colours` are those of results and of messages.
    pub(crate) fn new(args: &CommonArgs, colours: [bool; 2]) -> Self {
        let progress = if args.quiet { ProgressMode::None } else { args.progress };
        let [coloured, coloured_messages] = colours;
        Self { quiet: args.quiet, verbose: args.verbose, progress, coloured, coloured_messages }
    }
}

impl Output<'_> {
    /// Says what went wrong, and remembers what it means.
    pub(crate) fn report(&mut self, error: &anyhow::Error) {
        self.complain(&format!("{error:#}"), Status::of(error));
    }

    /// Ends a command that failed: says why, in JSON too if it was to tell of what it wrote. Of wrong usage the exit code
    /// tells enough.
    pub(crate) fn fail(&mut self, error: &anyhow::Error) {
        self.report(error);
        if let Some(path) = self.told_as_json
            && Status::of(error) != Status::Usage
        {
            // Where results cannot go, that it has failed is told already.
            let _ = self.json(&Failed { path: path_text(path), error: format!("{error:#}") });
        }
    }

    /// Says what went wrong in these words, and remembers it.
    pub(crate) fn complain(&mut self, text: &str, status: Status) {
        // Where messages cannot go there is nobody to tell, and the exit code remains.
        let name = paint(self.voice.coloured_messages, Tone::Bad, "gen5:");
        let _ = writeln!(self.messages, "{name} {}", escape(text));
        self.remember(status);
    }

    /// Says what went wrong with a file, in JSON too if results are; the other files are gone on with.
    pub(crate) fn failed(
        &mut self,
        path: &Path,
        error: &anyhow::Error,
        json: bool,
        several: bool,
    ) -> Result<()> {
        self.report(error);
        match json {
            true => self.json_of(&Failed { path: path_text(path), error: format!("{error:#}") }, several),
            false => Ok(()),
        }
    }

    /// Remembers how something ended.
    pub(crate) fn remember(&mut self, status: Status) {
        self.worst = self.worst.max(status);
    }

    /// Says something that is no result and no error.
    pub(crate) fn note(&mut self, text: &str) {
        self.say(text);
        if self.told_as_json.is_some() {
            self.notes.push(text.to_owned());
        }
    }

    /// Notes how many chunks of unknown types a file has, if it has any, and their fate.
    pub(crate) fn note_unknown(&mut self, reader: &Reader, path: &Path, fate: &str) {
        if let Some(what) = unknown::describe(reader) {
            self.note(&format!("{}: {what}, {fate}", shown(path)));
        }
    }

    /// Says what only who wants to know more is told.
    pub(crate) fn detail(&mut self, text: impl FnOnce() -> String) {
        if self.voice.verbose {
            self.say(&text());
        }
    }

    /// Whether nothing but errors is said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.voice.quiet
    }

    fn say(&mut self, text: &str) {
        if !self.is_quiet() {
            let _ = writeln!(self.messages, "gen5: {}", escape(text));
        }
    }

    /// Tells of what was written: in a line, or if it was asked for as JSON, with these facts and all notes.
    pub(crate) fn tell<T: Serialize>(&mut self, path: &Path, line: &str, facts: &T) -> Result<()> {
        if self.told_as_json.is_none() {
            return Ok(writeln!(self.out, "{}: {line}", shown(path))?);
        }
        let notes = std::mem::take(&mut self.notes);
        self.json(&Told { path: path_text(path), facts, notes })
    }

    /// Refuses to tell of a file where it goes itself.
    pub(crate) fn refuse_json(&self) -> Result<()> {
        match self.told_as_json {
            Some(_) => Err(UsageError(
                "--json tells of a file on standard output, where - has the file itself go: give it a name"
                    .into(),
            )
            .into()),
            None => Ok(()),
        }
    }

    /// Refuses results that are no text to read where they would go to a terminal. `what` says what they are and do there,
    /// `or` what else there is to do.
    pub(crate) fn refuse_terminal(&self, what: &str, or: &str) -> Result<()> {
        if !self.is_terminal {
            return Ok(());
        }
        let hint = "; send it to a file (> FILE) or a program (|)";
        Err(UsageError(format!("{what}{hint}{or}")).into())
    }

    /// Words among results, in the colour of their tone where results are coloured.
    pub(crate) fn painted(&self, tone: Tone, text: &str) -> String {
        paint(self.voice.coloured, tone, text)
    }

    /// The progress of work on so many bytes.
    pub(crate) fn progress(&self, doing: &'static str, bytes: u64) -> Progress {
        Progress::new(self.voice.progress, doing, bytes)
    }

    /// Prints JSON for people.
    pub(crate) fn json<T: Serialize>(&mut self, result: &T) -> Result<()> {
        let mut out = EscapeJson::new(BufWriter::new(&mut *self.out), false);
        serde_json::to_writer_pretty(&mut out, result).map_err(io::Error::from)?;
        finish_line(out.into_inner())
    }

    /// Prints JSON on one line, which goes out at once.
    pub(crate) fn json_line<T: Serialize>(&mut self, result: &T) -> Result<()> {
        let mut out = EscapeJson::new(BufWriter::new(&mut *self.out), true);
        serde_json::to_writer(&mut out, result).map_err(io::Error::from)?;
        finish_line(out.into_inner())
    }

    /// Prints JSON: on a line, if there can be several results.
    pub(crate) fn json_of<T: Serialize>(&mut self, result: &T, several: bool) -> Result<()> {
        if several { self.json_line(result) } else { self.json(result) }
    }
}

fn finish_line(mut out: impl Write) -> Result<()> {
    writeln!(out)?;
    Ok(out.flush()?)
}

/// An error of writing, with the option that replaces a file that is in the way.
pub(crate) fn hint_at_force(error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    let cause = match error.downcast_ref() {
        Some(gen5::Error::Io { error, .. }) => Some(error),
        _ => match error.downcast_ref() {
            Some(gen5_publish::Error::Io { error, .. }) => Some(error),
            _ => None,
        },
    };
    match cause.is_some_and(|cause| cause.kind() == io::ErrorKind::AlreadyExists) {
        true => anyhow::anyhow!("{error}; --force replaces it"),
        false => error,
    }
}

/// What was written, for programs.
#[derive(Serialize)]
struct Told<'a, T> {
    path: String,
    #[serde(flatten)]
    facts: &'a T,
    notes: Vec<String>,
}

/// A file that could not be dealt with, for programs.
#[derive(Serialize)]
pub(crate) struct Failed {
    pub(crate) path: String,
    pub(crate) error: String,
}

/// A path, for programs.
pub(crate) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A version of the format: `1.0`.
pub(crate) fn version_text((major, minor): (u8, u8)) -> String {
    format!("{major}.{minor}")
}

/// The name of a file, without the folders it is in.
pub(crate) fn file_name(path: &Path) -> String {
    path_text(path.file_name().map_or(path, Path::new))
}
