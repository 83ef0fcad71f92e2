//! Captures with an NVIDIA library that hangs or crashes. A stand-in replaces the library.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use gen5::{Capture, Reader};
use rustix::process::{Pid, Signal, kill_process};

use crate::fake_nvml::library;
use crate::support::Folder;

/// The time limit for calls of the library.
const LIMIT: Duration = Duration::from_secs(5);
/// Extra time for a command on a busy machine.
const SLACK: Duration = Duration::from_secs(20);

const HANGS: &str = "gen5: NVIDIA GPUs are left out: the NVIDIA library did not answer within 5s; check the driver, or \
    skip GPUs with --no-gpus\n";

/// A folder with a stand-in for NVIDIA's library, and a file made on this machine with the cards of
/// that library.
struct Scene {
    folder: Folder,
    libraries: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        folder.npy("noise.npy", &[2], &[0.0, 1.0]);
        let libraries = library(&folder, &[]);
        let scene = Self { folder, libraries };
        assert!(scene.command(&PACK).status().unwrap().success());
        assert_eq!(scene.cards("x.gen5"), 2);
        scene
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,TERM,HUP", env!("CARGO_BIN_EXE_gen5")]).args(words);
        command.current_dir(self.folder.path(".")).env("LD_LIBRARY_PATH", &self.libraries);
        command.env("PATH", "/usr/bin:/bin").stdout(Stdio::piped()).stderr(Stdio::piped());
        // These tests do not cover interpreters.
        if STARTS_PYTHON.contains(&words[0]) {
            command.arg("--no-python");
        }
        command
    }

    /// The number of NVIDIA cards in a file's environment.
    fn cards(&self, name: &str) -> usize {
        let environment = Reader::open(self.folder.path(name)).unwrap().environment().unwrap().unwrap();
        environment
            .components()
            .iter()
            .filter(|one| one.canonical().starts_with("name=gpu;model=NVIDIA"))
            .count()
    }
}

const STARTS_PYTHON: [&str; 5] = ["pack", "unpack", "report", "env", "info"];

const PACK: [&str; 6] =
    ["pack", "x.gen5", "--latent=noise.npy", "--model-name=SD", "--model-version=3", "--force"];

/// A running command. Dropping it kills the process, in case the test fails first.
struct Running {
    child: Child,
    start: Instant,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        Self { start: Instant::now(), child: command.spawn().unwrap() }
    }

    /// Sends a signal and restarts the clock.
    fn signal(&mut self, signal: Signal) {
        self.start = Instant::now();
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the command. Returns its status, messages and duration.
    #[track_caller]
    fn ended(mut self, limit: Duration) -> (ExitStatus, String, Duration) {
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(self.start.elapsed() < limit, "it goes on after {limit:?}"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        let took = self.start.elapsed();
        let mut messages = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut messages).unwrap();
        (status, messages, took)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// The state of a process, or `None` if it no longer exists.
fn state(number: &str) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits until each process is gone or is a zombie that waits for its parent.
#[track_caller]
fn assert_gone(numbers: &str) {
    let deadline = Instant::now() + SLACK;
    for number in numbers.lines() {
        while state(number).is_some_and(|state| state != 'Z') {
            assert!(Instant::now() < deadline, "{number} is there");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn whatever_call_of_the_library_hangs_the_file_is_written_and_nothing_is_left() {
    let calls = [
        ("dlopen", false),
        ("nvmlInit_v2", false),
        ("nvmlSystemGetDriverVersion", false),
        ("nvmlSystemGetCudaDriverVersion_v2", false),
        ("nvmlDeviceGetCount_v2", false),
        ("nvmlDeviceGetHandleByIndex_v2", false),
        ("nvmlDeviceGetName", false),
        ("nvmlDeviceGetMemoryInfo_v2", false),
        // The capture is complete before these calls.
        ("nvmlShutdown", true),
        ("dlclose", true),
    ];
    let scene = Scene::new();
    let started = calls.map(|(call, answers)| {
        let (file, loaded) = (format!("{call}.gen5"), scene.folder.path(call));
        let words = PACK.map(|word| if word == "x.gen5" { file.as_str() } else { word });
        let mut command = scene.command(&words);
        command.env("FAKE_NVML_HANG", call).env("FAKE_NVML_LOADED", &loaded);
        (call, answers, file.clone(), loaded, Running::start(&mut command))
    });
    for (call, answers, file, loaded, running) in started {
        let (status, messages, took) = running.ended(LIMIT + SLACK);
        let expected = if answers { "" } else { HANGS };
        assert_eq!((status.code(), messages.as_str()), (Some(0), expected), "{call}");
        assert_eq!(scene.cards(&file), if answers { 2 } else { 0 }, "{call}");
        assert!(answers || took >= LIMIT, "{call}: {took:?}");
        assert_gone(&fs::read_to_string(loaded).unwrap());
    }
}

#[test]
fn a_library_that_cannot_be_opened_hangs_no_command() {
    let scene = Scene::new();
    let library = scene.libraries.join("libnvidia-ml.so.1");
    fs::remove_file(&library).unwrap();
    assert!(Command::new("mkfifo").arg(&library).status().unwrap().success());
    let (status, messages, _) = Running::start(&mut scene.command(&PACK)).ended(LIMIT + SLACK);
    assert_eq!((status.code(), messages.as_str()), (Some(0), HANGS));
}

#[test]
fn a_library_that_hangs_makes_no_difference_in_any_command() {
    let scene = Scene::new();
    let commands: [&[&str]; 5] = [
        &["unpack", "x.gen5", "-o", "x"],
        &["report", "x.gen5", "-o", "x.html"],
        &["env"],
        &["env", "x.gen5"],
        &["info", "x.gen5", "--check-environment"],
    ];
    let started = commands.map(|words| {
        let mut command = scene.command(words);
        (words, Running::start(command.env("FAKE_NVML_HANG", "nvmlInit_v2")))
    });
    for (words, running) in started {
        let (status, messages, _) = running.ended(LIMIT + SLACK);
        assert_eq!((status.code(), messages.as_str()), (Some(0), HANGS), "{words:?}");
    }
}

#[test]
fn a_library_that_crashes_ends_no_command() {
    let scene = Scene::new();
    let ran = scene.command(&PACK).env("FAKE_NVML_CRASH", "nvmlInit_v2").output().unwrap();
    let messages = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(0), "{messages}");
    let note = "gen5: NVIDIA GPUs are left out: querying the NVIDIA library failed: it ended without an \
         answer (signal: 6";
    assert!(messages.starts_with(note), "{messages}");
    assert_eq!(scene.cards("x.gen5"), 0);
}

#[test]
fn a_signal_ends_a_command_that_waits_for_the_library() {
    let scene = Scene::new();
    let commands: [&[&str]; 5] = [
        &PACK,
        &["unpack", "x.gen5", "-o", "x"],
        &["report", "x.gen5", "-o", "x.html"],
        &["env"],
        &["info", "x.gen5", "--check-environment"],
    ];
    let before = scene.folder.names();
    for words in commands {
        let loaded = scene.folder.path("lib/loaded");
        let mut command = scene.command(words);
        command.env("FAKE_NVML_HANG", "nvmlInit_v2").env("FAKE_NVML_LOADED", &loaded);
        let mut running = Running::start(&mut command);
        let deadline = Instant::now() + SLACK;
        while fs::read_to_string(&loaded).map_or(0, |text| text.len()) == 0 {
            assert!(Instant::now() < deadline, "{words:?}: the library is not loaded");
            thread::sleep(Duration::from_millis(1));
        }
        running.signal(Signal::TERM);
        let (status, messages, _) = running.ended(Duration::from_secs(1));
        assert_eq!(status.signal(), Some(15), "{words:?}: {messages}");
        assert_gone(&fs::read_to_string(&loaded).unwrap());
        fs::remove_file(loaded).unwrap();
        assert_eq!(scene.folder.names(), before, "{words:?}");
    }
}

/// The variable that marks the process a test starts from its own binary.
const INNER: &str = "GEN5_TEST_HANGING";

/// The library's captures load NVIDIA's library on a thread.
#[test]
fn a_thread_that_hangs_is_left_behind_once() {
    if std::env::var_os(INNER).is_some() {
        return capture_often();
    }
    let scene = Scene::new();
    let name = "hanging::a_thread_that_hangs_is_left_behind_once";
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args(["--exact", name, "--nocapture"])
        .env(INNER, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    again.env("LD_LIBRARY_PATH", &scene.libraries).env("FAKE_NVML_HANG", "nvmlInit_v2");
    let (status, messages, _) = Running::start(&mut again).ended(SLACK);
    assert!(status.success(), "{messages}");
}

fn capture_often() {
    let limit = Duration::from_millis(500);
    let capture = Capture::new().no_python().gpu_timeout(limit);
    let threads = || fs::read_dir(Path::new("/proc/self/task")).unwrap().count();
    let start = Instant::now();
    let first = capture.run();
    assert!(start.elapsed() >= limit);
    let note = "NVIDIA GPUs are left out: the NVIDIA library did not answer within 500ms; ";
    assert!(first.notes.iter().any(|one| one.starts_with(note)), "{:?}", first.notes);
    let one = threads();
    for _ in 0..100 {
        let again = capture.run();
        assert!(again.environment.get("os").is_some());
        assert!(again.notes.iter().any(|one| one.starts_with(note)), "{:?}", again.notes);
    }
    assert!(start.elapsed() < SLACK / 2, "{:?}: each has waited", start.elapsed());
    // Threads of other queries may still be ending.
    assert!(threads() <= one + 2, "{one} threads became {}", threads());
}
