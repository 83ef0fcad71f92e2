//! Which interpreter is asked.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Which interpreter is asked.
#[derive(Clone, Debug)]
pub(in crate::capture) enum Interpreter {
    /// That of the active environment, or the one on `PATH`.
    Found,
    /// This one.
    Given(PathBuf),
    None,
}

/// An interpreter that may be there.
#[derive(Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) program: OsString,
    /// Whether somebody named it: the caller, or whoever activated an environment.
    pub(super) named: bool,
}

/// Where environments have their interpreter, below the folder that this variable names; the first that is there is
/// the one that is active.
const ACTIVE: [(&str, &str); 2] = if cfg!(windows) {
    [("VIRTUAL_ENV", r"Scripts\python.exe"), ("CONDA_PREFIX", "python.exe")]
} else {
    [("VIRTUAL_ENV", "bin/python"), ("CONDA_PREFIX", "bin/python")]
};

/// What interpreters on `PATH` are called.
const ON_PATH: &[&str] = if cfg!(windows) { &["python", "py"] } else { &["python3"] };

impl Interpreter {
    /// The interpreters to be asked in turn, until one answers; `variable` is the process's environment.
    pub(super) fn candidates(&self, variable: impl Fn(&str) -> Option<OsString>) -> Vec<Candidate> {
        let named = |path: PathBuf| vec![Candidate { program: path.into(), named: true }];
        match self {
            Self::None => Vec::new(),
            Self::Given(path) => named(path.clone()),
            Self::Found => {
                let active = ACTIVE.iter().find_map(|(name, program)| {
                    let program = Path::new(&variable(name)?).join(program);
                    program.is_file().then_some(program)
                });
                let on_path = |name: &&str| Candidate { program: name.into(), named: false };
                active.map_or_else(|| ON_PATH.iter().map(on_path).collect(), named)
            }
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_virtual_environment_comes_before_conda_and_conda_before_path() {
        let folder = tempfile::tempdir().unwrap();
        let variable = |known: &'static [&'static str]| {
            let here = folder.path().to_owned();
            move |name: &str| known.contains(&name).then(|| here.join(name).into_os_string())
        };
        let found = |known| Interpreter::Found.candidates(variable(known));
        let on_path = [Candidate { program: "python3".into(), named: false }];
        let both: &[&str] = &["VIRTUAL_ENV", "CONDA_PREFIX"];
        assert_eq!(found(&[]), on_path);
        assert_eq!(found(both), on_path, "folders that are gone are not active");

        let make = |name: &str| {
            let program = folder.path().join(name).join("bin/python");
            fs::create_dir_all(program.parent().unwrap()).unwrap();
            fs::write(&program, "").unwrap();
            [Candidate { program: program.into(), named: true }]
        };
        let conda = make("CONDA_PREFIX");
        assert_eq!(found(both), conda);
        let virtual_environment = make("VIRTUAL_ENV");
        assert_eq!(found(both), virtual_environment);
        assert_eq!(found(&["CONDA_PREFIX"]), conda);
        assert_eq!(found(&[]), on_path);
    }

    #[test]
    fn a_given_interpreter_is_the_only_one() {
        let active = |_: &str| -> Option<OsString> { panic!("not asked for") };
        let given = Interpreter::Given("/opt/python".into()).candidates(active);
        assert_eq!(given, [Candidate { program: "/opt/python".into(), named: true }]);
        assert_eq!(Interpreter::None.candidates(active), []);
    }
}
