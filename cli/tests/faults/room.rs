//! Full disks, and limits for the size of files.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::fs::statvfs;

use crate::scene::{NAMES, SIDE_BY_SIDE, Scene, State, said};
use crate::strace::{Call, strace};
use crate::support::Folder;

const STEP: usize = 4096;

/// Whether the test may mount file systems. If not, runs the test of this name again in a new
/// namespace and returns false.
fn is_in_namespace(name: &str) -> bool {
    const MARK: &str = "GEN5_TEST_MAY_MOUNT";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let may_mount = |flags: &&str| {
        let ran = Command::new("unshare").args([*flags, "mount", "-t", "tmpfs", "none", "/mnt"]).output();
        ran.is_ok_and(|ran| ran.status.success())
    };
    let flags = ["-m", "-rm"].into_iter().find(may_mount);
    let flags = flags.expect("root, or a user namespace: a disk that is full has to be mounted");
    let ran = Command::new("unshare")
        .arg(flags)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && told.contains("1 passed"), "{told}\n{}", said(&ran));
    told.lines().filter(|line| line.contains(" runs")).for_each(|line| println!("{line}"));
    false
}

fn mount(kind: &str, options: &str, at: &Path) {
    let ran = Command::new("mount").args(["-t", kind, "-o", options, "none"]).arg(at).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
}

/// A scene with its destination on a separate file system.
fn mounted(name: &'static str, kind: &str, options: &str) -> Scene {
    let folder = Folder::new();
    fs::create_dir(folder.path("disk")).unwrap();
    mount(kind, options, &folder.path("disk"));
    fs::create_dir(folder.path("disk/there")).unwrap();
    std::os::unix::fs::symlink("disk/there", folder.path("there")).unwrap();
    Scene::in_folder(name, folder, 8000)
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    if !is_in_namespace("room::a_full_disk_leaves_what_was_there") {
        return;
    }
    for name in NAMES.into_iter().chain([SIDE_BY_SIDE]) {
        let scene = mounted(name, "tmpfs", "size=1m");
        let filler = scene.folder.path("disk/filler");
        let (mut runs, mut failed, mut succeeded) = (0, 0, 0);
        while succeeded < 3 {
            scene.reset();
            _ = fs::remove_file(&filler);
            let there = statvfs(scene.there()).unwrap();
            let free = (there.f_bavail * there.f_frsize) as usize;
            fs::write(&filler, vec![0; free - runs * STEP]).unwrap();
            let ran = scene.command(&[]).output().unwrap();
            let what = format!("with {} bytes free", runs * STEP);
            match ran.status.code() {
                Some(0) => {
                    succeeded += 1;
                    assert_eq!(scene.state(&what), (State::After, 0), "{name}");
                }
                Some(1) => {
                    assert_eq!(succeeded, 0, "{name} {what}: there was less room before");
                    failed += 1;
                    assert_eq!(scene.state(&what), (State::Before, 0), "{name}");
                    assert!(said(&ran).ends_with(": No space left on device (os error 28)\n"), "{ran:?}");
                    assert!(said(&ran).contains("/there"), "{ran:?}");
                }
                code => panic!("{name} {what}: {code:?}, {ran:?}"),
            }
            runs += 1;
        }
        assert!(failed > 2, "{name}: {failed}");
        println!("{name}, a full disk: {runs} runs, {failed} failed");
        assert!(Command::new("umount").arg(scene.folder.path("disk")).status().unwrap().success());
    }
}

/// The error comes before most of the values are read.
#[test]
fn a_disk_that_cannot_be_written_to_is_told_before_the_work() {
    if !is_in_namespace("room::a_disk_that_cannot_be_written_to_is_told_before_the_work") {
        return;
    }
    for name in ["pack", "pack, new"] {
        let scene = mounted(name, "tmpfs", "size=1m");
        scene.reset();
        let disk = scene.folder.path("disk");
        let ran = Command::new("mount").args(["-o", "remount,ro"]).arg(&disk).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let (ran, calls) = strace(&scene, &["-e", "trace=read,pread64"]);
        assert_eq!(ran.status.code(), Some(1), "{name}: {ran:?}");
        let of_values = |call: &&Call| call.arguments.contains("/a.npy");
        let read = calls.iter().filter(of_values).map(|call| call.result.parse::<usize>().unwrap());
        let read: usize = read.sum();
        assert!((1..8000).contains(&read), "{read} of 32000 bytes");
        let said = said(&ran);
        assert!(
            said.contains("/there") && said.ends_with(": Read-only file system (os error 30)\n"),
            "{said}"
        );
        assert_eq!(scene.state("on a read-only disk"), (State::Before, 0), "{name}");
        assert!(Command::new("umount").arg(disk).status().unwrap().success());
    }
}

/// A limit for file sizes (`ulimit -f`) also sends a signal, which ends a process by default.
#[test]
fn a_limit_for_files_leaves_what_was_there() {
    for name in NAMES.into_iter().chain([SIDE_BY_SIDE]) {
        let scene = Scene::of(name);
        let longest = scene.after.values().map(Vec::len).max().unwrap();
        let (mut runs, mut failed) = (0, 0);
        for limit in (0..longest).step_by(STEP).chain([longest - 1, longest]) {
            scene.reset();
            let ran = scene.command(&["prlimit", &format!("--fsize={limit}")]).output().unwrap();
            runs += 1;
            let what = format!("with a limit of {limit} bytes: {ran:?}");
            if limit == longest {
                assert!(ran.status.success(), "{name} {what}");
                assert_eq!(scene.state(&what), (State::After, 0), "{name}");
                continue;
            }
            failed += 1;
            assert_eq!(ran.status.code(), Some(1), "{name} {what}");
            assert_eq!(scene.state(&what), (State::Before, 0), "{name}");
            assert!(said(&ran).ends_with(": File too large (os error 27)\n"), "{name} {what}");
            assert!(said(&ran).contains("/there"), "{name} {what}");
        }
        println!("{name}, a limit for files: {runs} runs, {failed} failed");
    }
}

#[test]
fn results_over_a_limit_are_an_error() {
    let scene = Scene::of("set");
    let results = fs::File::create(scene.folder.path("values")).unwrap();
    let ran = Command::new("prlimit")
        .args(["--fsize=4096", env!("CARGO_BIN_EXE_gen5"), "cat"])
        .args([scene.folder.path("in.gen5").to_str().unwrap(), "a"])
        .stdout(results)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert!(said(&ran).ends_with("could not write the results: File too large (os error 27)\n"), "{ran:?}");
}

/// Leftovers are only removed on known local file systems. ramfs is not one of them, although it
/// has locks, as a network file system may.
#[test]
fn on_a_file_system_that_is_not_known_nothing_is_taken_away() {
    if !is_in_namespace("room::on_a_file_system_that_is_not_known_nothing_is_taken_away") {
        return;
    }
    for (kind, left) in [("ramfs", 1), ("tmpfs", 0)] {
        let scene = mounted("pack", kind, "mode=755");
        fs::write(scene.there().join(".x.gen5.aaaaaa.gen5-partial"), "half").unwrap();
        assert!(scene.command(&[]).status().unwrap().success());
        assert_eq!(scene.state(kind), (State::After, left), "{kind}");
        assert!(Command::new("umount").arg(scene.folder.path("disk")).status().unwrap().success());
    }
}
