//! The choice of the interpreter. It never comes from the working folder, unless the caller names
//! it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::lookup::{find, shown};

/// The interpreter to query.
#[derive(Clone, Debug)]
pub(in crate::capture) enum Interpreter {
    /// The interpreter of the active environment, or the one on `PATH`.
    Found,
    /// This interpreter.
    Given(PathBuf),
    /// The caller's own interpreter, which gave this answer.
    Answered(String),
    None,
}

/// Interpreters that may answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Candidates {
    /// Queried in turn, until one answers.
    pub(super) list: Vec<Candidate>,
    /// Notes on ignored variables and entries of `PATH`.
    pub(super) notes: Vec<String>,
}

/// An interpreter that may exist.
#[derive(Debug, PartialEq)]
pub(super) struct Candidate {
    /// An absolute path, or the path that the caller has given.
    pub(super) program: PathBuf,
    /// Whether it was chosen explicitly, by the caller or by activating an environment.
    pub(super) named: bool,
}

/// The variables that name the folder of the active environment, and the path of the interpreter in
/// that folder. The first interpreter that exists is used.
const ACTIVE: [(&str, &str); 2] = if cfg!(windows) {
    [("VIRTUAL_ENV", r"Scripts\python.exe"), ("CONDA_PREFIX", "python.exe")]
} else {
    [("VIRTUAL_ENV", "bin/python"), ("CONDA_PREFIX", "bin/python")]
};

/// The names of interpreters on `PATH`.
const ON_PATH: &[&str] = if cfg!(windows) { &["python.exe", "py.exe"] } else { &["python3"] };

/// The remedy for an ignored interpreter.
const REMEDY: &str = "set an absolute path, or name the interpreter with --python";

impl Interpreter {
    /// Returns the interpreters to query; `variable` looks up an environment variable of the
    /// process.
    pub(super) fn candidates(&self, variable: impl Fn(&str) -> Option<OsString>) -> Candidates {
        let mut candidates = Candidates::default();
        match self {
            Self::None | Self::Answered(_) => {}
            Self::Given(name) if is_bare(name) => {
                let problem = format!("Python at {}: it is not in any folder of PATH", name.display());
                if !candidates.add_from_path(name.as_os_str(), true, variable) {
                    candidates
                        .notes
                        .push(format!("{problem}; to give a path, include a separator, as in ./python"));
                }
            }
            Self::Given(path) => candidates.add(path.clone(), true),
            Self::Found => match candidates.active(&variable) {
                Some(program) => candidates.add(program, true),
                None => {
                    for name in ON_PATH {
                        candidates.add_from_path(name.as_ref(), false, &variable);
                    }
                }
            },
        }
        candidates
    }
}

impl Candidates {
    fn add(&mut self, program: PathBuf, named: bool) {
        self.list.push(Candidate { program, named });
    }

    /// Returns the interpreter of the active environment.
    fn active(&mut self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        ACTIVE.iter().find_map(|(name, program)| {
            let folder = PathBuf::from(variable(name).filter(|folder| !folder.is_empty())?);
            if !folder.is_absolute() {
                let folder = shown(&folder);
                self.notes.push(format!("{name} is ignored because {folder} is a relative path; {REMEDY}"));
                return None;
            }
            Some(folder.join(program)).filter(|program| program.is_file())
        })
    }

    /// Adds the first program with this name on `PATH`, and returns whether there is one.
    fn add_from_path(
        &mut self,
        name: &OsStr,
        named: bool,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> bool {
        let found = find(name, &variable("PATH").unwrap_or_default());
        self.notes.extend(found.passed_over.iter().map(|folder| {
            let folder = shown(folder);
            let name = shown(name.as_ref());
            format!(
                "the entry {folder} of PATH, which has {name}, is ignored because it is relative; {REMEDY}"
            )
        }));
        let there = found.program.is_some();
        self.list.extend(found.program.map(|program| Candidate { program, named }));
        there
    }
}

/// Returns whether a path is a name without separators.
fn is_bare(path: &Path) -> bool {
    path.file_name() == Some(path.as_os_str())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    /// A folder with programs.
    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    /// Returns the candidates with these variables.
    fn candidates(interpreter: &Interpreter, variables: &[(&str, &OsStr)]) -> Candidates {
        interpreter.candidates(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn found(variables: &[(&str, &OsStr)]) -> Candidates {
        candidates(&Interpreter::Found, variables)
    }

    fn only(program: PathBuf, named: bool) -> Candidates {
        Candidates { list: vec![Candidate { program, named }], notes: Vec::new() }
    }

    #[test]
    fn a_virtual_environment_comes_before_conda_and_conda_before_path() {
        let folder = Folder::new();
        let [venv, conda, bin] = ["venv", "conda", "bin"].map(|name| folder.path(name));
        let variables: [(&str, &OsStr); 3] =
            [("VIRTUAL_ENV", venv.as_ref()), ("CONDA_PREFIX", conda.as_ref()), ("PATH", bin.as_ref())];
        assert_eq!(found(&variables), Candidates::default());
        let on_path = folder.file("bin/python3", 0o755);
        assert_eq!(found(&variables), only(on_path.clone(), false), "folders that are gone are not active");
        assert_eq!(found(&variables[2..]), only(on_path, false));
        let of_conda = folder.file("conda/bin/python", 0o755);
        assert_eq!(found(&variables), only(of_conda.clone(), true));
        let of_venv = folder.file("venv/bin/python", 0o755);
        assert_eq!(found(&variables), only(of_venv, true));
        assert_eq!(found(&variables[1..]), only(of_conda, true));
    }

    #[test]
    fn an_environment_that_is_empty_is_none_and_a_relative_one_is_ignored_with_a_note() {
        // Tests run in the folder of the crate, where this exists.
        let there = Path::new("src");
        assert!(there.is_dir());
        for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
            assert_eq!(found(&[(name, "".as_ref())]), Candidates::default());
            for folder in ["src", "./src", ".", ".."] {
                let ignored = found(&[(name, folder.as_ref())]);
                assert_eq!(ignored.list, []);
                let expected = format!(
                    "{name} is ignored because \"{folder}\" is a relative path; set an absolute \
                     path, or name the interpreter with --python"
                );
                assert_eq!(ignored.notes, [expected]);
            }
        }
    }

    #[test]
    fn a_given_path_is_the_only_one_even_if_it_is_relative() {
        let active = |_: &str| -> Option<OsString> { panic!("not asked for") };
        for path in ["/opt/python", "./python", "venv/bin/python", "../python", ".", ""] {
            assert_eq!(Interpreter::Given(path.into()).candidates(active), only(path.into(), true));
        }
        assert_eq!(Interpreter::None.candidates(active), Candidates::default());
    }

    #[test]
    fn a_given_name_is_looked_up_on_path() {
        let folder = Folder::new();
        let program = folder.file("python3.12", 0o755);
        let path = [("PATH", folder.0.path().as_os_str())];
        assert_eq!(candidates(&Interpreter::Given("python3.12".into()), &path), only(program, true));
        // This is in the working folder of tests.
        let name = "Cargo.toml";
        assert!(Path::new(name).is_file());
        for path in [&path[..], &[("PATH", "".as_ref())], &[]] {
            let none = candidates(&Interpreter::Given(name.into()), path);
            assert_eq!(none.list, []);
            assert_eq!(
                none.notes,
                ["Python at Cargo.toml: it is not in any folder of PATH; to give a path, include \
                    a separator, as in ./python"]
            );
        }
    }
}
