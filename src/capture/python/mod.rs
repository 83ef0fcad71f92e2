//! The packages that a Python interpreter has installed, from one short process that imports none
//! of them.

mod answer;
mod interpreter;
mod lookup;
mod surroundings;

pub(super) use self::answer::{Python, Torch};
pub(super) use self::interpreter::Interpreter;

use std::process::Command;
use std::time::Duration;

pub(super) use self::answer::PACKAGES;
use self::surroundings::Surroundings;
use super::process::{Process, TimeLimit};
use super::silence::Silence;

/// The result of a query.
#[derive(Default)]
pub(super) struct PythonAnswer {
    pub(super) python: Option<Python>,
    pub(super) notes: Vec<String>,
    /// The running time of interpreters, or `None` if none was started.
    pub(super) took: Option<Duration>,
}

/// The script that the interpreter runs.
pub(super) const SCRIPT: &str = include_str!("ask.py");

/// The start of the line with the answer, whatever else the interpreter prints.
const MARKER: &str = "gen5-environment: ";

/// Queries the interpreters in turn until one answers, with one time limit for all.
///
/// The notes explain why an explicitly chosen interpreter did not answer, which ones took too long,
/// and what was ignored. The absence of other interpreters is normal.
pub(super) fn ask(interpreter: &Interpreter, time: &TimeLimit) -> PythonAnswer {
    if let Interpreter::Answered(answer) = interpreter {
        let python = Python::from_json(answer);
        let note = python.is_none().then(|| format!("Python: {}", Silence::Nonsense));
        return PythonAnswer { python, notes: note.into_iter().collect(), took: None };
    }
    let candidates = interpreter.candidates(|name| std::env::var_os(name));
    let mut asked = PythonAnswer { notes: candidates.notes, ..PythonAnswer::default() };
    if candidates.list.is_empty() {
        return asked;
    }
    let surroundings = Surroundings::of(|name| std::env::var_os(name));
    asked.notes.extend(surroundings.notes());
    for candidate in candidates.list {
        let mut command = Command::new(&candidate.program);
        surroundings.apply(&mut command);
        // Not isolated (-I), so that packages in the user's own folder and on PYTHONPATH are found,
        // as in a normal run.
        command.args(["-B", "-c", SCRIPT, MARKER]).args(PACKAGES);
        let told = Process::ask(command, MARKER).and_then(|process| process.answer(time));
        if !matches!(told, Err(Silence::NotStarted(_))) {
            asked.took = Some(time.start.elapsed());
        }
        let read = |answer: String| Python::from_json(&answer).ok_or(Silence::Nonsense);
        let problem = match told.and_then(read) {
            Ok(python) => {
                asked.python = Some(python);
                break;
            }
            Err(Silence::Cancelled) => break,
            Err(silence @ Silence::TooLate(_)) => format!("{silence}, and was stopped"),
            Err(silence) if candidate.named || matches!(silence, Silence::Nonsense) => silence.to_string(),
            Err(_) => continue,
        };
        asked.notes.push(format!("Python at {}: {problem}", candidate.program.display()));
    }
    asked
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
