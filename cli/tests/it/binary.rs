//! The binary itself: what only a process has.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use crate::support::Folder;

fn gen5() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gen5"))
}

#[test]
fn results_and_messages_go_their_own_ways() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let ran = gen5().arg("verify").arg(folder.path("run.gen5")).arg("/nonexistent.gen5").output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(String::from_utf8(ran.stdout).unwrap().contains("fine, 4 chunks"));
    assert!(String::from_utf8(ran.stderr).unwrap().starts_with("gen5: could not open /nonexistent.gen5"));
}

#[test]
fn help_and_version_are_results() {
    for words in [&["--help"][..], &["--version"], &["help", "pack"], &["verify", "--help"]] {
        let ran = gen5().args(words).output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{words:?}");
        assert!(!ran.stdout.is_empty() && ran.stderr.is_empty(), "{words:?}");
    }
    let ran = gen5().output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(ran.stdout.is_empty() && !ran.stderr.is_empty());
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_ends_quietly() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let path = folder.path("run.gen5");
    for words in [&["info"][..], &["info", "--json"], &["verify", "--json"], &["ls"], &["ls", "--json"]] {
        // Far more than a pipe holds, so that writing goes on after the reader has gone.
        let mut child = gen5()
            .args(words)
            .args(std::iter::repeat_n(&path, 500))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let ran = child.wait_with_output().unwrap();
        let messages = String::from_utf8(ran.stderr).unwrap();
        assert_eq!((ran.status.code(), messages), (Some(0), String::new()), "{words:?}");
    }
}

#[test]
#[cfg(unix)]
fn damage_is_told_by_the_exit_code_even_if_nobody_reads_on() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let path = folder.path("run.gen5");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[52 + 12] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for words in [&["verify"][..], &["verify", "--json"]] {
        let mut child =
            gen5().args(words).arg(&path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(3), "{words:?}");
    }
}

#[test]
#[cfg(unix)]
fn values_that_nobody_reads_on_end_quietly() {
    let folder = Folder::new();
    folder.npy("a.npy", &[1 << 20], &vec![1.5; 1 << 20]);
    folder.ok(&[
        "pack",
        "@/a.gen5",
        "--latent",
        "@/a.npy",
        "--model-name",
        "SD",
        "--model-version",
        "3",
        "--no-environment",
    ]);
    for more in [&[][..], &["--npy"]] {
        let mut command = gen5();
        command.arg("cat").arg(folder.path("a.gen5")).arg("a").args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 4];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let ran = child.wait_with_output().unwrap();
        let messages = String::from_utf8(ran.stderr).unwrap();
        assert_eq!((ran.status.code(), messages), (Some(0), String::new()));
    }
}

#[test]
fn a_slip_of_the_finger_is_met_with_a_proposal() {
    for words in [&["inof"][..], &["help", "inof"]] {
        let ran = gen5().args(words).output().unwrap();
        let messages = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2));
        assert!(messages.contains("'info'"), "{messages}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn results_that_cannot_be_written_are_a_failure() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ran = gen5().arg("info").arg(folder.path("run.gen5")).stdout(full).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_done_at_once_shows_no_bar_on_a_terminal() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let command = format!("{} verify {}", env!("CARGO_BIN_EXE_gen5"), folder.path("run.gen5").display());
    // It gives the command a terminal of its own.
    let ran =
        Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success() && shown.contains("fine"), "{shown:?}");
    assert!(!shown.contains("verifying"), "{shown:?}");
}
