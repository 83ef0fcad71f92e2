//! Files that change while they are read.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::scene::{LEFT, Scene, said};

/// These commands read values in blocks and compare hashes at the end.
#[test]
fn what_is_changed_while_it_is_taken_apart_is_not_published() {
    for words in
        [&["unpack", "--format", "original", "--no-environment-check"][..], &["split", "--rows", "100"]]
    {
        let scene = Scene::of("split");
        scene.reset();
        let (file, out) = (scene.folder.path("in.gen5"), scene.there().join("out"));
        // When the draft folder exists, the file is open, but none of its values has been read.
        let mut command = std::process::Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", "trace=mkdir", "-e", "inject=mkdir:delay_exit=2000000"]);
        command.arg(env!("CARGO_BIN_EXE_gen5")).args(words).arg(&file).arg("-o").arg(&out);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while !crate::support::names(&scene.there()).iter().any(|name| name.ends_with(LEFT)) {
            assert!(start.elapsed() < Duration::from_secs(60), "{words:?}");
            sleep(Duration::from_millis(10));
        }
        let mut bytes = fs::read(&file).unwrap();
        bytes[100] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let ran = child.wait_with_output().unwrap();
        assert_eq!(ran.status.code(), Some(3), "{words:?}: {ran:?}");
        assert!(said(&ran).contains("the payload is damaged"), "{words:?}: {ran:?}");
        assert_eq!(crate::support::names(&scene.there()), [""; 0], "{words:?}");
    }
}

/// `set` reads a file and renames its result over it a second later. Meanwhile `pack --force`
/// waits, so that its output is not lost.
#[test]
fn nothing_comes_between_a_look_at_a_file_and_its_replacement() {
    let [set, pack] = ["set", "pack"].map(Scene::of);
    set.reset();
    let by = [
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=rename,renameat,renameat2",
        "-e",
        "inject=rename,renameat,renameat2:delay_enter=1500000",
    ];
    let mut changing = set.command(&by).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !crate::support::names(&set.there()).iter().any(|name| name.ends_with(LEFT)) {
        assert!(start.elapsed() < Duration::from_secs(60) && changing.try_wait().unwrap().is_none());
        sleep(Duration::from_millis(10));
    }
    sleep(Duration::from_millis(500));
    let path = set.there().join("x.gen5");
    let before = fs::read(&path).unwrap();
    let words =
        ["--compress=none", "--model-name=SD", "--model-version=3", "--date=2026-11-24", "--no-environment"];
    let mut packing = std::process::Command::new(env!("CARGO_BIN_EXE_gen5"));
    packing.arg("pack").arg(&path).args(words).arg("--force").arg("--latent");
    packing.arg(format!("b={}", set.folder.path("a.npy").display()));
    let packed = packing.output().unwrap();
    let changed = changing.wait_with_output().unwrap();
    assert!(packed.status.success() && changed.status.success(), "{packed:?} {changed:?}");
    let found = fs::read(&path).unwrap();
    assert!(found != before && found == pack.after["x.gen5"], "the last to finish is pack");
}
