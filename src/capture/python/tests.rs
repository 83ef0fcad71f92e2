//! Correct and faulty interpreters, simulated by shell scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::cancelled::Cancelled;

const SHORT: Duration = Duration::from_millis(300);
/// A limit for processes that exit on their own.
const LONG: Duration = Duration::from_secs(60);

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Creates an interpreter that is this shell script, with `$here` for the folder. It is written
    /// under another name first: a file that some process has open for writing cannot be run, and
    /// processes that other tests start inherit the handle.
    fn script(&self, text: &str) -> PathBuf {
        let path = self.path("python");
        let text = format!("#!/bin/sh\nhere='{}'\n{text}\n", self.0.path().display());
        let program =
            Command::new("sh").args(["-c", "printf %s \"$1\" > \"$0\""]).arg(&path).arg(text).status();
        assert!(program.unwrap().success());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Returns Python itself, with the folder's `site` on its path.
    fn python(&self) -> PathBuf {
        self.script("PYTHONPATH=$here/site exec python3 \"$@\"")
    }
}

fn given(program: &Path, timeout: Duration) -> PythonAnswer {
    asked(program, timeout, Cancelled::default())
}

fn asked(program: &Path, limit: Duration, cancelled: Cancelled) -> PythonAnswer {
    let time = TimeLimit { start: Instant::now(), limit, cancelled };
    ask(&Interpreter::Given(program.to_owned()), &time)
}

/// Returns the note on an interpreter that did not answer, without its path.
fn problem(program: &Path, timeout: Duration) -> String {
    let asked = given(program, timeout);
    assert_eq!(asked.python, None);
    let [note] = &asked.notes[..] else { panic!("{:?}", asked.notes) };
    let (start, problem) = note.split_at(format!("Python at {}: ", program.display()).len());
    assert!(start.ends_with(": "), "{note}");
    problem.to_owned()
}

/// Returns the answer of a given interpreter.
fn answered(program: &Path) -> Python {
    let asked = given(program, LONG);
    assert_eq!(asked.notes, [""; 0]);
    assert!(asked.took.is_some());
    asked.python.unwrap()
}

/// Returns the state of the process whose number is in this file, or `None` if it has exited.
#[cfg(target_os = "linux")]
fn state(file: &Path) -> Option<char> {
    let number = fs::read_to_string(file).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", number.trim())).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
#[cfg(target_os = "linux")]
fn no_process_is_left_behind() {
    let folder = Folder::new();
    let hangs = "sleep 1000 & echo $! > $here/child; echo $$ > $here/number; wait";
    assert_eq!(problem(&folder.script(hangs), SHORT), "it did not answer within 300ms, and was stopped");
    assert_eq!(state(&folder.path("number")), None);
    // Its current parent reaps the other process sooner or later.
    let deadline = Instant::now() + LONG;
    while state(&folder.path("child")).is_some_and(|state| state != 'Z') {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
    let answers = "echo $$ > $here/number; echo \"$4{\\\"packages\\\":{}}\"; exec sleep 1000";
    assert_eq!(answered(&folder.script(answers)), Python::default());
    assert_eq!(state(&folder.path("number")), None);
    assert!(
        problem(&folder.script("echo $$ > $here/number; exec yes"), LONG).starts_with("it printed no answer")
    );
    assert_eq!(state(&folder.path("number")), None);
}
#[test]
fn an_interpreter_that_hangs_is_ended() {
    let folder = Folder::new();
    let start = Instant::now();
    let hangs = folder.script("exec sleep 1000");
    assert_eq!(problem(&hangs, SHORT), "it did not answer within 300ms, and was stopped");
    assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
}

#[test]
fn an_interpreter_that_hangs_is_ended_when_the_capture_is_cancelled() {
    let folder = Folder::new();
    let hangs = folder.script("echo > $here/started; exec sleep 1000");
    let started = folder.path("started");
    let start = Instant::now();
    let asked = asked(&hangs, LONG, Cancelled::when(move || started.exists()));
    assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
    assert!(asked.python.is_none() && asked.notes.is_empty(), "{:?}", asked.notes);
}

#[test]
fn a_child_that_keeps_the_output_open_is_not_waited_for() {
    let folder = Folder::new();
    let program = folder.script("sleep 1000 & echo $! > $here/child; exit 3");
    let start = Instant::now();
    assert_eq!(problem(&program, LONG), "it ended without an answer (exit status: 3)");
    let answers =
        folder.script("sleep 1000 & echo $! >> $here/child; echo \"$4{\\\"packages\\\":{}}\"; wait");
    assert_eq!(answered(&answers), Python::default());
    assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
    for child in fs::read_to_string(folder.path("child")).unwrap().lines() {
        assert!(Command::new("kill").arg(child).status().unwrap().success());
    }
}

#[test]
fn a_flood_is_read_no_further_than_a_megabyte() {
    let folder = Folder::new();
    for flood in ["cat /dev/zero", "yes"] {
        let program = folder.script(&format!("exec {flood}"));
        assert_eq!(problem(&program, LONG), "it printed no answer in its first 1048576 bytes", "{flood}");
    }
}

#[test]
fn no_answer_is_told_of_a_given_interpreter() {
    let folder = Folder::new();
    let problem_of = |script: &str| problem(&folder.script(script), LONG);
    assert_eq!(problem_of("echo garbage; exit 1"), "it ended without an answer (exit status: 1)");
    assert_eq!(problem_of("printf '%s{\"pack' \"$4\""), "it ended without an answer (exit status: 0)");
    assert_eq!(problem_of("echo \"$4{\""), "its answer is not valid");
    assert_eq!(problem_of("exec >&-; sleep 1000"), "it closed its output without an answer");
    assert!(problem(&folder.path("none"), LONG).starts_with("it could not be started: "));
    assert!(problem(folder.0.path(), LONG).starts_with("it could not be started: "));
    assert_eq!(given(&folder.path("none"), LONG).took, None);
}

#[test]
fn what_else_is_printed_does_not_hide_the_answer() {
    let folder = Folder::new();
    folder.file(
        "site/sitecustomize.py",
        "import sys\nprint('hello')\nsys.stdout.write('no newline')\nsys.stdout.flush()",
    );
    folder
        .file("site/numpy-2.4.6.dist-info/METADATA", "Metadata-Version: 2.4\nName: numpy\nVersion: 2.4.6\n");
    folder.file("site/numpy/__init__.py", "raise RuntimeError('imported')");
    assert_eq!(answered(&folder.python()).numpy.as_deref(), Some("2.4.6"));
}

#[test]
fn torch_is_read_from_the_text_of_its_version() {
    let folder = Folder::new();
    folder.file("site/torch/__init__.py", "raise RuntimeError('imported')");
    let torch_of = |text: &str| {
        folder.file("site/torch/version.py", text);
        answered(&folder.python()).torch
    };
    let torch = |cuda: Option<&str>, rocm: Option<&str>| {
        let text = |text: &str| text.to_owned();
        Some(Torch { version: "2.15.0".into(), cuda: cuda.map(text), rocm: rocm.map(text) })
    };
    let old =
        "__version__ = '2.15.0+cu132'\ndebug = False\ncuda = '13.2'\ngit_version = 'd0f2'\nhip = None\n";
    assert_eq!(torch_of(old), torch(Some("13.2"), None));
    let new = "from typing import Optional\n\n__all__ = ['__version__', 'cuda', 'hip']\n\
        __version__ = \"2.15.0+cu132\"\ndebug = False\ncuda: Optional[str] = '13.2'\n\
        git_version = 'd0f2'\nhip: Optional[str] = None\nrocm: Optional[str] = None\n";
    assert_eq!(torch_of(new), torch(Some("13.2"), None));
    let rocm = "__version__ = '2.15.0+rocm6.2'\r\ncuda: Optional[str] = None\r\nhip: Optional[str] = '6.2.41133'\r\n";
    assert_eq!(torch_of(rocm), torch(None, Some("6.2.41133")));
    let odd = "if True:\n    cuda = '1'\n__version__ = '2.15.0'  # of today\ncuda = 'a' + 'b'\nhip = '\n";
    assert_eq!(torch_of(odd), torch(None, None));
    assert_eq!(torch_of("__version__ = version\n"), None);
    fs::remove_file(folder.path("site/torch/version.py")).unwrap();
    assert_eq!(answered(&folder.python()).torch, None);
}

#[test]
fn packages_are_read_from_what_installers_leave() {
    let folder = Folder::new();
    let record = |path: &str, version: &str| {
        folder.file(
            &format!("site/{path}"),
            &format!("Metadata-Version: 2.1\nName: x\nVersion: {version}\n\nVersion: 0"),
        );
    };
    record("diffusers-0.35.1.dist-info/METADATA", "0.35.1");
    record("onnxruntime_gpu-1.23.0.dist-info/METADATA", "1.23.0");
    record("transformers-5.0.0-py3.11.egg-info/PKG-INFO", "5.0.0");
    record("Flax.egg-info", "0.12.0+local");
    record("jax-0.9.0.dist-info/METADATA", "0.9;name=torch");
    record("xformers-0.1.dist-info/none", "0.1");
    record("jaxlib-0.9.0.dist-info/METADATA", "0.9.\u{e9}");
    record("tensorflow_text-2.0.dist-info/METADATA", "2.0");
    record("accelerate-1.0.dist-info/METADATA", "1.0");
    record("accelerate-0.9.dist-info/METADATA", "0.9");
    let older = fs::File::open(folder.path("site/accelerate-1.0.dist-info")).unwrap();
    older.set_modified(std::time::UNIX_EPOCH).unwrap();
    // After `site` on the path.
    folder.file("behind/diffusers-0.1.dist-info/METADATA", "Version: 0.1\n");
    folder.file("behind/safetensors-0.8.0.dist-info/METADATA", "Version: 0.8.0\n");
    let program = folder.script("PYTHONPATH=$here/site:$here/behind:$here/none exec python3 -S \"$@\"");
    let expected = [
        ("diffusers", "0.35.1"),
        ("transformers", "5.0.0"),
        ("accelerate", "0.9"),
        ("safetensors", "0.8.0"),
        ("flax", "0.12.0"),
        ("onnxruntime-gpu", "1.23.0"),
    ];
    assert_eq!(answered(&program).packages, expected.map(|(name, version)| (name, version.to_owned())));
}

#[test]
fn nothing_is_imported_from_the_folder_that_is_worked_in() {
    let folder = Folder::new();
    folder.file("numpy/__init__.py", "");
    folder.file("numpy/version.py", "version = '6.6.6'");
    folder.file("os.py", "raise RuntimeError('imported')");
    folder.file("diffusers-6.dist-info/METADATA", "Version: 6\n");
    let python = answered(&folder.script("cd $here; exec python3 -S \"$@\""));
    assert_eq!((python.numpy, python.packages), (None, Vec::new()));
    assert!(python.version.is_some());
}

/// An interpreter that is running already answers as one that is started.
#[test]
fn a_running_interpreter_answers_as_a_started_one() {
    let packages = format!("{PACKAGES:?}");
    let program = "import sys\n\
        scope = {'__name__': 'gen5_environment'}\n\
        exec(sys.argv[1], scope)\n\
        print(scope['answer'](eval(sys.argv[2])))\n";
    let output = Command::new("python3").args(["-B", "-c", program, SCRIPT, &packages]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let answer = String::from_utf8(output.stdout).unwrap();
    let time =
        TimeLimit { start: Instant::now(), limit: Duration::from_secs(60), cancelled: Cancelled::default() };
    let running = ask(&Interpreter::Answered(answer), &time);
    let started = ask(&Interpreter::Given("python3".into()), &time);
    assert!(running.python.is_some());
    assert_eq!((running.python, running.notes), (started.python, started.notes));
    assert!(running.took.is_none());

    let nonsense = ask(&Interpreter::Answered("{}".into()), &time);
    assert!(nonsense.python.is_none());
    assert_eq!(nonsense.notes, ["Python: its answer is not valid"]);
}
