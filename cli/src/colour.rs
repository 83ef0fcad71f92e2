//! Colours, where they are wanted.

use std::fmt;
use std::io;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// A name that something is found by.
pub(crate) const HEADING: Style = Style::new().bold();

/// What a fact is about.
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();

/// What is as it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();

/// What is not.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Which streams get colours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Colours {
    /// Results.
    pub results: bool,
    /// Messages.
    pub messages: bool,
}

impl Colours {
    /// What the process's streams and its surroundings ask for: `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM`.
    pub fn detect() -> Self {
        Self {
            results: AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            messages: AutoStream::choice(&io::stderr()) != ColorChoice::Never,
        }
    }
}

/// Text in a style, or as it is.
pub(crate) fn painted(text: impl fmt::Display, style: Style, wanted: bool) -> String {
    match wanted {
        true => format!("{style}{text}{style:#}"),
        false => text.to_string(),
    }
}
