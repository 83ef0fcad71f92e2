//! One file a command.

pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod env;
mod feed;
pub(crate) mod fingerprint;
mod image_text;
pub(crate) mod info;
pub(crate) mod ls;
pub(crate) mod man;
mod metadata;
pub(crate) mod pack;
mod put;
pub(crate) mod render;
pub(crate) mod report;
pub(crate) mod set;
pub(crate) mod show;
pub(crate) mod unpack;
pub(crate) mod verify;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::failure::Status;
use crate::terminal::{escape, escape_json, shown};

/// Where a command's words go.
pub(crate) struct Output<'a> {
    /// Results.
    pub(crate) out: &'a mut (dyn Write + Send),
    /// Whether results go to a terminal.
    pub(crate) is_terminal: bool,
    /// Messages.
    pub(crate) messages: &'a mut (dyn Write + Send),
    /// The worst that has happened, which the exit code tells even if nobody reads the results to their end.
    pub(crate) worst: Status,
}

impl Output<'_> {
    /// Says what went wrong, and remembers what it means.
    pub(crate) fn report(&mut self, error: &anyhow::Error) {
        // Where messages cannot go there is nobody to tell, and the exit code remains.
        let _ = writeln!(self.messages, "gen5: {}", escape(&format!("{error:#}")));
        self.remember(Status::of(error));
    }

    /// Remembers how something ended.
    pub(crate) fn remember(&mut self, status: Status) {
        self.worst = self.worst.max(status);
    }

    /// Says something that is no result and no error.
    pub(crate) fn note(&mut self, text: &str) {
        let _ = writeln!(self.messages, "gen5: {}", escape(text));
    }

    /// Prints JSON: the only one of several results as it is, else an array.
    fn json<T: Serialize>(&mut self, results: &[T], several: bool) -> Result<()> {
        let json = match results {
            [only] if !several => serde_json::to_string_pretty(only)?,
            _ => serde_json::to_string_pretty(results)?,
        };
        Ok(writeln!(self.out, "{}", escape_json(&json))?)
    }
}

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

/// A file that is text.
fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).with_context(|| format!("{} is not UTF-8", shown(path)))
}

/// A file.
fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("could not read {}", shown(path)))
}
