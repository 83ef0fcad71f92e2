//! Comparison of files' environments with each other and with this machine.

use std::io::{self, Write};

use gen5::environment::{Captured, Comparison, Component, Drift, Severity};
use gen5::{Capture, Environment};
use gen5_picture::text::{count, escape};
use serde::{Serialize, Serializer};

use crate::options::CaptureArgs;
use crate::output::Output;
use crate::{gpu_process, interrupt};

/// Captures the environment of this machine, and prints the notes.
pub(crate) fn capture(args: &CaptureArgs, output: &mut Output<'_>) -> io::Result<Captured> {
    let mut capture = Capture::new().cancel_when(interrupt::is_due);
    if let Some(python) = &args.python {
        capture = capture.python(python);
    }
    if args.no_python {
        capture = capture.no_python();
    }
    if args.no_gpus {
        capture = capture.no_gpus();
    }
    let captured = gpu_process::used_by(capture).run();
    interrupt::check()?;
    for note in &captured.notes {
        output.note(note);
    }
    Ok(captured)
}

/// Differences between the environment of a file and another, the most important first.
pub(crate) struct SortedDrift {
    drift: Vec<Drift>,
    /// Whether the other environment is a file's.
    between_files: bool,
}

/// The JSON report of a difference.
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

impl SortedDrift {
    /// Compares with the environment of this machine.
    pub(crate) fn with_machine(file: &Environment, current: &Environment) -> Self {
        Self::new(Comparison { file, current }.drift(), false)
    }

    /// Compares with the environment of another file.
    pub(crate) fn with_file(file: &Environment, other: &Environment) -> Self {
        Self::new(Comparison { file, current: other }.drift_between_files(), true)
    }

    fn new(mut drift: Vec<Drift>, between_files: bool) -> Self {
        drift.sort_by_key(|one| std::cmp::Reverse(one.severity()));
        Self { drift, between_files }
    }

    /// Drops differences where one side has no value.
    pub(crate) fn without_notes(mut self) -> Self {
        self.drift.retain(Drift::is_difference);
        self
    }

    /// All differences.
    pub(crate) fn drift(&self) -> &[Drift] {
        &self.drift
    }

    /// Whether there are no differences, ignoring values that one side lacks.
    pub(crate) fn is_same(&self) -> bool {
        !self.drift.iter().any(Drift::is_difference)
    }

    /// The number of differences, and of those likely to change pixels.
    pub(crate) fn summary(&self) -> String {
        let differences = self.drift.iter().filter(|one| one.is_difference()).count();
        let high = self.drift.iter().filter(|one| one.severity() == Severity::High).count();
        match (differences, high) {
            (0, _) => "no differences".to_owned(),
            (_, 0) => format!("{}, none likely to change pixels", count(differences, "difference")),
            _ => format!("{}, {high} likely to change pixels", count(differences, "difference")),
        }
    }

    /// The differences line by line, grouped under headings that state their importance, and
    /// escaped for a terminal. Comparisons with this machine use the reference implementation's
    /// wording, which does not cover a second file.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for group in self.drift.chunk_by(|one, next| one.severity() == next.severity()) {
            lines.push(format!("{}:", group.first().map_or("", |one| meaning(one.severity()))));
            let texts = group
                .iter()
                .flat_map(|one| if self.between_files { lines_between_files(one) } else { one.lines() });
            lines.extend(texts.map(|line| format!("  {}", escape(&line))));
        }
        lines
    }

    /// Writes the lines, indented.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.lines().iter().try_for_each(|line| writeln!(out, "  {line}"))
    }
}

impl Serialize for SortedDrift {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = |one| {
            let file = Drift::file(one);
            let current = Drift::current(one);
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
        serializer.collect_seq(self.drift.iter().map(report))
    }
}

/// The lines for a difference between two files.
fn lines_between_files(one: &Drift) -> Vec<String> {
    let id = one.id();
    match (one.file(), one.current()) {
        (Some(first), Some(second)) => vec![
            format!("Environment component '{id}' differs:"),
            format!("  First: {first}"),
            format!("  Second: {second}"),
        ],
        (Some(_), None) => vec![format!("Environment component '{id}' missing in the second file")],
        (None, _) => vec![format!("Environment component '{id}' missing in the first file")],
    }
}

/// The text of a component without its name: `version=Linux 6.1`.
pub(crate) fn without_name(component: &Component) -> &str {
    let text = component.canonical();
    let rest = text.strip_prefix("name=").and_then(|rest| rest.strip_prefix(component.id()));
    rest.and_then(|rest| rest.strip_prefix(';')).unwrap_or(text)
}

/// The effect of a difference on pixels.
pub(crate) fn meaning(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "missing on one side, so not a difference",
        Severity::Low => "rarely changes pixels",
        _ => "likely to change pixels",
    }
}

/// A component, without the name that its text repeats: `os version=Linux 6.1`.
pub(crate) fn describe(component: &Component) -> String {
    format!("{} {}", component.id(), without_name(component))
}
