//! How commands end when they are interrupted. Files are large enough that the signal arrives while
//! the command still runs.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use gen5::Dtype;
use rustix::process::{Pid, Signal, kill_process};
use walkdir::WalkDir;

use crate::support::{Folder, names};

const ENDED: &str = "gen5: interrupted\n";

/// A `gen5` command with the default signal handling of a terminal. A script's background jobs
/// ignore some signals, and their child processes inherit that.
fn gen5() -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT,TERM,HUP", env!("CARGO_BIN_EXE_gen5")]);
    command
}

/// Creates a sparse file: a header followed by zeros.
fn sparse(path: PathBuf, header: &[u8], mebibytes: usize) {
    let file = File::create(path).unwrap();
    file.write_all_at(header, 0).unwrap();
    file.set_len(header.len() as u64 + ((mebibytes as u64) << 20)).unwrap();
}

/// Writes `a.npy`, a batch of `images` images of 1 MiB each.
fn npy(folder: &Folder, images: usize) {
    let mut header = Vec::new();
    gen5_cli::convert::npy::write_header(&mut header, Dtype::F32, &[images, 4, 256, 256]).unwrap();
    sparse(folder.path("a.npy"), &header, images);
}

/// Writes `m.safetensors`, a musubi-tuner cache of `frames` frames of 1 MiB each.
fn musubi(folder: &Folder, frames: usize) {
    let header = serde_json::json!({
        "__metadata__": {"architecture": "wan", "format_version": "1.0.1"},
        format!("latents_{frames}x256x256_float32"): {
            "dtype": "F32", "shape": [4, frames, 256, 256], "data_offsets": [0, frames << 20],
        },
    });
    let header = header.to_string();
    let header = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    sparse(folder.path("m.safetensors"), &header, frames);
}

const PACK: [&str; 10] = [
    "pack",
    "x.gen5",
    "--model-name=SD",
    "--model-version=3",
    "--no-environment",
    "--compress=none",
    "--jobs=1",
    "--force",
    "--latent",
    "a.npy",
];

fn start(folder: &Folder, words: &[&str]) -> Child {
    let mut command = gen5();
    command.args(words).current_dir(folder.path(".")).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// All paths in a folder. Files come with their inode, length and modification time, which change
/// when a file is written or replaced.
fn content(folder: &Path) -> Vec<String> {
    let told = |entry: walkdir::DirEntry| {
        let (path, metadata) = (entry.path().display(), entry.metadata().unwrap());
        match metadata.is_file() {
            true => format!("{path} {} {} {}", metadata.ino(), metadata.len(), metadata.mtime_nsec()),
            false => path.to_string(),
        }
    };
    WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap).map(told).collect()
}

/// Runs a command and sends it a signal as soon as a new entry appears in the folder. Sends the
/// signal twice, as `timeout` does.
fn interrupt(folder: &Folder, words: &[&str], signal: Signal) -> (ExitStatus, String) {
    let count = || WalkDir::new(folder.path(".")).into_iter().flatten().count();
    let before = count();
    let child = start(folder, words);
    let deadline = Instant::now() + Duration::from_secs(60);
    while count() == before {
        assert!(Instant::now() < deadline, "{words:?}: nothing is written");
        std::thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..2 {
        kill_process(Pid::from_child(&child), signal).unwrap();
    }
    let ran = child.wait_with_output().unwrap();
    (ran.status, String::from_utf8(ran.stderr).unwrap())
}

#[test]
fn signals_end_a_command_that_cleans_up() {
    let folder = Folder::new();
    npy(&folder, 4096);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (status, messages) = interrupt(&folder, &PACK, signal);
        // The exit status must name the signal. Otherwise a shell continues its loop.
        assert_eq!(status.signal(), Some(signal.as_raw()), "{messages}");
        assert!(messages.ends_with(ENDED), "{messages}");
        assert_eq!(folder.names(), ["a.npy"], "{signal:?}");
    }
}

/// Removes the outputs of the commands, or creates old ones if `there`.
fn prepare(folder: &Folder, there: bool) {
    // The outputs may not exist.
    let _ = (fs::remove_file(folder.path("y.gen5")), fs::remove_dir_all(folder.path("out")));
    if there {
        fs::write(folder.path("y.gen5"), "old").unwrap();
        fs::create_dir_all(folder.path("out/latents")).unwrap();
        fs::write(folder.path("out/index.json"), "old").unwrap();
    }
}

/// Each command runs once with no output in place and once with old output.
#[test]
fn an_interrupted_command_leaves_everything_as_it_was() {
    let folder = Folder::new();
    npy(&folder, 8);
    musubi(&folder, 24);
    assert!(start(&folder, &[&PACK[..], &["m.safetensors"]].concat()).wait().unwrap().success());
    let table: [&[&str]; 16] = [
        &["pack", "y.gen5", "--latent=a.npy", "--model-name=SD", "--model-version=3", "--compress=none"],
        &["pack", "y.gen5", "--latent=a.npy", "--model-name=SD", "--model-version=3", "--compress=zstd"],
        &["pack", "y.gen5", "--latent=a.npy", "--model-name=SD", "--model-version=3", "--compress=shuffled"],
        &["repack", "x.gen5", "y.gen5"],
        &["repack", "x.gen5", "y.gen5", "--compress=zstd"],
        &["repack", "x.gen5", "y.gen5", "--compress=shuffled", "--dtype=float16"],
        &["merge", "--stack", "x.gen5", "x.gen5", "-o", "y.gen5"],
        &["split", "x.gen5", "-o", "out"],
        &["split", "x.gen5", "-o", "out", "--rows=1"],
        &["unpack", "x.gen5", "-o", "out", "--format=npy"],
        &["unpack", "x.gen5", "-o", "out", "--format=npz"],
        &["unpack", "x.gen5", "-o", "out", "--format=safetensors"],
        &["unpack", "x.gen5", "-o", "out", "--format=original"],
        &["unpack", "x.gen5", "-o", "out", "--format=comfyui"],
        &["unpack", "x.gen5", "-o", "out", "--format=kohya"],
        &["unpack", "x.gen5", "-o", "out", "--format=musubi"],
    ];
    for there in [false, true] {
        let force = if there { &["--jobs=1", "--force"][..] } else { &["--jobs=1"] };
        for words in table {
            // On a busy machine the command may finish before the signal arrives. Such a run proves
            // nothing and is repeated.
            let cut_off = (0..20).find_map(|_| {
                prepare(&folder, there);
                let before = content(&folder.path("."));
                let (status, messages) = interrupt(&folder, &[words, force].concat(), Signal::INT);
                (!status.success()).then_some((before, status, messages))
            });
            let (before, status, messages) = cut_off.expect("a signal that comes in time");
            assert_eq!(status.signal(), Some(2), "{words:?}: {messages}");
            assert!(messages.ends_with(ENDED), "{words:?}: {messages}");
            assert_eq!(content(&folder.path(".")), before, "{words:?}");
        }
    }
}

/// These commands spend their time reading and hashing one file, without writing in between.
#[test]
fn reading_stops_too() {
    let folder = Folder::new();
    npy(&folder, 96);
    let zstd = PACK.map(|word| if word == "--compress=none" { "--compress=zstd" } else { word });
    assert!(start(&folder, &zstd).wait().unwrap().success());
    let names = folder.names();
    let report = ["report", "x.gen5", "-o", "y.html", "--no-environment-check", "--jobs=1"];
    let unverified = [&report[..], &["--no-verify"]].concat();
    for words in [&report[..], &unverified, &["render", "x.gen5", "-o", "y.png", "--jobs=1"]] {
        let began = Instant::now();
        assert!(start(&folder, words).wait().unwrap().success());
        let whole = began.elapsed();
        fs::remove_file(folder.path(words[3])).unwrap();
        let began = Instant::now();
        let (status, messages) = interrupt(&folder, words, Signal::INT);
        assert!(began.elapsed() < whole * 3 / 4, "{words:?}: {:?} of {whole:?}", began.elapsed());
        assert_eq!((status.signal(), messages.as_str()), (Some(2), ENDED), "{words:?}");
        assert_eq!(folder.names(), names, "{words:?}");
    }
}

#[test]
fn a_command_that_writes_nothing_ends_at_once() {
    let folder = Folder::new();
    // All of these wait for standard input.
    for words in [&["info", "-"][..], &["set", "-", "tags=x"], &["report", "-", "-o", "x.html"]] {
        let mut child = gen5();
        child.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir(folder.path("."));
        ends_at_once(child.spawn().unwrap(), words);
        assert_eq!(folder.names(), [""; 0], "{words:?}");
    }
}

/// Checks that a process is still waiting, then that a signal ends it.
#[track_caller]
fn ends_at_once(mut child: Child, words: &[&str]) {
    std::thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "{words:?}: it is to wait");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            None => {
                child.kill().unwrap();
                panic!("{words:?}: it goes on waiting");
            }
        }
    };
    assert_eq!(status.signal(), Some(2), "{words:?}: {status:?}");
}

/// The command blocks because it writes more than a pipe's capacity and nothing reads the pipe.
#[test]
fn a_command_that_nobody_reads_ends_at_once() {
    let folder = Folder::new();
    npy(&folder, 4);
    assert!(start(&folder, &PACK).wait().unwrap().success());
    fs::create_dir(folder.path("tmp")).unwrap();
    for words in [&["repack", "x.gen5", "-"][..], &["set", "x.gen5", "tags=x", "-o", "-"]] {
        let mut child = gen5();
        child.args(words).stdout(Stdio::piped()).env("TMPDIR", folder.path("tmp"));
        ends_at_once(child.current_dir(folder.path(".")).spawn().unwrap(), words);
        assert_eq!(names(&folder.path("tmp")), [""; 0], "{words:?}");
    }
}

/// The time a command may take to end. The goal is one second; a busy machine gets more.
const SOON: Duration = Duration::from_secs(3);

/// Waits for a process that was just sent a signal. Returns its status and messages.
fn ends_soon(mut child: Child, words: &[&str]) -> (ExitStatus, String) {
    let sent = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if sent.elapsed() > SOON {
            child.kill().unwrap();
            panic!("{words:?}: it goes on after {:?}", sent.elapsed());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let ran = child.wait_with_output().unwrap();
    (ran.status, String::from_utf8(ran.stderr).unwrap())
}

/// Wherever the signal arrives, with few or many threads, the command leaves all of its output or
/// none.
#[test]
fn a_signal_ends_every_command_soon() {
    let folder = Folder::new();
    npy(&folder, 64);
    assert!(start(&folder, &PACK).wait().unwrap().success());
    let pack =
        ["pack", "y.gen5", "--latent=a.npy", "--model-name=SD", "--model-version=3", "--compress=shuffled"];
    let table: [&[&str]; 17] = [
        &["info", "x.gen5"],
        &["ls", "x.gen5"],
        &["cat", "x.gen5", "a"],
        &["diff", "x.gen5", "x.gen5"],
        &["show", "x.gen5", "--json"],
        &["verify", "x.gen5", "x.gen5", "x.gen5"],
        &["fingerprint", "x.gen5"],
        &["env"],
        &["render", "x.gen5", "-o", "y.png"],
        &["report", "x.gen5", "-o", "y.html", "--no-environment-check"],
        &pack,
        &["repack", "x.gen5", "y.gen5", "--compress=zstd"],
        &["merge", "--stack", "x.gen5", "x.gen5", "-o", "y.gen5"],
        &["split", "x.gen5", "-o", "out", "--rows=1"],
        &["unpack", "x.gen5", "-o", "out", "--no-environment-check"],
        &["set", "x.gen5", "tags=x", "-o", "y.gen5"],
        &["man", "-o", "out"],
    ];
    let before = folder.names();
    for words in table {
        for jobs in ["1", "2", "64", "512"] {
            for milliseconds in [20, 300] {
                let child = start(&folder, &[words, &["--jobs", jobs]].concat());
                std::thread::sleep(Duration::from_millis(milliseconds));
                kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
                let (status, messages) = ends_soon(child, words);
                let was_done = status.success();
                assert!(was_done || status.signal() == Some(15), "{words:?}: {status:?} {messages}");
                // `man` publishes its pages one at a time.
                if !was_done && words[0] != "man" {
                    assert_eq!(folder.names(), before, "{words:?} --jobs {jobs}");
                }
                for written in ["y.gen5", "y.html", "y.png"] {
                    let _ = fs::remove_file(folder.path(written));
                }
                let _ = fs::remove_dir_all(folder.path("out"));
            }
        }
    }
}

/// `gen5` waits for an interpreter that does not answer, and no code checks for signals meanwhile.
/// The unfinished page is still removed.
#[test]
fn a_signal_ends_what_does_not_look_for_one() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    folder.sample("run.gen5");
    fs::write(folder.path("python"), "#!/bin/sh\nexec sleep 4\n").unwrap();
    fs::set_permissions(folder.path("python"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.path("y.html"), "old").unwrap();
    let before = folder.names();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let words = ["report", "run.gen5", "-o", "y.html", "--force", "--python", "./python"];
        let child = start(&folder, &words);
        let deadline = Instant::now() + Duration::from_secs(20);
        while folder.names() == before {
            assert!(Instant::now() < deadline, "nothing is begun");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(100));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let (status, messages) = ends_soon(child, &words);
        assert_eq!(status.signal(), Some(signal.as_raw()), "{messages}");
        assert!(messages.ends_with(ENDED), "{messages}");
        assert_eq!(folder.names(), before, "{signal:?}");
        assert_eq!(fs::read_to_string(folder.path("y.html")).unwrap(), "old");
    }
}
