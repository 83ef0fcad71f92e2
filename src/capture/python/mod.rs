//! What a Python interpreter has installed, from one short process that imports none of it.

mod answer;
mod interpreter;
mod process;

pub(super) use self::answer::{Python, Torch};
pub(super) use self::interpreter::Interpreter;

use std::time::{Duration, Instant};

use self::answer::PACKAGES;
use self::process::{Silence, TimeLimit};

/// What came of asking.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) python: Option<Python>,
    pub(super) notes: Vec<String>,
    /// How long interpreters ran; `None` if none was started.
    pub(super) took: Option<Duration>,
}

/// What the interpreter runs.
const SCRIPT: &str = include_str!("ask.py");

/// Begins the line that the answer is on, whatever else the interpreter prints.
const MARKER: &str = "gen5-environment: ";

/// Asks the first interpreter that answers, within `timeout` for all.
///
/// The caller learns why one that was named did not answer, and of any that took too long. That there is no other is
/// ordinary.
pub(super) fn ask(interpreter: &Interpreter, timeout: Duration) -> Asked {
    let time = TimeLimit { start: Instant::now(), limit: timeout };
    let mut asked = Asked::default();
    for candidate in interpreter.candidates(|name| std::env::var_os(name)) {
        // Not isolated (-I), so that packages of the user's own folder and of PYTHONPATH are found, as in a normal run.
        let arguments = ["-B", "-c", SCRIPT, MARKER].iter().chain(&PACKAGES);
        let told = process::ask(&candidate.program, arguments, MARKER, time);
        if !matches!(told, Err(Silence::NotStarted(_))) {
            asked.took = Some(time.start.elapsed());
        }
        let problem = match told.map(|answer| Python::from_json(&answer)) {
            Ok(Some(python)) => {
                asked.python = Some(python);
                break;
            }
            Ok(None) => "its answer makes no sense".to_owned(),
            Err(silence) if candidate.named || matches!(silence, Silence::TooLate(_)) => silence.to_string(),
            Err(_) => continue,
        };
        asked.notes.push(format!("Python at {}: {problem}", candidate.program.display()));
    }
    asked
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
