//! Environments of files and of this machine, held against each other.

use std::io::{self, Write};
use std::path::Path;

use gen5::{Capture, Captured, Component, Drift, Environment, Severity};
use serde::{Serialize, Serializer};

use crate::commands::Output;
use crate::terminal::{count, escape};

/// This machine; what could not be learned of it is told. `python` is the interpreter to ask, if one is named.
pub(crate) fn capture(python: Option<&Path>, output: &mut Output<'_>) -> Captured {
    let capture = Capture::new();
    let captured = match python {
        Some(python) => capture.python(python).run(),
        None => capture.run(),
    };
    for note in &captured.notes {
        output.note(note);
    }
    captured
}

/// How the environment of a file differs, what matters most first.
pub(crate) struct Comparison(Vec<Drift>);

/// A difference, for programs.
#[derive(Serialize)]
struct DriftReport<'a> {
    component_id: &'a str,
    /// `differs`, `missing_in_current`, `missing_in_file`.
    change: &'static str,
    /// `high`, `low`, `note`.
    severity: String,
    file: Option<&'a str>,
    current: Option<&'a str>,
}

impl Comparison {
    /// With the environment of this machine.
    pub(crate) fn with_machine(file: &Environment, current: &Environment) -> Self {
        Self::new(file.drift(current))
    }

    /// With that of another file.
    pub(crate) fn with_file(file: &Environment, other: &Environment) -> Self {
        Self::new(file.drift_between_files(other))
    }

    fn new(mut drift: Vec<Drift>) -> Self {
        drift.sort_by_key(|one| std::cmp::Reverse(one.severity()));
        Self(drift)
    }

    /// Only what differs, without what one side does not say.
    pub(crate) fn without_notes(mut self) -> Self {
        self.0.retain(Drift::is_difference);
        self
    }

    /// All of it.
    pub(crate) fn drift(&self) -> &[Drift] {
        &self.0
    }

    /// Whether nothing differs. What one side does not say is no difference.
    pub(crate) fn is_same(&self) -> bool {
        !self.0.iter().any(Drift::is_difference)
    }

    /// How many differences there are, and how many are likely to change pixels.
    pub(crate) fn summary(&self) -> String {
        let differences = self.0.iter().filter(|one| one.is_difference()).count();
        let high = self.0.iter().filter(|one| one.severity() == Severity::High).count();
        let high = if high == 0 { "none" } else { &*high.to_string() };
        format!("{}, {high} likely to change pixels", count(differences, "difference"))
    }

    /// The reference's warnings line by line, under headings that say what they mean; harmless on a terminal.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for group in self.0.chunk_by(|one, next| one.severity() == next.severity()) {
            lines.push(format!("{}:", group.first().map_or("", |one| meaning(one.severity()))));
            let texts = group.iter().flat_map(Drift::lines);
            lines.extend(texts.map(|line| format!("  {}", escape(&line))));
        }
        lines
    }

    /// Writes the lines, indented.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.lines().iter().try_for_each(|line| writeln!(out, "  {line}"))
    }
}

impl Serialize for Comparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = |one| {
            let (file, current) = (Drift::file(one), Drift::current(one));
            DriftReport {
                component_id: one.id(),
                change: match (file, current) {
                    (Some(_), Some(_)) => "differs",
                    (Some(_), None) => "missing_in_current",
                    (None, _) => "missing_in_file",
                },
                severity: one.severity().to_string(),
                file,
                current,
            }
        };
        serializer.collect_seq(self.0.iter().map(report))
    }
}

/// The text of a component, without its name: `version=Linux 6.1`.
pub(crate) fn without_name(component: &Component) -> &str {
    let text = component.canonical();
    let rest = text.strip_prefix("name=").and_then(|rest| rest.strip_prefix(component.id()));
    rest.and_then(|rest| rest.strip_prefix(';')).unwrap_or(text)
}

/// What a difference means for pixels.
pub(crate) fn meaning(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "not said by one side, and no difference",
        Severity::Low => "seldom changes pixels",
        _ => "likely to change pixels",
    }
}
