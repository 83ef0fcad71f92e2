//! One file a command.

mod blocks;
mod carry;
pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod env;
mod feed;
pub(crate) mod fingerprint;
mod folder;
mod image_text;
pub(crate) mod info;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod merge;
mod metadata;
pub(crate) mod pack;
mod put;
pub(crate) mod render;
pub(crate) mod repack;
pub(crate) mod set;
pub(crate) mod show;
pub(crate) mod split;
pub(crate) mod unpack;
pub(crate) mod verify;
mod written;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anstyle::Style;
use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::Serialize;

use crate::colour::{BAD, Colours, HEADING, painted};
use crate::failure::{Status, UsageError};
use crate::files::Files;
use crate::terminal::{escape, escape_json, shown};

/// Where a command's words go.
pub(crate) struct Output<'a> {
    /// Results.
    pub(crate) out: &'a mut (dyn Write + Send),
    /// Whether results go to a terminal.
    pub(crate) is_terminal: bool,
    /// Messages.
    pub(crate) messages: &'a mut (dyn Write + Send),
    /// Which of the two are coloured.
    pub(crate) colours: Colours,
    /// The worst that has happened, which the exit code tells even if nobody reads the results to their end.
    pub(crate) worst: Status,
}

impl Output<'_> {
    /// Says what went wrong, and remembers what it means.
    pub(crate) fn report(&mut self, error: &anyhow::Error) {
        // Where messages cannot go there is nobody to tell, and the exit code remains.
        let name = painted("gen5:", BAD, self.colours.messages);
        let _ = writeln!(self.messages, "{name} {}", escape(&format!("{error:#}")));
        self.remember(Status::of(error));
    }

    /// Remembers how something ended.
    pub(crate) fn remember(&mut self, status: Status) {
        self.worst = self.worst.max(status);
    }

    /// Says something that is no result and no error.
    pub(crate) fn note(&mut self, text: &str) {
        let name = painted("gen5:", HEADING, self.colours.messages);
        let _ = writeln!(self.messages, "{name} {}", escape(text));
    }

    /// Refuses to write what is binary to a terminal.
    fn refuse_terminal(&self, what: &str) -> Result<()> {
        if !self.is_terminal {
            return Ok(());
        }
        let problem = format!(
            "{what} is binary, and would upset the terminal; send it to a file (> FILE) or a program (|)"
        );
        Err(UsageError(problem).into())
    }

    /// Text of a result in a style, if results are coloured.
    fn painted(&self, text: impl fmt::Display, style: Style) -> String {
        painted(text, style, self.colours.results)
    }

    /// Prints a result as JSON, to be read by people too; one of several on a line of its own.
    fn json(&mut self, result: &impl Serialize, several: bool) -> Result<()> {
        let json = match several {
            true => serde_json::to_string(result)?,
            false => serde_json::to_string_pretty(result)?,
        };
        Ok(writeln!(self.out, "{}", escape_json(&json))?)
    }

    /// Does the same for each file and its position, for several side by side; what is said comes in their order. One
    /// that fails does not stop the rest.
    fn for_each(
        &mut self,
        files: Files,
        work: impl Fn(usize, &Path, &mut Output<'_>) -> Result<()> + Sync,
    ) -> Result<()> {
        let mut paths = files.paths.into_iter().enumerate().peekable();
        while paths.peek().is_some() {
            let some: Vec<(usize, Result<PathBuf>)> = paths.by_ref().take(TOGETHER).collect();
            let (is_terminal, colours) = (self.is_terminal, self.colours);
            let said = some.into_par_iter().map(|(position, path)| {
                let (mut out, mut messages) = (Vec::new(), Vec::new());
                let worst = Status::Fine;
                let mut output =
                    Output { out: &mut out, is_terminal, messages: &mut messages, colours, worst };
                if let Err(error) = path.and_then(|path| work(position, &path, &mut output)) {
                    output.report(&error);
                }
                let worst = output.worst;
                (out, messages, worst)
            });
            for (out, messages, worst) in said.collect::<Vec<_>>() {
                self.remember(worst);
                self.out.write_all(&out)?;
                let _ = self.messages.write_all(&messages);
            }
        }
        Ok(())
    }
}

/// Files that are looked at side by side, before anything is said of them.
const TOGETHER: usize = 64;

/// An error of the library, with what replaces a file that is in the way.
fn hint_at_force(error: gen5::Error) -> anyhow::Error {
    match error {
        gen5::Error::Io { error: ref cause, .. } if cause.kind() == io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{error}; --force replaces it")
        }
        _ => error.into(),
    }
}

/// An error of the library about this file, which those of the system name already.
pub(crate) fn of_file(error: gen5::Error, path: &Path) -> anyhow::Error {
    let named = matches!(error, gen5::Error::Io { .. });
    let error = anyhow::Error::from(error);
    if named { error } else { error.context(shown(path)) }
}

/// A file that could not be dealt with, for programs.
#[derive(Serialize)]
struct Failed {
    path: String,
    error: String,
}

/// A path, for programs.
fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The name of a file, without the folders it is in.
fn file_name(path: &Path) -> String {
    path_text(path.file_name().map_or(path, Path::new))
}

/// A file that is text.
fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).with_context(|| format!("{} is not UTF-8", shown(path)))
}

/// A file.
fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("could not read {}", shown(path)))
}
